//! The daemon and its tools in one binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    windhover::cli::main()
}
