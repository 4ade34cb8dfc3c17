//! What texts mention: host names, settings, files.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use regex::Regex;
use serde_json::Value;

use crate::token;

/// A compiled pattern. The patterns are literals of this file.
macro_rules! pattern {
    ($source:expr) => {{
        static PATTERN: OnceLock<Regex> = OnceLock::new();
        PATTERN.get_or_init(|| Regex::new($source).expect("the pattern is a literal that compiles"))
    }};
}

/// A host name inside a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host {
    /// The first label: a Service's name, or a name without dots.
    pub service: String,
    /// Its namespace; `None` for a name without dots.
    pub namespace: Option<String>,
    /// What follows `.svc`.
    pub domain: Option<String>,
    /// Scheme of the URL around it.
    pub scheme: Option<String>,
    /// Port that follows.
    pub port: Option<u16>,
}

impl Host {
    /// The port that is meant: the one that follows, or the scheme's own.
    pub fn meant_port(&self) -> Option<u16> {
        self.port.or(match self.scheme.as_deref() {
            Some("http" | "ws") => Some(80),
            Some("https" | "wss") => Some(443),
            Some("postgres" | "postgresql") => Some(5432),
            Some("mysql" | "mariadb") => Some(3306),
            Some("mongodb") => Some(27017),
            Some("redis") => Some(6379),
            Some("amqp") => Some(5672),
            _ => None,
        })
    }
}

/// Every name of the form `name.namespace.svc…`.
pub fn cluster_hosts(text: &str) -> Vec<Host> {
    if !text.contains(".svc") {
        return Vec::new();
    }
    let regex = pattern!(concat!(
        r"(?:([a-z][a-z0-9+]*)://(?:[^\s/@]*@)?)?",
        r"(?:[a-z0-9][a-z0-9-]*\.)?([a-z0-9][a-z0-9-]*)\.([a-z0-9][a-z0-9-]*)\.svc\b",
        r"(?:\.([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?))?(?::([0-9]{1,5})\b)?"
    ));
    let own = |m: Option<regex::Match<'_>>| m.map(|m| m.as_str().to_owned());
    regex
        .captures_iter(text)
        .map(|c| Host {
            service: c[2].to_owned(),
            namespace: own(c.get(3)),
            domain: own(c.get(4)),
            scheme: own(c.get(1)),
            port: c.get(5).and_then(|p| p.as_str().parse().ok()),
        })
        .collect()
}

