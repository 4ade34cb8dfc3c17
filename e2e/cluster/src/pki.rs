//! Keys, certificates and kubeconfigs of one cluster. They are made once and kept: a cluster that starts again with its
//! data must still honour what was signed before.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::json;

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::node::Network;

/// Whom servers that stand behind the API server take it for.
pub(crate) const FRONT_PROXY: &str = "plinth:front-proxy";

/// The certificate authority of a cluster, and where its files lie.
pub(crate) struct Pki {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    /// Loads the authority of the cluster, or makes one with everything that the components need.
    pub(crate) fn ensure(layout: &Layout, network: Network) -> Result<Self> {
        let dir = layout.certs();
        let key = load_or_make_key(&dir.join("ca.key"))?;
        let issuer = Issuer::new(authority(), key);
        let pki = Self { dir, issuer };
        if !pki.ca_cert().exists() {
            let cert = authority().self_signed(pki.issuer.key())?;
            write(&pki.ca_cert(), &cert.pem())?;
        }
        let accounts = load_or_make_key(&pki.service_account_key())?;
        write(&pki.service_account_public_key(), &accounts.public_key_pem())?;
        pki.server("etcd", &["localhost", "127.0.0.1"])?;
        pki.server(
            "kube-apiserver",
            &[
                "localhost",
                "127.0.0.1",
                &network.host().to_string(),
                &network.api_service().to_string(),
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "kubernetes.default.svc.cluster.local",
            ],
        )?;
        pki.client("kubelet-client", "plinth:kubelet-client")?;
        pki.client("front-proxy", FRONT_PROXY)?;
        Ok(pki)
    }

    pub(crate) fn ca_cert(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    pub(crate) fn ca_key(&self) -> PathBuf {
        self.dir.join("ca.key")
    }

    pub(crate) fn service_account_key(&self) -> PathBuf {
        self.dir.join("service-account.key")
    }

    pub(crate) fn service_account_public_key(&self) -> PathBuf {
        self.dir.join("service-account.pub")
    }

    /// The certificate and key that somebody shows. etcd's serves also as the API server's client certificate there.
    pub(crate) fn files(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.dir.join(format!("{name}.crt")), self.dir.join(format!("{name}.key")))
    }

    /// Makes what a server shows under these names, and returns where it is.
    pub(crate) fn server(&self, name: &str, hosts: &[&str]) -> Result<(PathBuf, PathBuf)> {
        let mut params =
            CertificateParams::new(hosts.iter().map(|&host| host.to_owned()).collect::<Vec<_>>())?;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(name, name, params)
    }

    /// Makes what the API server shows as a client to others.
    fn client(&self, file: &str, user: &str) -> Result<(PathBuf, PathBuf)> {
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(file, user, params)
    }

    fn issue(&self, file: &str, name: &str, mut params: CertificateParams) -> Result<(PathBuf, PathBuf)> {
        let (cert, key) = self.files(file);
        if !cert.exists() {
            params.distinguished_name.remove(DnType::CommonName);
            params.distinguished_name.push(DnType::CommonName, name);
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            let pair = load_or_make_key(&key)?;
            write(&cert, &params.signed_by(&pair, &self.issuer)?.pem())?;
        }
        Ok((cert, key))
    }

    /// Writes a kubeconfig with a client certificate of its own for this user and these groups.
    pub(crate) fn kubeconfig(&self, to: &Path, cluster: &str, server: &str, user: &User<'_>) -> Result<()> {
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, user.name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        // Kubernetes reads a group from each organisation, and rcgen keeps one value for each type of attribute: the
        // second group goes by a custom type of the same identifier, and there is no way to write a third.
        let organisations = [DnType::OrganizationName, DnType::CustomDnType(vec![2, 5, 4, 10])];
        if user.groups.len() > organisations.len() {
            return Err(Error::TooManyGroups(user.groups.len()));
        }
        for (kind, group) in organisations.into_iter().zip(user.groups) {
            params.distinguished_name.push(kind, *group);
        }
        let pair = KeyPair::generate()?;
        let cert = params.signed_by(&pair, &self.issuer)?;
        let ca = fs::read(self.ca_cert()).map_err(Error::io(self.ca_cert()))?;
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": cluster,
                "cluster": { "server": server, "certificate-authority-data": STANDARD.encode(ca) },
            }],
            "users": [{
                "name": user.name,
                "user": {
                    "client-certificate-data": STANDARD.encode(cert.pem()),
                    "client-key-data": STANDARD.encode(pair.serialize_pem()),
                },
            }],
            "contexts": [{ "name": cluster, "context": { "cluster": cluster, "user": user.name } }],
            "current-context": cluster,
        });
        let text = serde_yaml::to_string(&config)
            .map_err(|error| Error::Damaged { path: to.to_path_buf(), said: error.to_string() })?;
        write(to, &text)
    }
}

/// Whom a kubeconfig speaks for.
pub(crate) struct User<'a> {
    pub(crate) name: &'a str,
    pub(crate) groups: &'a [&'a str],
}

fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "plinth local cluster");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn load_or_make_key(path: &Path) -> Result<KeyPair> {
    if path.exists() {
        return Ok(KeyPair::from_pem(&fs::read_to_string(path).map_err(Error::io(path))?)?);
    }
    let key = KeyPair::generate()?;
    write(path, &key.serialize_pem())?;
    Ok(key)
}

/// Writes a private file as a whole or not at all: a start that was interrupted must not leave half a key.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    let draft = path.with_extension("tmp");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&draft).map_err(Error::io(&draft))?;
    file.write_all(text.as_bytes()).map_err(Error::io(&draft))?;
    fs::rename(&draft, path).map_err(Error::io(path))
}
