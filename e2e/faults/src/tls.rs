//! Both ends of the proxy: a certificate authority of its own towards the operator, the operator's own kubeconfig
//! towards the API server.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::Config;
use kube::client::ConfigExt as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use serde_json::{Value, json};

/// Towards the operator.
pub(crate) struct Front {
    pub(crate) server: Arc<rustls::ServerConfig>,
    ca: String,
    client_cert: String,
    client_key: String,
}

impl Front {
    /// Who comes in speaks with the operator's rights, so only who has the certificate made here comes in.
    pub(crate) fn new() -> Result<Self> {
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "plinth fault proxy");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
        let authority_key = KeyPair::generate()?;
        let ca = authority.self_signed(&authority_key)?;
        let issuer = Issuer::new(authority, authority_key);
        let leaf = |names: &[&str], usage: ExtendedKeyUsagePurpose| -> Result<_> {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            let mut params = CertificateParams::new(names)?;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate()?;
            Ok((params.signed_by(&key, &issuer)?, key))
        };
        let (server_cert, server_key) =
            leaf(&["127.0.0.1", "localhost"], ExtendedKeyUsagePurpose::ServerAuth)?;
        let (client_cert, client_key) = leaf(&[], ExtendedKeyUsagePurpose::ClientAuth)?;

        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone())?;
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
        let mut server = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![server_cert.der().clone()], key)?;
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            server: Arc::new(server),
            ca: ca.pem(),
            client_cert: client_cert.pem(),
            client_key: client_key.serialize_pem(),
        })
    }

    /// The given kubeconfig, with the proxy in the API server's place. Tokens stay: they pass through.
    pub(crate) fn kubeconfig(&self, original: &Kubeconfig, address: &str) -> Result<String> {
        let mut config = serde_json::to_value(original)?;
        let current = original.current_context.as_deref().context("the kubeconfig has no current context")?;
        let entry = |list: &Value, name: &str| {
            list.as_array().into_iter().flatten().position(|item| item["name"] == name)
        };
        let context = entry(&config["contexts"], current).context("the current context does not exist")?;
        let context = config["contexts"][context]["context"].clone();
        let cluster = context["cluster"].as_str().unwrap_or_default();
        let cluster = entry(&config["clusters"], cluster).context("the context's cluster does not exist")?;
        config["clusters"][cluster]["cluster"] = json!({
            "server": format!("https://{address}"),
            "certificate-authority-data": STANDARD.encode(&self.ca),
        });
        let user = context["user"].as_str().unwrap_or_default();
        let user = entry(&config["users"], user).context("the context's user does not exist")?;
        if let Some(user) = config["users"][user]["user"].as_object_mut() {
            user.retain(|key, _| !key.starts_with("client-"));
            user.insert("client-certificate-data".to_owned(), json!(STANDARD.encode(&self.client_cert)));
            user.insert("client-key-data".to_owned(), json!(STANDARD.encode(&self.client_key)));
        }
        Ok(serde_yaml::to_string(&config)?)
    }
}

/// Towards the API server.
#[derive(Clone)]
pub(crate) struct Back {
    pub(crate) client: Arc<rustls::ClientConfig>,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// `host:port`, as requests name it.
    pub(crate) authority: String,
}

impl Back {
    pub(crate) async fn new(original: &Kubeconfig) -> Result<Self> {
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(original.clone(), &options).await?;
        let mut client = config.rustls_client_config()?;
        client.alpn_protocols = vec![b"h2".to_vec()];
        let host = config.cluster_url.host().context("the API server's address has no host")?.to_owned();
        let port = config.cluster_url.port_u16().unwrap_or(443);
        Ok(Self { client: Arc::new(client), authority: format!("{host}:{port}"), host, port })
    }
}
