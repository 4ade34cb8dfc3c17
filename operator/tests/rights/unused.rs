//! Rights that this test does not see used, each with the reason why the operator has them all the same.

use plinth_api::rights::KINDS;

use super::audit::Right;

/// Kinds that products of one's own may render and no built-in one does, and what only blocks on other clusters need.
pub(crate) const NOT_BUILT_IN: &[&str] =
    &["gitrepositories", "issuers", "kafkausers", "serviceexports", "tlsroutes"];

/// What agencies declare.
const AGENCIES: [&str; 4] = ["members", "exchangeagreements", "registries", "publicservices"];

/// Why a right is given that was not used.
pub(crate) fn reason(right: &Right) -> Option<&'static str> {
    let rendered = KINDS.iter().any(|kind| kind.group() == right.group && kind.plural == right.resource);
    let built_in = !NOT_BUILT_IN.contains(&right.resource.as_str());
    match right.verb.as_str() {
        _ if right.resource == "serviceexports" => Some(
            "only what blocks on other clusters call is exported: no cluster here takes part in Multicluster Services",
        ),
        "bind" => Some("RBAC asks for it when a RoleBinding is written; no request is called that"),
        "list" if right.resource != "nodes" => {
            Some("an API server without streaming lists is listed in pages; this one streams them")
        }
        "get" if rendered || right.resource == "buildingblocks" => Some(
            "what a lost answer or a list under way leaves in doubt is read; e2e/faults makes such answers",
        ),
        "get" if AGENCIES.contains(&right.resource.as_str()) => {
            Some("an object that this Plinth cannot read, of a newer one's kinds; here all can be read")
        }
        "watch" if right.resource == "customresourcedefinitions" => {
            Some("watched only while a Stack lacks a kind; here every kind is served")
        }
        "delete" if right.resource == "controllerrevisions" => {
            Some("more approved specs than the few that are kept; here there is one")
        }
        "patch" if right.resource == "events" => {
            Some("the same condition changes to the same again within minutes; here none does for sure")
        }
        _ if rendered && !built_in => Some("only products of one's own render that kind"),
        _ => None,
    }
}
