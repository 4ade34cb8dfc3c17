//! Ports of loopback for servers that are started here.

use std::net::TcpListener;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Error, Result};

/// The first port. All lie below the range from which systems hand out ports for outgoing connections: none of those takes one
/// between the question and the server, and a server that restarts finds its port again.
const FIRST: u16 = 12_000;
/// How many ports there are.
const COUNT: u32 = 20_000;

/// A port that is free now, and that nobody else in this process was told.
///
/// # Errors
/// All are taken.
pub fn free_port() -> Result<u16> {
    // Spread by process and time: processes that start at once must not all try the same ports.
    static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| {
        let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        AtomicU32::new(std::process::id().wrapping_mul(7919).wrapping_add(clock.subsec_micros()))
    });
    for _ in 0..COUNT {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + u16::try_from(offset).expect("COUNT fits");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    let none = std::io::Error::new(std::io::ErrorKind::AddrInUse, "no free port");
    Err(Error::io("127.0.0.1")(none))
}