/// Hosts of URLs that are no cluster names: one label (`http://ledger:3001`) or a public name (`https://id.example`).
pub fn url_hosts(text: &str) -> Vec<Host> {
    let regex = pattern!(r#"([a-z][a-z0-9+]*)://([^\s/"'`<>()\[\]\\?#;|]+)"#);
    let whole = pattern!(r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$");
    let mut hosts = Vec::new();
    let text = token::masked(text);
    for c in regex.captures_iter(&text) {
        // `${name}` in it: the host is known at run time only.
        let authority = c[2].rsplit('@').next().unwrap_or_default();
        for part in authority.split(',') {
            let (name, port) = part.split_once(':').unwrap_or((part, ""));
            if !whole.is_match(name) || name.contains(".svc") {
                continue;
            }
            let port = port.parse().ok();
            hosts.push(Host {
                service: name.to_owned(),
                namespace: None,
                domain: None,
                scheme: Some(c[1].to_owned()),
                port,
            });
        }
    }
    hosts
}

/// Every `name:port` without dots in the name.
pub fn plain_hosts(text: &str) -> Vec<Host> {
    pattern!(r#"(?:^|[\s"'=,@/])([a-z][a-z0-9-]*):([0-9]{2,5})\b"#)
        .captures_iter(text)
        .map(|c| Host {
            service: c[1].to_owned(),
            namespace: None,
            domain: None,
            scheme: None,
            port: c[2].parse().ok(),
        })
        .collect()
}

/// Ports that a text says of a host: `<host>:<port>`.
pub fn ports_of(host: &str, text: &str) -> Vec<u16> {
    let whole =
        |before: &str| !before.ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    let found = text.match_indices(host).filter(|(at, _)| whole(&text[..*at]));
    found
        .filter_map(|(at, _)| {
            let digits = text[at + host.len()..].strip_prefix(':')?;
            let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            digits[..end].parse().ok()
        })
        .collect()
}

/// Ports that a text listens on: `0.0.0.0:9092`, `[::]:80`, `PLAINTEXT://:9092`.
pub fn listening(text: &str) -> Vec<u16> {
    // `listen 8080;` is nginx's.
    pattern!(r"(?:(?:0\.0\.0\.0|\[::\]|\*|://):|\blisten\s+)([0-9]{2,5})\b")
        .captures_iter(text)
        .filter_map(|c| c[1].parse().ok())
        .collect()
}

/// Absolute paths.
pub fn paths(text: &str) -> Vec<String> {
    // A path that follows `$(NAME)` or `${name}` is a part of a longer one.
    pattern!(r#"(?:^|[\s"'`=:,;(\[<>|&])((?:/[A-Za-z0-9._@%+~-]+)+/?)"#)
        .captures_iter(text)
        .map(|c| c[1].trim_end_matches(['.', ':', ',']).to_owned())
        .collect()
}

/// Environment variables that a script reads and does not set itself. Upper-case names only: those are the environment's.
pub fn variables(name: &str, text: &str) -> BTreeSet<String> {
    let all =
        |regex: &Regex| -> BTreeSet<String> { regex.captures_iter(text).map(|c| c[1].to_owned()).collect() };
    if name.ends_with(".sh") {
        let set = all(pattern!(r"(?m)(?:^|[\s;(])(?:export |local |readonly )?([A-Z][A-Z0-9_]*)="));
        let looped = all(pattern!(r"\b(?:for|read(?: -r)?) ([A-Z][A-Z0-9_]*)"));
        // `${NAME:-default}` has an answer of its own.
        let mut read = all(pattern!(r"\$\{([A-Z][A-Z0-9_]*)(?:[^A-Za-z0-9_:-]|:[^-])"));
        read.extend(all(pattern!(r"\$([A-Z][A-Z0-9_]*)")));
        read.into_iter().filter(|n| !set.contains(n) && !looped.contains(n)).collect()
    } else if name.ends_with(".sql") {
        all(pattern!(r"\\getenv\s+\S+\s+([A-Z][A-Z0-9_]*)"))
    } else if name.ends_with(".js") {
        let mut read = all(pattern!(r"process\.env\.([A-Z][A-Z0-9_]*)"));
        for c in pattern!(r"\{([^{}]*)\}\s*=\s*process\.env").captures_iter(text) {
            read.extend(c[1].split(',').map(|n| n.split(':').next().unwrap_or_default().trim().to_owned()));
        }
        read.retain(|n| !n.is_empty());
        read
    } else {
        BTreeSet::new()
    }
}

/// Whether `number` stands in the text as a number of its own.
pub fn has_number(text: &str, number: u16) -> bool {
    has_word(text, &number.to_string())
}

/// Whether `word` stands in the text, not as a part of a longer word.
pub fn has_word(text: &str, word: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !word.is_empty()
        && text.match_indices(word).any(|(at, _)| {
            !text[..at].chars().next_back().is_some_and(inside)
                && !text[at + word.len()..].chars().next().is_some_and(inside)
        })
}

/// The settings of a configuration file: JSON, YAML, or lines of `key = value`.
pub fn settings(name: &str, text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let is = |suffix: &str| name.ends_with(suffix);
    if is(".sh") || is(".sql") || is(".js") || is(".xml") {
        return found;
    }
    if let Ok(value @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str::<Value>(text) {
        flatten(&value, "", &mut found);
    } else if (is(".yaml") || is(".yml"))
        && let Ok(value @ (Value::Object(_) | Value::Array(_))) = serde_yaml::from_str::<Value>(text)
    {
        flatten(&value, "", &mut found);
    } else {
        let pair = pattern!(r"^(?:export\s+)?([A-Za-z][A-Za-z0-9_.-]*)\s*[=:]\s*(.*)$");
        let mut section = String::new();
        for line in text.lines() {
            let line = line.trim();
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                section = format!("{name}.");
            } else if let Some(c) = pair.captures(line) {
                found.push((format!("{section}{}", &c[1]), c[2].trim().trim_matches('"').to_owned()));
            }
        }
    }
    found
}

fn flatten(value: &Value, at: &str, found: &mut Vec<(String, String)>) {
    let below = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| flatten(value, &below(key), found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, value)| flatten(value, &below(&i.to_string()), found));
        }
        Value::String(text) => found.push((at.to_owned(), text.clone())),
        Value::Null => {}
        other => found.push((at.to_owned(), other.to_string())),
    }
}

/// What a setting is about, read from the end of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A host name.
    Host,
    /// A port.
    Port,
    /// A database.
    Database,
    /// A user of a database.
    User,
    /// A password.
    Password,
}

