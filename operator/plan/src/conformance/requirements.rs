//! GovStack's cross-functional requirements: identifiers and classifiers of GovStackWorkingGroup/cfr-architecture,
//! `spec/6-cross-functional-requirements/` (6.2 to 6.5) at commit e8e7b30a, version 2.0.0. The rules are in our words.

use plinth_api::v1alpha1::conformance::{Level, Mutability, Verification};

use Level::{Recommended, Required};
use Mutability::{Extensible, Immutable, Replaceable};
use Verification::{Auditable, Observable};

use super::checks::{self, Check};

/// The specification that the identifiers are of.
pub const SPECIFICATION: &str = "GovStack cfr-architecture 2.0.0";

/// One requirement.
#[derive(Clone, Copy, Debug)]
pub struct Requirement {
    /// Chapter, as it stands in identifiers.
    pub chapter: &'static str,
    /// Its number there.
    pub number: u8,
    /// How binding it is.
    pub level: Level,
    /// What may be made of it.
    pub mutability: Mutability,
    /// How it can be verified.
    pub verification: Verification,
    /// What it asks for, in a few words.
    pub rule: &'static str,
    /// What is looked at on a block; `None` where a cluster shows nothing of it.
    pub check: Option<Check>,
}

impl Requirement {
    /// As GovStack refers to it: `govstack-cfr-deployment#req-11`.
    pub fn id(&self) -> String {
        format!("govstack-cfr-{}#req-{}", self.chapter, self.number)
    }
}

/// A requirement of which a cluster shows nothing.
const fn unseen(
    chapter: &'static str,
    number: u8,
    level: Level,
    mutability: Mutability,
    verification: Verification,
    rule: &'static str,
) -> Requirement {
    Requirement { chapter, number, level, mutability, verification, rule, check: None }
}

/// A requirement of which something can be looked at.
const fn seen(
    chapter: &'static str,
    number: u8,
    (level, mutability, verification): (Level, Mutability, Verification),
    rule: &'static str,
    check: Check,
) -> Requirement {
    Requirement { chapter, number, level, mutability, verification, rule, check: Some(check) }
}

/// The requirement with an identifier.
pub fn find(id: &str) -> Option<&'static Requirement> {
    ALL.iter().find(|requirement| requirement.id() == id)
}

const DEPLOYMENT: &str = "deployment";
const ARCHITECTURE: &str = "architecture";
const QUALITY: &str = "quality";
const SECURITY: &str = "security";

