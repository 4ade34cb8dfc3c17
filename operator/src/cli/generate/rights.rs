//! `docs/rights.md`: what the operator may do, from the one list of rights.

use plinth_api::names;
use plinth_api::rights::{self, EXTENSIONS, Place, RIGHTS};
use serde_json::Value;

/// The rights for people to read.
pub fn page() -> String {
    let code = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let group = |name: &str| if name.is_empty() { "core".to_owned() } else { format!("`{name}`") };
    let mut text = "# What the operator may do\n\n\
         No wildcard. Plinth makes no role and binds one, by its name: that of a sandbox's owners. `plinth rbac` prints this as manifests, \
         `--cluster workload` those for a cluster that hosts blocks only, `-f FILE` what a Stack or a Product needs beyond. What the \
         rights mean for whoever holds them is in [security.md](security.md).\n"
        .to_owned();
    for (place, title) in [
        (Place::Everywhere, "On every cluster that hosts blocks"),
        (Place::Hub, "On the cluster that Plinth runs on"),
        (Place::Own, "In Plinth's own namespace"),
        (Place::Console, "On the cluster that Plinth runs on, where the console is served"),
    ] {
        text += &format!(
            "\n## {title}\n\n| API group | resources | verbs | what for |\n| --- | --- | --- | --- |\n"
        );
        for right in RIGHTS.iter().filter(|right| right.place == place) {
            let named = match right.names {
                [] => String::new(),
                names => format!(" named {}", code(names)),
            };
            text += &format!(
                "| {} | {}{named} | {} | {} |\n",
                group(right.group),
                code(right.resources),
                code(right.verbs),
                right.why
            );
        }
    }
    text += "\n## For kinds of other operators, each only where it is switched on\n\n\
             In the chart by `extensions`, as manifests by `plinth rbac -f FILE`. On each: `get`, `list`, `watch`, `create`, `patch`, \
             `delete`.\n\n| extension | kinds | what for |\n| --- | --- | --- |\n";
    for (name, why) in EXTENSIONS {
        let kinds = rights::KINDS.iter().filter(|kind| kind.extension == Some(name));
        let kinds: Vec<String> = kinds.map(|kind| format!("{} (`{}`)", kind.kind, kind.group())).collect();
        text += &format!("| `{name}` | {} | {why} |\n", kinds.join(", "));
    }
    text + &people()
}

/// What the roles for people are.
fn people() -> String {
    let mut text = format!(
        "\n## Roles for people\n\nThe chart makes them; the first three come with Kubernetes' own roles of the same name. Who approves \
         (verb `approve` on `stacks.{}`) is bound by a person, never implied.\n\n| role | resources | verbs |\n| --- | --- | --- |\n",
        names::GROUP
    );
    for role in rights::people() {
        for rule in role["rules"].as_array().into_iter().flatten() {
            let list = |field: &str| {
                let words = rule[field].as_array().into_iter().flatten().filter_map(Value::as_str);
                words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
            };
            let name = role["metadata"]["name"].as_str().unwrap_or_default();
            text += &format!("| `{name}` | {} | {} |\n", list("resources"), list("verbs"));
        }
    }
    text
}
