//! The record on a block's namespace of what runs in it (I/O). What it says is decided in `plinth_plan::installed`.

use plinth_api::{Stack, names};
use plinth_plan::installed::Installs;
use plinth_runtime::call::CallError;

use super::context::Context;
use super::records::annotate;

/// Writes records that have changed.
///
/// # Errors
/// The API server refused or did not answer; the same is written again.
pub async fn write_all(context: &Context, stack: &Stack, changed: &Installs) -> Result<(), CallError> {
    let annotation = (names::ANNOTATION_INSTALLED, names::UPGRADE_MANAGER);
    for (block, record) in changed {
        annotate(context, stack, block, annotation, record).await?;
    }
    Ok(())
}