/// Role of a setting and the prefix that its siblings share.
pub fn role(key: &str) -> Option<(Role, String)> {
    const ENDINGS: &[(&str, Role)] = &[
        ("HOSTNAME", Role::Host),
        ("HOST", Role::Host),
        ("SERVER", Role::Host),
        ("ADDRESS", Role::Host),
        ("PORT", Role::Port),
        ("DATABASE_NAME", Role::Database),
        ("DATABASE", Role::Database),
        ("DB_NAME", Role::Database),
        ("DBNAME", Role::Database),
        ("SCHEMA", Role::Database),
        ("USERNAME", Role::User),
        ("USER", Role::User),
        ("PASSWORD", Role::Password),
        ("PASS", Role::Password),
        ("PWD", Role::Password),
    ];
    let mut plain = String::with_capacity(key.len() + 4);
    let mut lower = false;
    for c in key.chars() {
        if lower && c.is_ascii_uppercase() {
            plain.push('_');
        }
        lower = c.is_ascii_lowercase() || c.is_ascii_digit();
        plain.push(if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    }
    ENDINGS
        .iter()
        .find_map(|(ending, role)| plain.strip_suffix(ending).map(|prefix| (*role, prefix.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_with_scheme_and_port() {
        let hosts =
            cluster_hosts("jdbc:postgresql://u:p@db.gov-id.svc.cluster.local:5432/x, http://a.b.svc/y");
        assert_eq!((hosts[0].service.as_str(), hosts[0].port), ("db", Some(5432)));
        assert_eq!(hosts[0].scheme.as_deref(), Some("postgresql"));
        assert_eq!(hosts[0].domain.as_deref(), Some("cluster.local"));
        assert_eq!((hosts[1].namespace.as_deref(), hosts[1].meant_port()), (Some("b"), Some(80)));
        assert_eq!(cluster_hosts("kafka-0.kafka-pods.ns.svc:9092")[0].service, "kafka-pods");
        let lists =
            url_hosts("mongodb://root:x@one:27017,two:27018/admin http://$HOST:80 https://id.example/x");
        let lists: Vec<_> = lists.iter().map(|h| (h.service.as_str(), h.meant_port())).collect();
        assert_eq!(lists, [("one", Some(27017)), ("two", Some(27018)), ("id.example", Some(443))]);
    }

    #[test]
    fn settings_are_read_from_json_yaml_and_lines() {
        let json = settings("a.json", r#"{ "DB": { "HOST": "h", "PORT": 1 } }"#);
        assert_eq!(json, [("DB.HOST".to_owned(), "h".to_owned()), ("DB.PORT".to_owned(), "1".to_owned())]);
        assert_eq!(settings("a.yaml", "db: { host: h }"), [("db.host".to_owned(), "h".to_owned())]);
        assert_eq!(settings("a.ini", "[db]\nhost = h"), [("db.host".to_owned(), "h".to_owned())]);
        assert_eq!(role("DB.HOST"), Some((Role::Host, "DB_".to_owned())));
        assert_eq!(role("dbPort"), Some((Role::Port, "DB_".to_owned())));
    }

    #[test]
    fn scripts_read_variables() {
        let script = "A=1\necho \"$A $HOST:${PORT} ${LEVEL:-info} $lower\"\nfor X in $LIST; do echo $X; done";
        assert_eq!(variables("a.sh", script).into_iter().collect::<Vec<_>>(), ["HOST", "LIST", "PORT"]);
        assert_eq!(variables("a.js", "const { ONE, TWO } = process.env;").len(), 2);
        assert_eq!(variables("a.sql", "\\getenv database DB\n").len(), 1);
    }

    #[test]
    fn paths_end_where_words_do() {
        assert_eq!(paths("sh /etc/a/b.sh; . /x/y. --d=/z"), ["/etc/a/b.sh", "/x/y", "/z"]);
        assert!(paths("http://host/path $(HOME)/x").is_empty());
        assert!(has_word("--port=80", "80") && !has_word("8080", "80"));
    }
}
