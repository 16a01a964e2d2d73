//! The `sharekeeper` binary.
fn main() {}
