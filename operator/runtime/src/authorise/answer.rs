//! What becomes of a call, and how Envoy and the caller are told: X-Road's headers and the form of its error messages
//! (PR-REST 4.3 and 4.6).

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use plinth_api::v1alpha1::exchange::Endpoint;
use plinth_plan::exchange::id::{ServiceId, SubsystemId};
use plinth_plan::exchange::rights::{Denial, Layer, Reason};
use serde_json::json;

use super::{CLIENT, ID};

/// X-Road's header of the service that was called.
const SERVICE: &str = "x-road-service";
/// X-Road's header that tells an error of the exchange from one of the service.
const ERROR: &str = "x-road-error";

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What.
    pub outcome: Outcome,
    /// Which layer says so; the rights where it is allowed.
    pub layer: &'static str,
    /// Why not, in a word.
    pub reason: Option<Reason>,
    /// One line for whoever called.
    pub message: String,
    /// Who calls, where that is known.
    pub client: Option<SubsystemId>,
    /// What is called, where that is known.
    pub service: Option<ServiceId>,
    /// By which agreement.
    pub agreement: Option<String>,
    /// Pattern of the path that covers the call; never the path itself.
    pub path: Option<String>,
}

/// How a call ends here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passes.
    Allow,
    /// It passes to another instance, which decides.
    Forward,
    /// It does not.
    Deny,
    /// Not now; seconds until it may be tried again.
    Limit(u64),
    /// It cannot be decided, so that it does not pass.
    Undecided,
}

impl Outcome {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Forward => "forward",
            Self::Deny => "deny",
            Self::Limit(_) => "limit",
            Self::Undecided => "undecided",
        }
    }
}

impl Verdict {
    fn new(outcome: Outcome, layer: &'static str, message: impl Into<String>) -> Self {
        Self {
            outcome,
            layer,
            reason: None,
            message: message.into(),
            client: None,
            service: None,
            agreement: None,
            path: None,
        }
    }

    /// It may pass to another instance, whose own servers decide.
    pub fn forwarded(client: SubsystemId, service: ServiceId) -> Self {
        Self { client: Some(client), service: Some(service), ..Self::new(Outcome::Forward, "federation", "") }
    }

    /// It may pass, by an agreement.
    pub fn allowed(
        client: SubsystemId,
        service: ServiceId,
        agreement: &str,
        endpoint: Option<&Endpoint>,
    ) -> Self {
        Self {
            client: Some(client),
            service: Some(service),
            agreement: Some(agreement.to_owned()),
            path: endpoint.map(|endpoint| endpoint.path.clone()),
            ..Self::new(Outcome::Allow, Layer::Agreement.word(), "")
        }
    }

    /// It may not.
    pub fn denied(denial: Denial) -> Self {
        Self {
            reason: Some(denial.reason),
            client: denial.client,
            service: denial.service,
            ..Self::new(Outcome::Deny, denial.layer.word(), denial.message)
        }
    }

    /// It may, but not so often.
    pub fn limited(
        client: SubsystemId,
        service: ServiceId,
        agreement: &str,
        endpoint: Option<&Endpoint>,
        seconds: u64,
    ) -> Self {
        let message = format!("agreement {agreement} allows no more calls for now");
        Self {
            outcome: Outcome::Limit(seconds),
            layer: "limit",
            message,
            ..Self::allowed(client, service, agreement, endpoint)
        }
    }

    /// No rights were read yet.
    pub fn without_rights() -> Self {
        Self::new(Outcome::Undecided, "rights", "the rights of the exchange are not known yet")
    }

    /// It cannot be written down.
    pub fn without_journal() -> Self {
        Self::new(Outcome::Undecided, "journal", "the call cannot be written down")
    }

