//! Plinth faults.
