//! A WorkloadCluster's kubeconfig: what is accepted runs no program, names no file and speaks for nobody else.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plinth_runtime::clusters::kubeconfig::parse;

fuzz_target!(|text: &str| {
    let Ok(accepted) = parse(text) else { return };
    let current = accepted.current_context.as_deref().expect("it was asked for");
    let named = accepted.contexts.iter().find(|context| context.name == current);
    let context = named.and_then(|named| named.context.as_ref()).expect("it was looked up");
    let cluster = accepted.clusters.iter().find(|cluster| cluster.name == context.cluster);
    let cluster = cluster.and_then(|named| named.cluster.as_ref()).expect("it was looked up");
    assert!(cluster.server.as_deref().is_some_and(|server| server.starts_with("https://")));
    assert!(cluster.insecure_skip_tls_verify != Some(true));
    assert!(cluster.certificate_authority.is_none() && cluster.proxy_url.is_none());
    let user = accepted.auth_infos.iter().find(|info| Some(info.name.as_str()) == context.user.as_deref());
    let user = user.and_then(|named| named.auth_info.as_ref()).expect("it was looked up");
    assert!(user.exec.is_none() && user.auth_provider.is_none() && user.impersonate.is_none());
    assert!(user.token_file.is_none() && user.client_certificate.is_none() && user.client_key.is_none());
});