/// Every requirement, in the specification's order.
#[rustfmt::skip]
pub const ALL: &[Requirement] = &[
    seen(DEPLOYMENT, 1, (Required, Extensible, Auditable), "a container image of its own, versioned", checks::versioned_images),
    seen(DEPLOYMENT, 2, (Required, Extensible, Auditable), "its data can be backed up and restored, and that is tried", checks::proven_restore),
    unseen(DEPLOYMENT, 3, Required, Extensible, Auditable, "documented deployment, variables and rollback"),
    unseen(DEPLOYMENT, 4, Recommended, Extensible, Auditable, "signed images, verified before they run"),
    unseen(DEPLOYMENT, 5, Recommended, Extensible, Auditable, "versions are kept, and the last can be gone back to"),
    unseen(DEPLOYMENT, 6, Recommended, Extensible, Auditable, "environments differ by configuration alone"),
    unseen(DEPLOYMENT, 7, Recommended, Extensible, Auditable, "deployment is declared, idempotent and published"),
    unseen(DEPLOYMENT, 8, Recommended, Extensible, Auditable, "fits into continuous integration and deployment"),
    seen(DEPLOYMENT, 9, (Recommended, Extensible, Auditable), "tolerates the loss of one instance", checks::several_instances),
    seen(DEPLOYMENT, 10, (Recommended, Extensible, Auditable), "shuts down gracefully, starts fast", checks::graceful_shutdown),
    seen(DEPLOYMENT, 11, (Recommended, Extensible, Observable), "requests and limits of CPU and memory for every container", checks::resources),
    unseen(DEPLOYMENT, 12, Recommended, Extensible, Auditable, "minimal base images"),

    seen(ARCHITECTURE, 1, (Required, Immutable, Auditable), "autonomous: no database, file system or memory is shared", checks::own_data),
    unseen(ARCHITECTURE, 2, Required, Replaceable, Auditable, "other blocks are reached by their interfaces alone"),
    unseen(ARCHITECTURE, 3, Recommended, Extensible, Observable, "interfaces are versioned"),
    unseen(ARCHITECTURE, 4, Recommended, Extensible, Auditable, "interfaces are stateless"),
    unseen(ARCHITECTURE, 5, Recommended, Extensible, Observable, "idempotent methods are idempotent"),
    unseen(ARCHITECTURE, 6, Required, Extensible, Auditable, "TM Forum's design guidelines, part 1"),
    unseen(ARCHITECTURE, 7, Recommended, Replaceable, Auditable, "TM Forum's design guidelines, parts 2 to 7"),
    unseen(ARCHITECTURE, 8, Recommended, Extensible, Auditable, "pages and services are separate"),
    unseen(ARCHITECTURE, 9, Recommended, Extensible, Auditable, "no business logic in databases"),
    unseen(ARCHITECTURE, 10, Recommended, Extensible, Auditable, "components follow their domains"),
    unseen(ARCHITECTURE, 11, Recommended, Extensible, Auditable, "asynchronous first"),
    unseen(ARCHITECTURE, 12, Recommended, Extensible, Auditable, "a failure elsewhere does not spread"),
    unseen(ARCHITECTURE, 13, Recommended, Extensible, Observable, "requests carry a correlation identifier"),
    unseen(ARCHITECTURE, 14, Recommended, Replaceable, Observable, "callbacks are web hooks"),
    seen(ARCHITECTURE, 15, (Recommended, Extensible, Observable), "health, metrics and logs can be had", checks::health),
    unseen(ARCHITECTURE, 16, Recommended, Replaceable, Auditable, "clocks are synchronised"),
    unseen(ARCHITECTURE, 17, Recommended, Extensible, Auditable, "interfaces are retired in the open"),
    unseen(ARCHITECTURE, 18, Recommended, Extensible, Auditable, "unknown fields are ignored"),
    unseen(ARCHITECTURE, 19, Recommended, Extensible, Auditable, "messages have published schemas"),

    unseen(QUALITY, 1, Required, Extensible, Auditable, "documentation in English"),
    unseen(QUALITY, 2, Required, Extensible, Observable, "pages are valid HTML 5 and CSS 3"),
    unseen(QUALITY, 3, Recommended, Immutable, Observable, "WCAG 2.1 AA"),
    seen(QUALITY, 4, (Recommended, Extensible, Observable), "an OpenAPI 3 document for every interface", checks::open_api),
    unseen(QUALITY, 5, Recommended, Extensible, Auditable, "scope is documented as use cases"),
    unseen(QUALITY, 6, Recommended, Extensible, Auditable, "functional tests cover what people use"),
    unseen(QUALITY, 7, Recommended, Replaceable, Observable, "an example implementation to test against"),
    unseen(QUALITY, 8, Recommended, Extensible, Auditable, "can be translated"),

    seen(SECURITY, 1, (Required, Immutable, Observable), "HTTPS with TLS 1.3 everywhere", checks::transport),
    unseen(SECURITY, 2, Recommended, Immutable, Auditable, "current algorithms alone"),
    unseen(SECURITY, 3, Required, Extensible, Observable, "OpenID Connect for people, OAuth 2 for machines"),
    seen(SECURITY, 4, (Required, Immutable, Auditable), "secrets come from a secret store", checks::secret_values),
    unseen(SECURITY, 5, Required, Immutable, Auditable, "no secret in repositories and documents"),
    unseen(SECURITY, 6, Recommended, Extensible, Auditable, "input and output are checked"),
    unseen(SECURITY, 7, Required, Extensible, Auditable, "security events are logged"),
    seen(SECURITY, 8, (Recommended, Extensible, Auditable), "isolated: few privileges, own namespace, closed network", checks::isolation),
    seen(SECURITY, 9, (Recommended, Extensible, Observable), "what is public stands behind a gateway", checks::gateway),
    unseen(SECURITY, 10, Recommended, Extensible, Auditable, "keys are rotated by a policy"),
    unseen(SECURITY, 11, Recommended, Extensible, Auditable, "scanned and patched"),
    unseen(SECURITY, 12, Recommended, Extensible, Auditable, "plans for disasters and incidents, tried"),
    unseen(SECURITY, 13, Recommended, Immutable, Auditable, "ready for an audit"),
    unseen(SECURITY, 14, Recommended, Extensible, Auditable, "data at rest is encrypted"),
    unseen(SECURITY, 15, Recommended, Extensible, Auditable, "a bill of materials"),
    unseen(SECURITY, 16, Required, Extensible, Auditable, "nothing sensitive in errors and logs"),
];
