//! Ports of loopback for servers that a test starts.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// The first port; all lie below the range from which systems hand out ports for outgoing connections, so that none of those
/// takes one between the question and the server.
const FIRST: u16 = 12_000;
/// How many ports there are.
const COUNT: u32 = 20_000;

/// A port that is free, and that nothing else of this process was told.
pub fn free_port() -> u16 {
    static TOLD: AtomicU32 = AtomicU32::new(0);
    // Tests that run beside these begin elsewhere.
    let start = std::process::id().wrapping_mul(7919);
    for _ in 0..COUNT {
        let offset = start.wrapping_add(TOLD.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = FIRST + u16::try_from(offset).expect("COUNT fits");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port of loopback from {FIRST} on");
}
