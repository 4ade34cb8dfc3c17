//! Trying until it holds.

use std::time::{Duration, Instant};

use anyhow::Result;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// Tries until it holds.
///
/// # Errors
/// It did not hold within the limit; why not the last time.
pub async fn within<T>(
    limit: Duration,
    what: &str,
    mut attempt: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let until = Instant::now() + limit;
    loop {
        match attempt().await {
            Ok(held) => return Ok(held),
            Err(error) if Instant::now() > until => {
                return Err(error.context(format!("waited {} s for {what}", limit.as_secs())));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
