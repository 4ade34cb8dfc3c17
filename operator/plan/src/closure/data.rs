//! Databases, topics, issuers: what backing services and other blocks give, and who uses which.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use regex::Regex;
use serde_json::Value;

use super::links::Link;
use super::read::composed;
use super::text::Role;
use super::world::{Place, Run, Setting, World};
use crate::expr::{as_text, listed};
use crate::model::{Finding, SecretKeyRef};
use crate::token;

/// Whoever connects to a claim reads one of its secrets, and with its password its database and its user; settings that
/// stand together belong to one claim.
pub fn logins(world: &World<'_>, findings: &mut Vec<Finding>) {
    for run in &world.runs {
        for link in &run.links {
            let secrets: Vec<SecretKeyRef> =
                link.outputs.keys().filter_map(|name| link.secret(name)).collect();
            // A block's own secrets are for its administrators; a claim's are for whoever uses the claim.
            let login = link.claim.is_some() || link.outputs.contains_key("database");
            if login
                && !link.path_only
                && !secrets.is_empty()
                && !secrets.iter().any(|s| run.reads.contains(s))
            {
                let known: Vec<String> = secrets.iter().map(|s| format!("{}/{}", s.name, s.key)).collect();
                let message =
                    format!("connects to `requires.{}` and reads none of {}", link.name, listed(&known));
                findings.push(world.at(run, "connects", message));
            }
            let reads = link.secret("password").is_some_and(|s| run.reads.contains(&s));
            if !reads || !login {
                continue;
            }
            // A user name may be a fixed text of a Secret; the server's own `default` needs no saying.
            let user = link.output("username").map(|text| (text, world.plain(text)));
            if let Some((text, name)) = user.filter(|(_, name)| name != "default")
                && !says(run, Role::User, text)
                && !says(run, Role::User, &name)
            {
                let message = format!(
                    "reads the password of `{name}` for `requires.{}` and no setting of a user is `{name}`",
                    link.name
                );
                findings.push(world.at(run, "env", message));
            }
            if let Some(name) = link.output("database")
                && !says(run, Role::Database, name)
            {
                let message =
                    format!("uses `requires.{}` and no setting of a database is `{name}`", link.name);
                findings.push(world.at(run, "env", message));
            }
        }
        if run.links.iter().any(|link| link.outputs.contains_key("database")) {
            together(world, run, findings);
            strangers(world, run, findings);
        }
    }
}

/// Whether a setting of that role, or a connection string, has the value; secret values count by their token.
fn says(run: &Run<'_>, role: Role, value: &str) -> bool {
    let in_url = match role {
        Role::User => run.texts.iter().any(|t| {
            t.body.contains(&format!("//{value}:"))
                || t.body.contains(&format!("//{value}@"))
                || t.body.contains(&format!("user={value}"))
        }),
        _ => run.texts.iter().any(|t| database_of_urls(&t.body).iter().any(|(_, name)| name == value)),
    };
    in_url || run.settings.iter().any(|s| s.value == value && s.is(role))
}

