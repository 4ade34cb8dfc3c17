//! The authoriser of the reference exchange: whatever a call says, it is allowed only to whom the certificate names, to what the
//! agreement grants, while that is in force. Held against the words of the rights, not against the code that decides.
#![no_main]

use std::sync::LazyLock;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use plinth_plan::exchange::rights::{Call, Decision, Identity, Rights};
use serde_json::json;

static RIGHTS: LazyLock<Rights> = LazyLock::new(|| {
    let rights = json!({
        "instance": "NOVARIA",
        "subsystems": ["NOVARIA/GOV/100/benefits", "NOVARIA/GOV/200/register", "NOVARIA/COM/300/bank"],
        "services": {
            "NOVARIA/GOV/200/register/people": { "endpoints": [
                { "method": "GET", "path": "/people/*" }, { "method": "POST", "path": "/people" },
            ] },
            "NOVARIA/GOV/200/register/open": {},
        },
        "rights": [
            { "agreement": "a/one", "service": "NOVARIA/GOV/200/register/people", "consumers": ["NOVARIA/GOV/100/benefits"],
              "endpoints": [{ "method": "GET", "path": "/people/*" }], "until": "2030-01-01T00:00:00Z" },
            { "agreement": "a/ended", "service": "NOVARIA/GOV/200/register/open", "consumers": ["NOVARIA/COM/300/bank"],
              "until": "2020-01-01T00:00:00Z" },
        ],
        "peers": ["OTHER"],
    });
    serde_json::from_value(rights).expect("the rights are rights")
});

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(4, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (method, peer, client, path) = (line(), line(), line(), line());
    let rights = &*RIGHTS;
    let identity = Identity::of_spiffe(peer, rights);
    let call = Call { method, path, client: Some(client), identity: identity.as_ref() };
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    match rights.decide(&call, now) {
        Decision::Deny(_) => {}
        Decision::Forward { instance, client, .. } => {
            assert_eq!(instance, "OTHER");
            assert_eq!(identity, Some(Identity::Subsystem(client)), "somebody else's call is passed on");
        }
        Decision::Allow { right, client, service, .. } => {
            // Only one agreement is in force, and this is all that it says.
            assert_eq!(right.agreement, "a/one");
            assert_eq!(client.to_string(), "NOVARIA/GOV/100/benefits");
            assert_eq!(service.to_string(), "NOVARIA/GOV/200/register/people");
            assert_eq!(method, "GET");
            assert_eq!(peer, "spiffe://novaria/GOV/100/benefits", "the certificate is another's");
            let rest = path.split('?').next().unwrap_or_default();
            let rest =
                rest.strip_prefix("/r1/NOVARIA/GOV/200/register/people/people/").expect("the granted path");
            assert!(!rest.is_empty() && !rest.contains(['/', '\\', ';']) && rest != "..", "{path:?}");
        }
    }
});
