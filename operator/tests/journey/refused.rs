//! Who may not is refused, by the exchange or before it.

use anyhow::Result;
use plinth_journey::{System, within};

use super::{LIMIT, World};

/// Writes by who may only read, records that do not fit, and a pod that is nobody's system.
pub async fn who_may_not_is_refused(world: &World<'_>) -> Result<()> {
    let World { desk, grants, .. } = world;
    let record = world.person.record();
    // Policies follow the pods that were just started.
    within(LIMIT, "the reader to read", async || {
        grants.expect("GET", &record, "", 200, r#""familyName":"Tamm""#)
    })
    .await?;
    let other = r#"{"data": {"givenName": "Other", "familyName": "Name", "born": "1980-01-08"}}"#;
    grants.expect("PUT", &record, other, 403, "does not grant PUT")?;
    desk.expect("PUT", &record, r#"{"data": {"givenName": "Jaan"}}"#, 400, "is a required property")?;
    // With the very certificate of the reader: its pod is not the one that the agency named.
    let stranger = System::start(world.country, "families", "stranger", "exchange-200-grants-").await?;
    stranger.expect("GET", &record, "", 0, "")
}
