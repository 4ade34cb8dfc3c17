//! Plinth bench.