    /// X-Road's code for it.
    fn code(&self) -> &'static str {
        match (self.outcome, self.layer) {
            (Outcome::Undecided, _) => "Server.ServerProxy.InternalError",
            (_, "address") => "Client.BadRequest",
            (_, "identity") => "Server.ClientProxy.SslAuthenticationFailed",
            (_, "service") => "Server.ServerProxy.UnknownService",
            _ => "Server.ServerProxy.AccessDenied",
        }
    }

    /// The answer to Envoy: 200 lets the call pass, and its headers are put on the call and on its answer; anything else is
    /// what the caller gets. `id` is the message's.
    pub fn response(&self, id: &str) -> Response<Body> {
        let status = match self.outcome {
            Outcome::Allow | Outcome::Forward => StatusCode::OK,
            Outcome::Deny => StatusCode::FORBIDDEN,
            Outcome::Limit(_) => StatusCode::TOO_MANY_REQUESTS,
            Outcome::Undecided => StatusCode::SERVICE_UNAVAILABLE,
        };
        let body = match self.outcome {
            Outcome::Allow | Outcome::Forward => Body::empty(),
            _ => Body::from(self.body(id)),
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let mut set = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(name, value);
            }
        };
        set(ID, id);
        if let Some(client) = &self.client {
            set(CLIENT, &client.to_string());
        }
        if let Some(service) = &self.service {
            set(SERVICE, &service.to_string());
        }
        if !matches!(self.outcome, Outcome::Allow | Outcome::Forward) {
            set(ERROR, self.code());
            set(header::CONTENT_TYPE.as_str(), "application/json;charset=utf-8");
        }
        if let Outcome::Limit(seconds) = self.outcome {
            set(header::RETRY_AFTER.as_str(), &seconds.to_string());
        }
        response
    }

    /// X-Road's error message, with the layer and the reason beside it.
    fn body(&self, id: &str) -> String {
        let mut body = json!({
            "type": self.code(),
            "message": self.message,
            "detail": id,
            "layer": self.layer,
        });
        if let Some(reason) = self.reason {
            body["reason"] = json!(reason);
        }
        body.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header<'r>(response: &'r Response<Body>, name: &str) -> Option<&'r str> {
        response.headers().get(name).and_then(|value| value.to_str().ok())
    }

    #[tokio::test]
    async fn a_denial_names_layer_and_reason_as_the_exchange_says_it() {
        let denial = Denial {
            layer: Layer::Agreement,
            reason: Reason::Ended,
            message: "agreement civil/old has ended".to_owned(),
            client: None,
            service: None,
        };
        let response = Verdict::denied(denial).response("m-1");
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert_eq!(header(&response, ERROR), Some("Server.ServerProxy.AccessDenied"));
        assert_eq!(header(&response, ID), Some("m-1"));
        let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let wanted = json!({
            "type": "Server.ServerProxy.AccessDenied", "message": "agreement civil/old has ended",
            "detail": "m-1", "layer": "agreement", "reason": "ended",
        });
        assert_eq!(body, wanted);
    }

    #[test]
    fn what_passes_carries_who_calls_whom_and_nothing_that_looks_like_an_error() {
        let (client, service) = ("UA/GOV/1/app".parse().unwrap(), "UA/GOV/2/civil/births".parse().unwrap());
        let response = Verdict::allowed(client, service, "civil/births", None).response("m-1");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, CLIENT), Some("UA/GOV/1/app"));
        assert_eq!(header(&response, SERVICE), Some("UA/GOV/2/civil/births"));
        assert_eq!(header(&response, ERROR), None);
    }

    #[test]
    fn a_limit_says_when_to_come_again_and_what_is_undecided_does_not_pass() {
        let (client, service) = ("UA/GOV/1/app".parse().unwrap(), "UA/GOV/2/civil/births".parse().unwrap());
        let response = Verdict::limited(client, service, "civil/births", None, 7).response("m-1");
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(header(&response, "retry-after"), Some("7"));
        for verdict in [Verdict::without_rights(), Verdict::without_journal()] {
            assert_eq!(verdict.response("m-1").status(), StatusCode::SERVICE_UNAVAILABLE);
        }
    }
}