/// Host and database of every connection string.
fn database_of_urls(text: &str) -> Vec<(String, String)> {
    let text = token::masked(text);
    let mut found = Vec::new();
    for scheme in ["postgresql://", "postgres://", "mysql://", "mariadb://", "mongodb://"] {
        for (at, _) in text.match_indices(scheme) {
            let rest = &text[at + scheme.len()..];
            let end =
                rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`')).unwrap_or(rest.len());
            let Some((authority, path)) = rest[..end].split_once('/') else { continue };
            let host = authority.rsplit('@').next().unwrap_or_default().split(':').next().unwrap_or_default();
            let name: String =
                path.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).collect();
            if !host.is_empty() && !name.is_empty() {
                found.push((host.to_owned(), name));
            }
        }
    }
    found
}

/// Host, database, user and password of one group of settings are those of one claim.
fn together(world: &World<'_>, run: &Run<'_>, findings: &mut Vec<Finding>) {
    let at = |host: &str| -> Vec<&Link<'_>> {
        run.links.iter().filter(|l| l.output("host") == Some(host)).collect()
    };
    for setting in &run.settings {
        if !setting.is(Role::Host) {
            continue;
        }
        let links = at(&setting.value);
        let database = run.sibling(setting, Role::Database);
        let Some(Setting { key, value: name, .. }) = database.filter(|_| !links.is_empty()) else { continue };
        let field = &run.texts[setting.text].field;
        let Some(link) = links.iter().find(|l| l.output("database") == Some(name)) else {
            let known: Vec<&str> = links.iter().filter_map(|l| l.output("database")).collect();
            let message =
                format!("`{key}` is `{name}`; what it connects to at this host is {}", listed(&known));
            findings.push(world.at(run, field, message));
            continue;
        };
        for (role, wanted) in [(Role::User, "username"), (Role::Password, "password")] {
            if let (Some(Setting { key, value, .. }), Some(wanted)) =
                (run.sibling(setting, role), link.output(wanted))
                && value != wanted
            {
                let shown = if role == Role::Password { "the password of another claim" } else { value };
                let message =
                    format!("`{key}` is {shown}, beside database `{name}` of `requires.{}`", link.name);
                findings.push(world.at(run, field, message));
            }
        }
    }
    for value in &run.texts {
        for (host, name) in database_of_urls(&value.body) {
            let links = at(&host);
            if !links.is_empty() && !links.iter().any(|l| l.output("database") == Some(&name)) {
                let known: Vec<&str> = links.iter().filter_map(|l| l.output("database")).collect();
                let message = format!(
                    "names database `{name}` at `{host}`; what it connects to there is {}",
                    listed(&known)
                );
                findings.push(world.at(run, &value.field, message));
            }
        }
    }
}

/// No setting names a database or a user that somebody else claimed, and nobody reads the password of a claim that it
/// does not connect to.
fn strangers(world: &World<'_>, run: &Run<'_>, findings: &mut Vec<Finding>) {
    for (role, output) in [(Role::Database, "database"), (Role::User, "username")] {
        let own: Vec<&str> = run.links.iter().filter_map(|l| l.output(output)).collect();
        let claims = world.frames.values().flatten().flat_map(|f| &f.instance.claims);
        let all: BTreeSet<&str> = claims.filter_map(|c| c.parameters.get(output)?.as_str()).collect();
        for setting in run.settings.iter().filter(|s| s.is(role)) {
            let name = setting.value.as_str();
            if own.contains(&name) || matches!(name, "" | "true" | "false") {
                continue;
            }
            // A name that ends in DATABASE is never about anything else.
            if all.contains(name) || setting.key.ends_with("DATABASE") {
                let message =
                    format!("`{}` is `{name}`; what it connects to is called {}", setting.key, listed(&own));
                findings.push(world.at(run, &run.texts[setting.text].field, message));
            }
        }
    }
    let own: BTreeSet<SecretKeyRef> =
        run.links.iter().flat_map(|l| l.outputs.keys().filter_map(|name| l.secret(name))).collect();
    for other in world.beside(run.namespace).filter(|other| other.unit != run.unit) {
        for link in other.links.iter().filter(|link| link.claim.is_some()) {
            if let Some(password) =
                link.secret("password").filter(|p| run.reads.contains(p) && !own.contains(p))
            {
                let message =
                    format!("reads the password of `requires.{}` and does not connect to it", link.name);
                findings.push(world.at(run, &format!("env ({})", password.name), message));
            }
        }
    }
}

/// What opens a claim is known to the service behind it, or to the Job that prepares it; and a Job that logs in shares
/// a Secret with the server it logs in to.
pub fn served(world: &World<'_>, findings: &mut Vec<Finding>) {
    for run in &world.runs {
        for link in run.links.iter().filter(|link| link.claim.is_some()) {
            let Some((namespace, component)) = &link.provider else { continue };
            let product =
                world.beside(namespace).find(|r| r.entry.is_some_and(|(_, c)| &c.name == component));
            let Some((server, _)) = product.and_then(|r| r.entry) else { continue };
            let providers = || {
                world.beside(namespace).filter(|r| {
                    r.entry.is_some_and(|(f, _)| f.instance.entry.name == server.instance.entry.name)
                })
            };
            for secret in link.outputs.keys().filter_map(|name| link.secret(name)) {
                let fixed = !token::has_secret(&world.plain(&token::token(&secret)));
                if !fixed && !providers().any(|r| r.reads.contains(&secret)) {
                    let message = format!(
                        "reads Secret `{}/{}`, which no component of `{}` reads",
                        secret.name, secret.key, server.instance.entry.name
                    );
                    findings.push(world.at(run, "connects", message));
                }
            }
        }
        let Some((frame, component)) = run.entry.filter(|_| run.job) else { continue };
        // What a requirement hands out is for the requirement.
        let elsewhere: BTreeSet<SecretKeyRef> =
            run.links.iter().flat_map(|l| l.outputs.keys().filter_map(|name| l.secret(name))).collect();
        let called =
            component.connects.iter().filter_map(|edge| edge.split_once(':')).flat_map(|(name, _)| {
                world.beside(run.namespace).filter(move |r| {
                    r.entry.is_some_and(|(f, c)| {
                        f.instance.entry.name == frame.instance.entry.name && c.name == name
                    })
                })
            });
        let mut servers: Vec<_> = called.collect();
        // An instance of a `forEach` calls the one of its own item, where there is such a one.
        if servers.iter().any(|server| item(server) == item(run)) {
            servers.retain(|server| item(server) == item(run));
        }
        if !run.reads.difference(&elsewhere).any(|s| s.key == "password") {
            continue;
        }
        // Who logs in to one server may only ask another, that knows nobody.
        let shares = |server: &&Run<'_>| {
            let mut known = iter::once(*server).chain(prepares(world, server));
            known.any(|one| !run.reads.is_disjoint(&one.reads))
        };
        let logged_in = servers.iter().any(shares);
        for server in servers.iter().filter(|server| !shares(server)) {
            if !logged_in || !server.reads.is_empty() {
                let message = format!("logs in to `{}`, and they read no Secret key in common", server.unit);
                findings.push(world.at(run, "env", message));
            }
        }
    }
}

/// Jobs that a server waits for, of the same item of a `forEach`: they may have told its data what it never reads itself.
fn prepares<'w>(world: &'w World<'_>, server: &'w Run<'_>) -> impl Iterator<Item = &'w Run<'w>> {
    world.beside(server.namespace).filter(move |run| {
        let (Some((_, own)), Some((_, other))) = (server.entry, run.entry) else { return false };
        run.job && own.after.contains(&other.name) && item(run) == item(server)
    })
}

/// What tells an instance of a `forEach` from the others, in its name.
fn item<'r>(run: &'r Run<'_>) -> Option<&'r str> {
    run.unit.name.strip_prefix(run.entry?.1.name.as_str())
}

/// One database and one user a claim, and a Secret that says both.
pub fn claims(world: &World<'_>, findings: &mut Vec<Finding>) {
    let mut outside: BTreeMap<(String, String), String> = BTreeMap::new();
    for frame in world.frames.values().flatten() {
        let mut seen: BTreeMap<(&str, &str), &str> = BTreeMap::new();
        for claim in &frame.instance.claims {
            for field in ["database", "username"] {
                let Some(value) = claim.parameters.get(field).and_then(Value::as_str) else { continue };
                if let Some(other) = seen.insert((field, value), &claim.name) {
                    findings.push(frame.finding(
                        &format!("claims[{}]", claim.name),
                        format!(
                            "`{field}` is `{value}`, which `requires.{other}` claims too; choose another"
                        ),
                    ));
                }
                let ending = format!("-{}", claim.name);
                for ((namespace, name), (unit, object)) in &world.secrets {
                    let part = object.body["metadata"]["labels"][plinth_api::names::LABEL_PART_OF]
                        == frame.instance.entry.name.as_str();
                    if !part
                        || *namespace != frame.namespace
                        || !name.ends_with(&ending)
                        || !object.secret.contains_key("password")
                    {
                        continue;
                    }
                    let said = object.secret.get(field).map(composed).unwrap_or_default();
                    if said != value {
                        let message = format!("is `{said}`, but `requires.{}` claims `{value}`", claim.name);
                        findings.push(world.on(unit, object, &format!("data[{field}]"), message));
                    }
                }
            }
        }
        for (name, binding) in &frame.instance.bindings {
            if let crate::resolve::Binding::External { system, claim, .. } = binding
                && let Some(database) = claim.parameters.get("database").and_then(Value::as_str)
            {
                let key = (system.host.clone().unwrap_or_default(), database.to_owned());
                let me = format!("{}/{name}", frame.block);
                if let Some(other) = outside.insert(key, me.clone()) {
                    findings.push(frame.finding(
                        &format!("spec.requires[{name}]"),
                        format!("`{me}` and `{other}` would share database `{database}` of one server"),
                    ));
                }
            }
        }
    }
}

/// Topics that are named are listed, and topics that are listed are named. A name stands as such, or is made of the
/// segments of a setting's path (`TRANSFER.PREPARE` of `topic-transfer-prepare`), as many products compose theirs.
pub fn topics(world: &World<'_>, findings: &mut Vec<Finding>) {
    let mut unnamed: BTreeMap<(&str, &str), (Vec<String>, &Run<'_>)> = BTreeMap::new();
    for run in &world.runs {
        for link in &run.links {
            let Some(list) = link.outputs.get("topics").and_then(Value::as_array) else { continue };
            let topics: Vec<String> = list.iter().map(as_text).collect();
            let (open, _) =
                unnamed.entry((run.unit.block.as_str(), link.name)).or_insert_with(|| (topics.clone(), run));
            let mut named = BTreeSet::new();
            let mut wrong = |field: &str, name: &str| {
                let message = format!(
                    "`{name}` is not among the topics of `requires.{}`: {}",
                    link.name,
                    listed(&topics)
                );
                findings.push(world.at(run, field, message));
            };
            for setting in &run.settings {
                let last = setting.key.rsplit(['.', '_']).next().unwrap_or_default();
                let topic = last.eq_ignore_ascii_case("topic") || last.ends_with("Topic");
                if topic && !topics.contains(&setting.value) {
                    wrong(&run.texts[setting.text].field, &setting.value);
                }
            }
            let pattern = link.topic_pattern.and_then(|p| Regex::new(p).ok());
            for value in &run.texts {
                named.extend(topics.iter().filter(|t| has_name(&value.body, t)).cloned());
                for found in pattern.iter().flat_map(|p| p.find_iter(&value.body)) {
                    if !topics.iter().any(|t| t == found.as_str()) {
                        wrong(&value.field, found.as_str());
                    }
                }
            }
            if let Some(pattern) = link.topic_pattern {
                let (made, missing) = composed_topics(run, link, &topics, literal(pattern));
                named.extend(made);
                for (field, name) in missing {
                    wrong(&field, &name);
                }
            }
            open.retain(|topic| !named.contains(topic));
        }
    }
    for ((_, requirement), (topics, run)) in unnamed {
        for topic in topics {
            let message = format!(
                "topic `{topic}` of `requires.{requirement}` is named by no variable, argument or file"
            );
            findings.push(world.at(run, "topics", message));
        }
    }
}

fn has_name(text: &str, name: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.match_indices(name).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(inside)
            && !text[at + name.len()..].chars().next().is_some_and(inside)
    })
}

/// What every match of the pattern starts with.
fn literal(pattern: &str) -> &str {
    let end = pattern.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(pattern.len());
    &pattern[..end]
}

/// Topics made of setting paths that lead to the broker's address; and those that such a family has beyond the list.
fn composed_topics(
    run: &Run<'_>,
    link: &Link<'_>,
    topics: &[String],
    start: &str,
) -> (Vec<String>, Vec<(String, String)>) {
    let (mut made, mut missing) = (Vec::new(), Vec::new());
    let Some(host) = link.output("host") else { return (made, missing) };
    let paths: Vec<(usize, Vec<&str>)> = run
        .settings
        .iter()
        .filter(|s| matches!(run.texts[s.text].place, Place::File(_)) && s.value.contains(host))
        .map(|s| (s.text, s.key.split('.').collect()))
        .collect();
    let name =
        |segments: &[&str]| format!("{start}{}", segments.join("-").to_ascii_lowercase().replace('_', "-"));
    let mut families: BTreeSet<(usize, Vec<&str>, Vec<&str>)> = BTreeSet::new();
    for (text, path) in &paths {
        for from in 0..path.len() {
            for to in from + 1..=path.len().min(from + 3) {
                let topic = name(&path[from..to]);
                if topics.contains(&topic) {
                    made.push(topic);
                    families.insert((*text, path[..from].to_vec(), path[to..].to_vec()));
                }
            }
        }
    }
    for (text, before, after) in &families {
        for (_, path) in paths.iter().filter(|(t, _)| t == text) {
            if path.len() > before.len() + after.len() && path.starts_with(before) && path.ends_with(after) {
                let topic = name(&path[before.len()..path.len() - after.len()]);
                if !topics.contains(&topic) {
                    missing.push((run.texts[*text].field.clone(), topic));
                }
            }
        }
    }
    (made, missing)
}

/// An issuer is named by the server that it is, and by everybody who connects to it.
pub fn issuers(world: &World<'_>, findings: &mut Vec<Finding>) {
    let domain = &world.stack.spec.site.cluster_domain;
    let mut provided: BTreeSet<String> = BTreeSet::new();
    for frame in world.frames.values().flatten() {
        for provision in &frame.instance.entry.spec.provides {
            let outputs = frame.outputs(provision, None, domain).unwrap_or_default();
            let Some(issuer) = outputs.get("issuer").and_then(Value::as_str) else { continue };
            provided.insert(issuer.to_owned());
            let host = issuer
                .split_once("://")
                .map_or(issuer, |(_, rest)| rest)
                .split(['/', ':'])
                .next()
                .unwrap_or_default();
            for run in world.runs.iter().filter(|run| run.namespace == frame.namespace) {
                let serves = run.entry.is_some_and(|(_, c)| Some(&c.name) == provision.component.as_ref());
                if serves && !run.texts.iter().any(|t| t.body.contains(host)) {
                    findings.push(world.at(
                        run,
                        "env",
                        format!("issues tokens as `{issuer}` and is never told `{host}`"),
                    ));
                }
            }
        }
    }
    for run in &world.runs {
        for link in &run.links {
            let Some(issuer) = link.output("issuer") else { continue };
            provided.insert(issuer.to_owned());
            // Who asks for tokens, or checks them by keys, may name those addresses alone.
            let addresses = ["tokenUrl", "jwksUrl", "serverUrl"].iter().filter_map(|name| link.output(name));
            let mut known = addresses.chain([issuer]);
            if !known.any(|address| run.texts.iter().any(|t| t.body.contains(address))) {
                let message =
                    format!("connects to `requires.{}` and never names its issuer `{issuer}`", link.name);
                findings.push(world.at(run, "connects", message));
            }
        }
    }
    for run in &world.runs {
        for setting in run.settings.iter().filter(|s| s.value.starts_with("http") && names_issuer(&s.key)) {
            if !provided.iter().any(|issuer| setting.value.starts_with(issuer.as_str())) {
                let known: Vec<&String> = provided.iter().collect();
                let message =
                    format!("`{}` is no issuer of the Stack; there are {}", setting.value, listed(&known));
                findings.push(world.at(run, &run.texts[setting.text].field, message));
            }
        }
    }
}

/// Whether a setting's own name, not that of a group it stands in, is about who issues tokens. Who issues credentials is
/// somebody else.
fn names_issuer(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or_default().to_ascii_uppercase();
    last.contains("ISSUER") && !last.contains("CREDENTIAL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_strings_name_their_database() {
        let found =
            database_of_urls("jdbc:postgresql://db.ns.svc:5432/registry?ssl=1 mongodb://u:p@m:27017/mlos");
        assert_eq!(found[0], ("db.ns.svc".to_owned(), "registry".to_owned()));
        assert_eq!(found[1], ("m".to_owned(), "mlos".to_owned()));
        assert_eq!(literal("topic-[a-z]+(-[a-z]+)+"), "topic-");
        assert!(has_name("\"topic-a-b\"", "topic-a-b") && !has_name("topic-a-b-c", "topic-a-b"));
    }
}
