//! What is wrong, where, and what to do about it; collected so that everything is said at once.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::base::redact;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// A place in a file; line and column count from 1, columns in characters.
    File {
        /// The file.
        path: PathBuf,
        /// Line, from 1; 0 when the whole file is meant.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// An environment variable.
    Variable(String),
    /// Nobody set it: the built-in default.
    Default,
    /// The machine itself, not its configuration.
    Machine,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { path, line: 0, .. } => write!(f, "{}", path.display()),
            Place::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Place::Variable(name) => write!(f, "environment variable {name}"),
            Place::Default => f.write_str("built-in default"),
            Place::Machine => f.write_str("this machine"),
        }
    }
}

/// Whose fault it is: decides whether `run` starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The configuration itself is wrong: `run` refuses.
    Config,
    /// The world is not as configured (camera absent, port taken): `run` raises a fault and tries again.
    World,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// The key it is about, `stream[0].size`; empty when it is about none.
    pub key: String,
    /// What is wrong and what was expected.
    pub message: String,
    /// What to do; empty when the message says it.
    pub advice: String,
    /// Whose fault it is.
    pub class: Class,
}

impl Problem {
    /// A problem of the configuration.
    pub fn config(place: Place, key: impl Into<String>, message: impl Into<String>) -> Self {
        let (key, message) = (printable(&key.into()), printable(&message.into()));
        Self { place, key, message, advice: String::new(), class: Class::Config }
    }

    /// A problem of the world.
    pub fn world(place: Place, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { class: Class::World, ..Self::config(place, key, message) }
    }

    /// The same, with what to do about it.
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = redact::urls(&advice.into());
        self
    }
}

/// A value that is quoted may hold anything: neither control characters nor the password of a camera's URL, which was
/// written to the wrong key, may reach a terminal or a log.
fn printable(text: &str) -> String {
    redact::urls(&text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>())
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        if !self.advice.is_empty() {
            write!(f, "\n    {}", self.advice)?;
        }
        Ok(())
    }
}

/// Everything that is wrong. Prints one problem after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems {
    list: Vec<Problem>,
    #[serde(skip)]
    not_shown: usize,
}

/// More than this is noise: a file of another kind, not a slip.
const MOST: usize = 200;

impl Problems {
    /// Adds one. After 200 the rest is only counted: nobody reads on, and memory stays bounded.
    pub fn push(&mut self, problem: Problem) {
        if self.is_full() { self.count() } else { self.list.push(problem) }
    }

    /// True when one more would not be shown: then nobody need work out what to say of it.
    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= MOST
    }

    /// Counts one that is not shown.
    pub(crate) fn count(&mut self) {
        self.not_shown += 1;
    }

    /// Adds all of `more`.
    pub(crate) fn append(&mut self, more: Problems) {
        self.not_shown += more.not_shown;
        more.list.into_iter().for_each(|problem| self.push(problem));
    }

    /// How many were only counted.
    pub fn not_shown(&self) -> usize {
        self.not_shown
    }

    /// Adds those of `more` whose key has no problem of the configuration: a value that could not be read was replaced by
    /// its default, and what the world says about that default would only mislead.
    pub fn add_unless_known(&mut self, more: Problems) {
        let misread: Vec<String> =
            self.list.iter().filter(|p| p.class == Class::Config).map(|p| p.key.clone()).collect();
        self.not_shown += more.not_shown;
        for problem in more.list {
            if problem.key.is_empty() || !misread.contains(&problem.key) {
                self.push(problem);
            }
        }
    }

    /// True when nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many are shown.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// One after the other.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.list.iter()
    }

    /// In the order in which a person walks through them: file by file, line by line, then the environment.
    pub(crate) fn sort_by_place(&mut self) {
        self.list.sort_by(|a, b| a.place.cmp(&b.place));
    }

    /// Keeps those that `keep` accepts.
    pub fn retain(&mut self, keep: impl FnMut(&Problem) -> bool) {
        self.list.retain(keep);
    }

    /// True when any problem is one of the configuration itself, so that `run` must refuse.
    pub fn refuse(&self) -> bool {
        self.list.iter().any(|p| p.class == Class::Config)
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;
    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.list.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        match self.not_shown {
            0 => Ok(()),
            more => write!(f, "\nand {more} more, which are not shown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_place_key_message_and_advice() {
        let place = Place::File { path: "/etc/w.toml".into(), line: 3, column: 5 };
        let mut all = Problems::default();
        all.push(Problem::config(place, "rtsp.listn", "unknown key").advise("did you mean listen?"));
        all.push(Problem::world(Place::Machine, "", "no camera"));
        let want = "/etc/w.toml:3:5: rtsp.listn: unknown key\n    did you mean listen?\nthis machine: no camera";
        assert_eq!(all.to_string(), want);
        assert!(all.refuse());
    }

    #[test]
    fn after_200_the_rest_is_counted() {
        let (mut all, mut more) = (Problems::default(), Problems::default());
        for n in 0..150 {
            all.push(Problem::config(Place::Machine, "", format!("one {n}")));
            more.push(Problem::config(Place::Machine, "", format!("two {n}")));
        }
        all.append(more.clone());
        all.add_unless_known(more);
        all.count();
        assert_eq!((all.len(), all.not_shown()), (200, 251));
        assert!(all.to_string().ends_with("two 49\nand 251 more, which are not shown"), "{all}");
    }

    #[test]
    fn a_quoted_value_cannot_write_to_the_terminal() {
        assert_eq!(Problem::config(Place::Machine, "", "\x1b[2Jgone\n").message, " [2Jgone ");
    }

    #[test]
    fn the_password_of_a_url_is_not_repeated() {
        let problem = Problem::config(Place::Machine, "", "\"rtsp://bob:secret@cam/1\" is no device");
        assert_eq!(problem.message, "\"rtsp://***@cam/1\" is no device");
        assert_eq!(problem.advise("not rtsp://bob:secret@cam").advice, "not rtsp://***@cam");
    }

    #[test]
    fn what_is_said_of_a_replaced_value_is_dropped() {
        let mut all = Problems::default();
        all.push(Problem::config(Place::Default, "stream[0].size", "no size"));
        let mut more = Problems::default();
        more.push(Problem::world(Place::Default, "stream[0].size", "the camera cannot do 1280x720"));
        more.push(Problem::world(Place::Machine, "stream[0]", "jpegdec is not installed"));
        more.push(Problem::world(Place::Machine, "stream[0]", "jpegenc is not installed"));
        all.add_unless_known(more);
        let keys: Vec<_> = all.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(keys, ["stream[0].size", "stream[0]", "stream[0]"]);
    }
}
