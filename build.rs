//! Links the program at a fixed address: a relocated (PIE) copy of the binary
//! would cost every shim some hundred KiB of private memory for its relocations.
fn main() {
    println!("cargo:rustc-link-arg-bin=stack=-no-pie");
    println!("cargo:rerun-if-changed=build.rs");
}
