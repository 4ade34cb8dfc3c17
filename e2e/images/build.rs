//! The recipes are part of this crate: a changed one rebuilds it.
fn main() {
    println!("cargo:rerun-if-changed=recipes");
}
