//! Names that appear in URLs and paths, checked once.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::redact;

/// The name of a stream: in its RTSP path, its directory and its URLs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamId(String);

/// Why a text is no stream id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no stream id: use 1 to 32 characters a-z, 0-9, '-' or '_', beginning with a letter or digit")]
pub struct BadId(String);

impl StreamId {
    /// Checks `text`: it becomes a path component and a URL segment, so nothing that needs escaping is allowed.
    pub fn new(text: &str) -> Result<Self, BadId> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        let starts = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if text.len() <= 32 && starts && text.chars().all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadId(redact::short(text)))
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for StreamId {
    type Error = BadId;
    fn try_from(text: String) -> Result<Self, BadId> {
        Self::new(&text)
    }
}

impl From<StreamId> for String {
    fn from(id: StreamId) -> String {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::StreamId;

    #[test]
    fn only_names_that_need_no_escaping() {
        for good in ["live", "0", "front-left_2"] {
            assert!(StreamId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a/b", "..", "ä", "a b", &"x".repeat(33)] {
            assert!(StreamId::new(bad).is_err(), "{bad}");
        }
    }
}
