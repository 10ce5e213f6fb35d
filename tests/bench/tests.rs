//! The measurements' own tests: that they see what they are there to see.

#![allow(clippy::print_stderr)]
// The rows that use the rest are no tests.
#![allow(dead_code)]

#[path = "../support/mod.rs"]
mod support;

mod example;
mod judged;
mod loop_disk;
mod machine;
mod soak;
mod subject;
mod table;
