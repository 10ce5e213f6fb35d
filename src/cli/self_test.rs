//! `windhover self-test-encoder`: encodes ten frames and reports on one line. Run by the probe in a child process.

use std::process::ExitCode;

use clap::Args;

use crate::base::clock::SystemClock;
use crate::base::error::Chain;
use crate::encode::encode_ten;

use super::{CliError, say};

/// Encodes ten frames with one encoder element and prints a line of JSON.
#[derive(Debug, Args)]
pub(super) struct SelfTestArgs {
    /// GStreamer element, such as x264enc.
    element: String,
    /// The element that brings pictures into its memory, such as nvvidconv.
    converter: Option<String>,
}

pub(super) fn self_test(args: &SelfTestArgs) -> Result<ExitCode, CliError> {
    match encode_ten(&args.element, args.converter.as_deref(), &SystemClock) {
        Ok(report) => {
            say(&format!("{}\n", serde_json::to_string(&report).expect("a report is plain data")));
            Ok(ExitCode::SUCCESS)
        }
        Err(source) => {
            // The parent takes the last line as the reason and knows the element already.
            #[allow(clippy::print_stderr)]
            {
                eprintln!("{}", Chain(&source));
            }
            Ok(ExitCode::FAILURE)
        }
    }
}
