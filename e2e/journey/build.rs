//! The example is a part of this crate: a changed one rebuilds it.
fn main() {
    println!("cargo:rerun-if-changed=../../examples/journey");
}
