//! What a pod needs to run well: sizes, probes, and no password that everybody knows.

use serde_json::Value;

use super::world::{Place, Run, World};
use crate::model::Finding;
use crate::onboarding::OWN_IMAGE;

/// Every rule about a single pod.
pub fn pods(world: &World<'_>, findings: &mut Vec<Finding>) {
    for run in &world.runs {
        let mut say = |field: &str, message: String| findings.push(world.at(run, field, message));
        let resources = &run.container["resources"];
        for (field, value) in [
            ("requests.cpu", &resources["requests"]["cpu"]),
            ("requests.memory", &resources["requests"]["memory"]),
            ("limits.memory", &resources["limits"]["memory"]),
        ] {
            if quantity(value).is_none() {
                say(&format!("resources.{field}"), format!("is {value}, must be a quantity"));
            }
        }
        if let (Some(request), Some(limit)) =
            (quantity(&resources["requests"]["memory"]), quantity(&resources["limits"]["memory"]))
            && request > limit
        {
            say("resources", "requests more memory than its limit".to_owned());
        }
        if run.container["image"].as_str().is_none_or(str::is_empty) {
            say("image", "is empty".to_owned());
        }
        heap(run, &mut say);
        probes(run, &mut say);
        passwords(run, &mut say);
    }
}

fn heap(run: &Run<'_>, say: &mut impl FnMut(&str, String)) {
    let Some(limit) = quantity(&run.container["resources"]["limits"]["memory"]) else { return };
    for text in &run.texts {
        for word in text.body.split_whitespace().filter_map(|word| word.strip_prefix("-Xmx")) {
            let binary = word.to_ascii_lowercase().replace('k', "Ki").replace('m', "Mi").replace('g', "Gi");
            match quantity(&Value::String(binary)) {
                Some(heap) if heap < limit => {}
                _ => say(
                    &text.field,
                    format!(
                        "a heap of `{word}` does not fit into {}",
                        run.container["resources"]["limits"]["memory"]
                    ),
                ),
            }
        }
    }
}

fn probes(run: &Run<'_>, say: &mut impl FnMut(&str, String)) {
    let liveness = &run.container["livenessProbe"];
    let budget = run.object.startup_budget.unwrap_or(0);
    if !liveness.is_null() && run.container["startupProbe"].is_null() {
        let number = |field: &str, default: u64| liveness[field].as_u64().unwrap_or(default);
        let patience = number("periodSeconds", 10) * number("failureThreshold", 3);
        if patience < u64::from(budget) {
            say(
                "livenessProbe",
                format!("gives up after {patience} s, before the start-up budget of {budget} s ends"),
            );
        }
    }
    if !run.job && run.ports().next().is_some() && run.container["readinessProbe"].is_null() {
        say(
            "readinessProbe",
            "is missing: its Service would send calls to pods that are not ready".to_owned(),
        );
    }
}

fn passwords(run: &Run<'_>, say: &mut impl FnMut(&str, String)) {
    const SECRET: &[&str] = &["PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "PIN", "PWD"];
    let step = run.entry.is_some_and(|(_, component)| component.image == OWN_IMAGE);
    // What a step captures is where an answer is looked into, never the value.
    let is_capture = |key: &str| step && key.contains(".capture.");
    for setting in run.settings.iter().filter(|setting| !is_capture(&setting.key)) {
        let name = setting.key.to_ascii_uppercase();
        let last = name.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        let secret = SECRET.iter().any(|s| last == *s || (s.len() > 3 && last.ends_with(s)));
        let literal = !setting.value.is_empty()
            && !crate::token::has_secret(&setting.value)
            && !matches!(setting.value.as_str(), "true" | "false")
            && !setting.value.starts_with(['$', '"', '{'])
            // A path or an address.
            && !setting.value.contains('/');
        if secret && literal {
            let field = &run.texts[setting.text].field;
            let whose =
                if matches!(run.texts[setting.text].place, Place::Env(_)) { "" } else { &setting.key };
            say(
                field,
                format!("{whose} holds a secret as plain text; take it from a Secret")
                    .trim_start()
                    .to_owned(),
            );
        }
    }
}

/// A Kubernetes quantity in thousandths.
pub fn quantity(value: &Value) -> Option<u128> {
    let text = value.as_str()?;
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let factor: u128 = match suffix {
        "m" => 1,
        "" => 1000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "Ki" => 1000 << 10,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        "Ti" => 1000 << 40,
        _ => return None,
    };
    match number.split_once('.') {
        None => number.parse::<u128>().ok().map(|n| n * factor),
        Some((whole, part)) => {
            let digits = u32::try_from(part.len()).ok()?;
            let all: u128 = format!("{whole}{part}").parse().ok()?;
            Some(all * factor / 10u128.pow(digits))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quantities_compare() {
        assert_eq!(quantity(&json!("500m")), Some(500));
        assert_eq!(quantity(&json!("1.5Gi")), quantity(&json!("1536Mi")));
        assert_eq!(quantity(&json!("much")), None);
    }
}
