//! What Argo CD would show: the health check in Lua, run by Lua's own interpreter over statuses as Plinth writes them. Argo CD runs the
//! same script by an interpreter of its own.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::CHART;
use super::tools::said;

/// What the script says of an object.
fn health(object: &Value) -> Result<String> {
    let script = std::fs::read_to_string(Path::new(CHART).join("files/health.lua"))?;
    let program = format!(
        "obj = {}\nlocal check = function()\n{script}\nend\nlocal hs = check()\nprint(hs.status .. ': ' .. (hs.message or ''))",
        lua(object)
    );
    Ok(said(Command::new("lua5.4").args(["-e", &program]))?.trim().to_owned())
}

/// A value as Lua writes it.
fn lua(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("[{key:?}] = {}", lua(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(lua).collect();
            format!("{{ {} }}", items.join(", "))
        }
        other => other.to_string(),
    }
}

fn stack(conditions: Value) -> Value {
    json!({
        "metadata": { "generation": 2 }, "spec": { "paused": false },
        "status": { "observedGeneration": 2, "conditions": conditions },
    })
}

#[test]
#[ignore = "needs Debian's package lua5.4: e2e/all chart"]
fn argo_cd_is_told_what_the_conditions_say() -> Result<()> {
    let is = |kind: &str, status: &str, reason: &str| json!({ "type": kind, "status": status, "reason": reason, "message": reason });
    let mut older = stack(json!([is("Ready", "True", "AllReady")]));
    older["status"]["observedGeneration"] = json!(1);
    let mut paused = stack(json!([is("Ready", "True", "AllReady")]));
    paused["spec"]["paused"] = json!(true);
    let cases = [
        (json!({ "metadata": { "generation": 1 } }), "Progressing: waits for Plinth"),
        (older, "Progressing: the newest spec has not been looked at yet"),
        (
            stack(json!([is("Ready", "True", "AllReady"), is("Stalled", "False", "Waiting")])),
            "Healthy: AllReady",
        ),
        (stack(json!([is("Ready", "False", "Progressing")])), "Progressing: Progressing"),
        (stack(json!([is("Ready", "Unknown", "Unreachable")])), "Unknown: Unreachable"),
        (
            stack(json!([is("Ready", "False", "Invalid"), is("Stalled", "True", "Invalid")])),
            "Degraded: Invalid",
        ),
        (
            stack(json!([
                is("Ready", "False", "AwaitingApproval"),
                is("Stalled", "True", "AwaitingApproval")
            ])),
            "Suspended: AwaitingApproval",
        ),
        (paused, "Suspended: paused"),
    ];
    for (object, expected) in cases {
        let told = health(&object)?;
        ensure!(told == expected, "{object}: {told}, expected {expected}");
    }
    Ok(())
}
