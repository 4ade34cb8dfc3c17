//! Answers in the API server's place, in its own words: a `Status`, as k8s.io/apimachinery's `pkg/api/errors` makes it.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::write::{CORE, Target};

/// What API Priority and Fairness asks a client to wait.
const RETRY_AFTER: u32 = 1;

/// The refusal of a request, with this code.
pub(crate) fn refusal(code: u16, target: &Target) -> Response<Full<Bytes>> {
    let status = status(code, target);
    let mut response = Response::new(Full::new(Bytes::from(status.to_string())));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if code == 429 {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
    }
    response
}

/// The last event of a watch that began at something that is compacted.
pub(crate) fn gone_event() -> Bytes {
    let message = "The resourceVersion for the provided watch is too old.";
    let event = json!({ "type": "ERROR", "object": failure(410, "Expired", message, Value::Null) });
    Bytes::from(format!("{event}\n"))
}

fn status(code: u16, target: &Target) -> Value {
    let Target { verb, group, resource, namespace, name, .. } = target;
    let group = if group == CORE { "" } else { group };
    let qualified = if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
    let name = name.as_deref().unwrap_or_default();
    let object = format!("{qualified} \"{name}\"");
    let details = json!({ "name": name, "group": group, "kind": resource });
    let verb = match verb.as_str() {
        "apply" => "patch",
        other => other,
    };
    match code {
        401 => failure(code, "Unauthorized", "Unauthorized", Value::Null),
        403 => {
            let place = match namespace {
                Some(namespace) => format!("in the namespace \"{namespace}\""),
                None => "at the cluster scope".to_owned(),
            };
            let message = format!(
                "{object} is forbidden: User \"plinth:operator\" cannot {verb} resource \"{resource}\" in API group \"{group}\" {place}"
            );
            failure(code, "Forbidden", &message, details)
        }
        409 => {
            let message = format!(
                "Operation cannot be fulfilled on {object}: the object has been modified; please apply your changes to the latest version and try again"
            );
            failure(code, "Conflict", &message, details)
        }
        410 => failure(code, "Expired", "The provided resource version is too old.", Value::Null),
        422 => {
            let message = format!("{object} is invalid: spec: Invalid value: \"\": refused by a test");
            let mut details = details;
            details["causes"] = json!([{
                "reason": "FieldValueInvalid", "message": "Invalid value: \"\": refused by a test", "field": "spec",
            }]);
            failure(code, "Invalid", &message, details)
        }
        429 => {
            let message = "Too many requests, please try again later.";
            failure(code, "TooManyRequests", message, json!({ "retryAfterSeconds": RETRY_AFTER }))
        }
        503 => failure(
            code,
            "ServiceUnavailable",
            "the server is currently unable to handle the request",
            details,
        ),
        504 => {
            let message = "Timeout: request did not complete within the allotted timeout";
            failure(code, "Timeout", message, json!({}))
        }
        _ => {
            let cause = "etcdserver: request timed out";
            let details = json!({ "causes": [{ "message": cause }] });
            failure(code, "InternalError", &format!("Internal error occurred: {cause}"), details)
        }
    }
}

fn failure(code: u16, reason: &str, message: &str, details: Value) -> Value {
    let mut status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    if !details.is_null() {
        status["details"] = details;
    }
    status
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use kube::core::Status;

    use super::*;
    use crate::fault::ERRORS;

    #[tokio::test]
    async fn a_refusal_is_what_the_api_server_would_say() {
        let target = Target {
            verb: "apply".to_owned(),
            group: "apps".to_owned(),
            resource: "deployments".to_owned(),
            namespace: Some("a".to_owned()),
            name: Some("b".to_owned()),
            subresource: None,
            passing: false,
        };
        for code in ERRORS {
            let (head, body) = refusal(code, &target).into_parts();
            assert_eq!(head.status, code);
            assert_eq!(head.headers.contains_key(header::RETRY_AFTER), code == 429);
            let body = body.collect().await.unwrap().to_bytes();
            let status: Status = serde_json::from_slice(&body).unwrap();
            assert_eq!(status.code, code);
            let reason = match code {
                401 => "Unauthorized",
                403 => "Forbidden",
                409 => "Conflict",
                410 => "Expired",
                422 => "Invalid",
                429 => "TooManyRequests",
                503 => "ServiceUnavailable",
                504 => "Timeout",
                _ => "InternalError",
            };
            assert_eq!(status.reason, reason);
        }
    }
}
