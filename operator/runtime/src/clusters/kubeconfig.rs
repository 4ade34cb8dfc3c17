//! What of a kubeconfig from a Secret is used. Whoever may write that Secret must not gain what Plinth itself has: nothing
//! in it runs a program, reads a file of Plinth's or speaks for somebody else. Pure.

use kube::config::{AuthInfo, Cluster, Kubeconfig};

/// The kubeconfig in `text`, as far as the current context needs it.
///
/// # Errors
/// What is wrong with it: the field and what is allowed. Never a value: it may be a secret.
pub fn parse(text: &str) -> Result<Kubeconfig, String> {
    // The parser's own words may repeat what it has read.
    let parsed = Kubeconfig::from_yaml(text).map_err(|_| "is no kubeconfig")?;
    let current = parsed.current_context.as_deref().ok_or("current-context: is missing")?;
    let named = parsed.contexts.iter().find(|context| context.name == current);
    let context = named.and_then(|named| named.context.as_ref());
    let context =
        context.ok_or_else(|| format!("contexts: has no {current}, which current-context names"))?;
    let named = parsed.clusters.iter().find(|cluster| cluster.name == context.cluster);
    let cluster = named.and_then(|named| named.cluster.as_ref());
    let cluster = cluster.ok_or_else(|| format!("clusters: has no {}", context.cluster))?;
    check_cluster(&context.cluster, cluster)?;
    let user = context.user.as_deref().ok_or_else(|| format!("contexts[{current}].user: is missing"))?;
    let named = parsed.auth_infos.iter().find(|info| info.name == user);
    let info = named.and_then(|named| named.auth_info.as_ref());
    check_user(user, info.ok_or_else(|| format!("users: has no {user}"))?)?;
    Ok(parsed)
}

fn check_cluster(name: &str, cluster: &Cluster) -> Result<(), String> {
    let refused = |field: &str, why: &str| Err(format!("clusters[{name}].{field}: {why}"));
    match cluster.server.as_deref() {
        None => return refused("server", "is missing"),
        Some(server) if !server.starts_with("https://") => {
            return refused("server", "has to begin with https://");
        }
        Some(_) => {}
    }
    if cluster.insecure_skip_tls_verify == Some(true) {
        return refused("insecure-skip-tls-verify", "is refused: give certificate-authority-data");
    }
    if cluster.certificate_authority.is_some() {
        return refused("certificate-authority", "names a file; give certificate-authority-data");
    }
    if cluster.proxy_url.is_some() {
        return refused("proxy-url", "is refused: the way out is Plinth's own (HTTPS_PROXY)");
    }
    Ok(())
}

fn check_user(name: &str, user: &AuthInfo) -> Result<(), String> {
    let refused = [
        (user.exec.is_some(), "exec", "runs a program"),
        (user.auth_provider.is_some(), "auth-provider", "runs a program"),
        (user.token_file.is_some(), "tokenFile", "names a file"),
        (user.client_certificate.is_some(), "client-certificate", "names a file"),
        (user.client_key.is_some(), "client-key", "names a file"),
        (
            user.username.is_some() || user.password.is_some(),
            "username",
            "is a way in that Kubernetes gave up",
        ),
        (user.impersonate.is_some() || user.impersonate_groups.is_some(), "as", "speaks for somebody else"),
    ];
    let allowed = "give token, or client-certificate-data and client-key-data";
    if let Some((_, field, why)) = refused.into_iter().find(|(is_there, ..)| *is_there) {
        return Err(format!("users[{name}].user.{field}: {why}; {allowed}"));
    }
    let certificate = user.client_certificate_data.is_some() && user.client_key_data.is_some();
    if user.token.is_none() && !certificate {
        return Err(format!("users[{name}].user: says nobody; {allowed}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(cluster: &str, user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
             clusters: [{{name: k, cluster: {{{cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
        )
    }

    const CLUSTER: &str = "server: 'https://site-a.example:6443', certificate-authority-data: Q0E=";

    #[test]
    fn a_token_or_a_certificate_as_data_is_what_it_takes() {
        assert!(parse(&text(CLUSTER, "token: t")).is_ok());
        assert!(parse(&text(CLUSTER, "client-certificate-data: Q0E=, client-key-data: Q0E=")).is_ok());
    }

    #[test]
    fn what_would_run_read_or_lead_elsewhere_is_refused_by_the_name_of_its_field() {
        let cases = [
            ("server: 'http://site-a.example'", "token: t", "clusters[k].server: has to begin with https://"),
            (
                "server: 'https://a', insecure-skip-tls-verify: true",
                "token: t",
                "insecure-skip-tls-verify: is refused",
            ),
            (
                "server: 'https://a', certificate-authority: /etc/ca",
                "token: t",
                "certificate-authority: names a file",
            ),
            ("server: 'https://a', proxy-url: 'http://b'", "token: t", "proxy-url: is refused"),
            (CLUSTER, "exec: {apiVersion: v1, command: sh}", "users[u].user.exec: runs a program"),
            (CLUSTER, "auth-provider: {name: gcp, config: {}}", "auth-provider: runs a program"),
            (CLUSTER, "tokenFile: /var/run/secrets/token", "tokenFile: names a file"),
            (CLUSTER, "client-certificate: /a, client-key: /b", "client-certificate: names a file"),
            (CLUSTER, "client-key: /b", "client-key: names a file"),
            (CLUSTER, "username: a, password: b", "username: is a way in"),
            (CLUSTER, "token: t, as: admin", "as: speaks for somebody else"),
            (CLUSTER, "", "users[u].user: says nobody"),
        ];
        for (cluster, user, part) in cases {
            let why = parse(&text(cluster, user)).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn what_is_no_kubeconfig_is_not_repeated() {
        let why = parse("token: [hunter2").unwrap_err();
        assert!(why.contains("is no kubeconfig") && !why.contains("hunter2"), "{why}");
        assert!(parse("{}").unwrap_err().contains("current-context: is missing"));
    }
}
