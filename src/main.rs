//! The daemon and its tools in one binary.

fn main() {}
