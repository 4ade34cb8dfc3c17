//! Paths of the exchange: one that is accepted can be read in one way only, and what an agreement may grant never covers more
//! than the service that it is about.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plinth_api::v1alpha1::exchange::Endpoint;
use plinth_plan::exchange::endpoint::{contains, covers, segments};

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(3, '\n');
    let path = lines.next().unwrap_or_default();
    let Ok(read) = segments(path) else { return };
    assert!(path.starts_with('/'), "{path:?}");
    for segment in &read {
        assert!(segment != "." && segment != "..", "{path:?}");
        assert!(!segment.contains(['/', '\\', ';', '?', '#', '\0']), "{path:?} has {segment:?}");
    }
    let endpoint = |path: &str| Endpoint { method: "GET".to_owned(), path: path.to_owned() };
    let (Some(outer), Some(inner)) = (lines.next().map(endpoint), lines.next().map(endpoint)) else { return };
    if contains(&outer, &inner) && covers(&inner, "GET", &read) {
        assert!(covers(&outer, "GET", &read), "{path:?}: {inner:?} is granted, {outer:?} is not");
    }
});
