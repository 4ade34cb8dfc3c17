//! Sandboxes, the pure part: what one becomes ([`template`]), what it may ask for ([`policy`]), where it is in its life
//! ([`life`], [`schedule`]), what that costs ([`cost`]) and what is said of it ([`status`], [`notice`]). No clock: whoever asks says what time it is.

pub mod cost;
pub mod life;
pub mod notice;
pub mod policy;
pub mod prospect;
pub mod report;
pub mod schedule;
pub mod span;
pub mod status;
pub mod template;

use plinth_api::Sandbox;
use plinth_api::v1alpha1::sandbox::StackPlace;

use crate::render::short_digest;

/// Longest name of a Sandbox: with the digest it is a prefix that the name of every block fits behind.
pub const MAX_NAME: usize = 20;

/// Where the Stack of a Sandbox is: in a namespace that no other Sandbox has, whatever the two are called, and that a person still
/// recognises. `demo` in `donors` is in `demo-3fa9c1`.
pub fn place(sandbox: &Sandbox) -> StackPlace {
    let name = sandbox.metadata.name.clone().unwrap_or_default();
    let digest = short_digest(&id(sandbox));
    StackPlace { namespace: format!("{name}-{}", &digest[..6]), name }
}

/// What a Sandbox is called: `namespace/name`, as the annotation on everything that is made for it says.
pub fn id(sandbox: &Sandbox) -> String {
    let metadata = &sandbox.metadata;
    format!(
        "{}/{}",
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default()
    )
}
