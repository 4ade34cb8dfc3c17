//! `plinth anchor`: what other instances have to know this Stack's exchange by, ready to be applied there. All of it is
//! public; the Secret that it is read from holds no key.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use plinth_api::Stack;
use plinth_plan::exchange::federation::{ANCHOR, Anchor, fingerprint};
use plinth_plan::exchange::{Declared, compile};
use serde_json::{Value, json};

use super::connect::ClusterArgs;
use super::exit::{Exit, Failure};
use super::input::Input;
use super::lookup;
use super::output::{Format, Out, note, yaml};

/// Arguments of `anchor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the Stack.
    stack: String,
    /// Its namespace; the kubeconfig's own when left out.
    #[arg(short, long)]
    namespace: Option<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Prints a ConfigMap for the other side; its fingerprint goes to standard error, for it is told by another way.
pub async fn run(args: Args, out: Out, asked: Option<Format>) -> Result<Exit> {
    let client = args.cluster.connect().await?.client;
    let namespace = args.namespace.unwrap_or_else(|| client.default_namespace().to_owned());
    let stacks: Api<Stack> = Api::namespaced(client.clone(), &namespace);
    let stack =
        stacks.get(&args.stack).await.with_context(|| format!("reading Stack {namespace}/{}", args.stack))?;
    let (catalogue, _) = lookup::catalogue(&client, &Input::default(), &stack, &[]).await?;
    let compiled = compile(&stack, &catalogue, &Declared::default());
    let place = compiled.server.and_then(|server| Some((server.namespace, server.anchor?)));
    let Some((namespace, name)) = place else {
        let what = format!("Stack {} has no exchange that is federated by anchors", args.stack);
        return Err(Failure::new(Exit::Failed, what)
            .next("`plinth catalogue show PRODUCT` says how its product federates")
            .into());
    };
    let secrets: Api<Secret> = Api::namespaced(client, &namespace);
    let secret = secrets
        .get(&name)
        .await
        .with_context(|| format!("reading Secret {namespace}/{name}, which the exchange has"))?;
    let text = anchor(&compiled.instance, &secret.data.unwrap_or_default())
        .map_err(|why| Failure::new(Exit::Failed, format!("Secret {namespace}/{name}: {why}")))?;
    note(&format!(
        "anchor of {}, fingerprint sha256:{}; tell it to the other side by another way than the anchor itself",
        compiled.instance,
        fingerprint(&text)
    ));
    let object = config_map(&compiled.instance, &text);
    match asked {
        Some(Format::Json) => out.print(&object, Value::to_string)?,
        _ => out.text(&yaml(&object)?)?,
    }
    Ok(Exit::Ok)
}

/// The anchor's text, of the Secret that the exchange's entry makes.
fn anchor(instance: &str, data: &BTreeMap<String, ByteString>) -> Result<String, String> {
    let value = |key: &str| {
        let bytes = data.get(key).ok_or_else(|| format!("has no key `{key}` yet"))?;
        String::from_utf8(bytes.0.clone()).map_err(|_| format!("{key}: is no text"))
    };
    let port = value("port")?;
    let anchor = Anchor {
        instance: instance.to_owned(),
        host: value("host")?,
        port: port.parse().map_err(|_| format!("port: `{port}` is no port"))?,
        authorities: value("authorities")?,
    };
    let text = anchor.text()?;
    // What the other side would refuse is not handed over.
    Anchor::read(&text).map(|_| text)
}

/// What the other side applies beside its Stack.
fn config_map(instance: &str, text: &str) -> Value {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = instance.chars().map(plain).collect();
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": format!("anchor-{}", name.trim_matches('-')) },
        "data": { ANCHOR: text },
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

    use super::*;

    fn secret(signs: bool) -> BTreeMap<String, ByteString> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        if signs {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        }
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
        let keys = [("host", "exchange.ee.example"), ("port", "8443"), ("authorities", certificate.as_str())];
        keys.map(|(key, value)| (key.to_owned(), ByteString(value.into()))).into()
    }

    #[test]
    fn what_is_printed_is_what_the_other_side_reads_with_the_same_fingerprint() {
        let text = anchor("EE-TEST", &secret(true)).unwrap();
        let printed = yaml(&config_map("EE-TEST", &text)).unwrap();
        let read: Value = serde_yaml::from_str(&printed).unwrap();
        assert_eq!(read["metadata"]["name"], "anchor-ee-test");
        let other = read["data"][ANCHOR].as_str().unwrap();
        assert_eq!(fingerprint(other), fingerprint(&text));
        assert_eq!(Anchor::read(other).unwrap().host, "exchange.ee.example");
    }

    #[test]
    fn what_the_other_side_would_refuse_is_not_handed_over() {
        assert!(anchor("EE", &secret(false)).unwrap_err().contains("not an authority's"));
        let mut unborn = secret(true);
        unborn.remove("authorities");
        assert_eq!(anchor("EE", &unborn).unwrap_err(), "has no key `authorities` yet");
    }
}
