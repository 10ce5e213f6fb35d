//! Bus messages as typed faults.

use std::fmt;

use gst::prelude::*;

/// What a pipeline said on its bus that ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// An element failed.
    Error {
        /// Name of the element.
        element: String,
        /// What it said.
        message: String,
        /// The resource it needs is gone or busy (unplugged, no permission, no space), not broken.
        resource: bool,
    },
    /// The stream ended.
    End,
}

impl Fault {
    /// The fault in a bus message, if it is one.
    pub(super) fn from_message(message: &gst::Message) -> Option<Self> {
        match message.view() {
            gst::MessageView::Eos(_) => Some(Fault::End),
            gst::MessageView::Error(e) => {
                let element = message.src().map_or_else(|| "pipeline".into(), |s| s.name().to_string());
                let error = e.error();
                let mut text = error.message().trim_end_matches('.').to_owned();
                // Drivers say the errno only in the debug text, on its last line.
                if let Some(last) = e.debug().as_deref().and_then(|d| d.lines().last().map(str::to_owned)) {
                    text = format!("{text} ({})", last.trim());
                }
                Some(Fault::Error { element, message: text, resource: error.is::<gst::ResourceError>() })
            }
            _ => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Error { element, message, .. } => write!(f, "{element}: {message}"),
            Fault::End => f.write_str("the stream ended"),
        }
    }
}
