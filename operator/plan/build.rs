//! The catalogue is part of this crate: a changed entry rebuilds it.
fn main() {
    println!("cargo:rerun-if-changed=../catalogue");
}
