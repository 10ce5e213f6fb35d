//! What every room's error has in common: a kind, a fault code, and one way to print the chain of causes.

use std::error::Error;
use std::fmt;

use super::fault::FaultCode;

/// Whose fault it is, in the few words that decide an exit code or an HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The configuration asks for something wrong: exit 2, HTTP 400.
    Config,
    /// No such stream, path or file: HTTP 404.
    NotFound,
    /// Known, but not there now (camera unplugged, disk gone): HTTP 503, tried again.
    Unavailable,
    /// Space, viewers or time ran out: HTTP 503 or 507.
    Exhausted,
    /// The world answered with something unexpected: HTTP 500.
    Failed,
}

/// An error that can say its kind and, where an operator can see it, its fault code.
pub trait Coded: Error {
    /// Whose fault it is.
    fn kind(&self) -> Kind;
    /// The code listed in `src/docs/faults.md`, if an operator can see this error.
    fn fault(&self) -> Option<FaultCode> {
        None
    }
}

/// Prints an error with all its causes on one line, outermost first. `Display` of an error never repeats its
/// source, so nothing is said twice.
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(e) = cause {
            write!(f, ": {e}")?;
            cause = e.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("segment not closed")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn chain_prints_every_cause_once() {
        let e = Outer(std::io::Error::other("disk gone"));
        assert_eq!(Chain(&e).to_string(), "segment not closed: disk gone");
    }
}
