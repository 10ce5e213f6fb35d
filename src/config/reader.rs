//! Walks a TOML document along the declared sections and reports everything that does not fit, each with its place.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::base::id::StreamId;
use crate::base::redact;

use super::foreign;
use super::problem::{Place, Problem, Problems};
use super::schema::{Settings, Stream};
use super::section::{Key, Read, Section, Shape};
use super::value::Setting;

/// Streams in one daemon, at most: each costs an encoder, and a board has one or two.
pub(crate) const MOST_STREAMS: usize = 16;

/// Where each value that somebody set comes from, by key path (`stream[0].size`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Origins(BTreeMap<String, Place>);

impl Origins {
    /// The place of a key: where it was set, or where the nearest table around it was, or the built-in default.
    pub fn place(&self, key: &str) -> Place {
        let mut key = key;
        loop {
            if let Some(place) = self.0.get(key) {
                return place.clone();
            }
            match key.rfind(['.', '[']) {
                Some(end) => key = &key[..end],
                None => return Place::Default,
            }
        }
    }

    /// Every key that somebody set, with its place, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Place)> {
        self.0.iter().map(|(key, place)| (key.as_str(), place))
    }

    /// True when somebody set the key.
    pub fn is_set(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    pub(crate) fn set(&mut self, key: &str, place: Place) {
        self.0.insert(key.to_owned(), place);
    }

    /// Forgets everything below `prefix`, because a later layer replaced it.
    fn forget(&mut self, prefix: &str) {
        self.0.retain(|key, _| !key.starts_with(prefix));
    }
}

/// A file and its text, with the beginnings of its lines: each place is found without walking through the text again.
pub(crate) struct Text<'a> {
    path: &'a Path,
    text: &'a str,
    lines: Vec<usize>,
}

impl<'a> Text<'a> {
    pub(crate) fn new(path: &'a Path, text: &'a str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(end, _)| end + 1)).collect();
        Self { path, text, lines }
    }

    /// The line of byte `offset`, from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|begin| *begin <= offset)
    }

    /// The place of byte `offset`.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let offset = if self.text.is_char_boundary(offset) { offset } else { self.text.len() };
        let line = self.line(offset);
        let column = self.text[self.lines[line - 1]..offset].chars().count() + 1;
        Place::File { path: self.path.to_owned(), line, column }
    }
}

/// Where the document being read comes from.
pub(crate) enum From<'a> {
    /// A file.
    File(&'a Text<'a>),
    /// One environment variable: every value is text, numbers and booleans too.
    Variable(&'a str),
}

/// The state of one walk.
pub struct Reader<'a> {
    from: From<'a>,
    origins: &'a mut Origins,
    problems: &'a mut Problems,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(from: From<'a>, origins: &'a mut Origins, problems: &'a mut Problems) -> Self {
        Self { from, origins, problems }
    }

    /// Where `span` of the document is.
    pub(crate) fn place(&self, span: Range<usize>) -> Place {
        match &self.from {
            From::File(text) => text.place(span.start),
            From::Variable(name) => Place::Variable((*name).to_owned()),
        }
    }

    /// Reports a problem at `span`.
    pub(crate) fn problem(&mut self, span: Range<usize>, key: &str, message: impl Into<String>, advice: &str) {
        if self.problems.is_full() {
            return self.problems.count();
        }
        let place = self.place(span);
        self.problems.push(Problem::config(place, key, message).advise(advice));
    }

    /// Reads one value.
    pub(crate) fn setting<T: Setting>(&mut self, value: &Spanned<DeValue<'_>>, at: &str) -> Option<T> {
        let read = match (&self.from, value.get_ref()) {
            (From::Variable(_), DeValue::String(text)) => T::from_text(text.trim()),
            (_, value) => T::from_toml(value),
        };
        match read {
            Ok(read) => {
                let place = self.place(value.span());
                self.origins.set(at, place);
                Some(read)
            }
            Err(message) => {
                self.problem(value.span(), at, message, "");
                None
            }
        }
    }

    /// Reads a table key by key.
    pub(crate) fn section<S: Section>(&mut self, section: &mut S, value: &Spanned<DeValue<'_>>, at: &str) {
        let Some(table) = value.get_ref().as_table() else {
            let message = format!("expected a table of keys, found {}", describe(value.get_ref()));
            return self.problem(value.span(), at, message, "");
        };
        if !at.is_empty() {
            let place = self.place(value.span());
            self.origins.set(at, place);
        }
        if S::BEGUN_BY.is_some_and(|begun| table.iter().any(|(key, _)| key.get_ref() == begun)) {
            *section = S::default();
            self.origins.forget(&format!("{at}."));
        }
        self.table(section, table, at);
    }

    /// The same for a table that is already at hand: the whole document.
    pub(crate) fn table<S: Section>(&mut self, section: &mut S, table: &DeTable<'_>, at: &str) {
        for (key, value) in table {
            let path = join(at, key.get_ref());
            if !section.read_key(key.get_ref(), value, &path, self) {
                self.unknown(S::KEYS, key, value, &path);
            }
        }
    }

    /// Reads the array of streams. The first layer that lists any replaces the built-in one. In a layer above, a stream
    /// whose id the layers below have changes keys of that one; a new id comes behind them.
    pub(crate) fn streams(&mut self, list: &mut Vec<Stream>, value: &Spanned<DeValue<'_>>, at: &str) {
        let Some(array) = value.get_ref().as_array() else {
            let message = format!("expected tables headed [[{at}]], found {}", describe(value.get_ref()));
            return self.problem(value.span(), at, message, &format!("write [[{at}]] with two brackets on each side"));
        };
        if array.is_empty() || array.len() > MOST_STREAMS {
            let message = format!("expected 1 to {MOST_STREAMS} of [[{at}]], found {}", array.len());
            return self.problem(value.span(), at, message, "");
        }
        if !self.origins.is_set(at) {
            list.clear();
        }
        let place = self.place(value.span());
        self.origins.set(at, place);
        // Two of one id in the same layer are a slip, not a change: each of the layers below is met once.
        let mut below: Vec<Option<StreamId>> = list.iter().map(|stream| Some(stream.id.clone())).collect();
        for item in array {
            let id = id_of(item);
            let met = below.iter_mut().enumerate().find(|(_, known)| known.is_some() && **known == id);
            let n = match met {
                Some((n, known)) => {
                    *known = None;
                    n
                }
                None if list.len() == MOST_STREAMS => {
                    let message = format!("more than {MOST_STREAMS} of [[{at}]] in all layers together");
                    return self.problem(item.span(), at, message, "");
                }
                None => {
                    list.push(Stream::default());
                    list.len() - 1
                }
            };
            list[n].read(item, &format!("{at}[{n}]"), self);
        }
    }

    fn unknown(
        &mut self,
        siblings: &[Key],
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
        path: &str,
    ) {
        if self.problems.is_full() {
            return self.problems.count();
        }
        let plain = without_indexes(path);
        // A table known from another system is reported key by key: each has its own new name.
        if let Some(table) = value.get_ref().as_table() {
            let known = |inner: &str| foreign::answer(&join(&plain, inner));
            if table.keys().any(|inner| known(inner.get_ref()).is_some()) {
                for (inner, _) in table {
                    let (message, advice) = known(inner.get_ref()).unwrap_or(("unknown key".into(), String::new()));
                    self.problem(inner.span(), &join(path, inner.get_ref()), message, &advice);
                }
                return;
            }
        }
        if let Some((message, advice)) = foreign::answer(&plain) {
            return self.problem(key.span(), path, message, &advice);
        }
        self.problem(key.span(), path, "unknown key", &nearest(siblings, key.get_ref()));
    }
}

/// The id of a stream before it is read: the one it states, or the default. `None` for one that is no id.
fn id_of(stream: &Spanned<DeValue<'_>>) -> Option<StreamId> {
    let id = stream.get_ref().as_table()?.iter().find(|(key, _)| key.get_ref() == "id");
    id.map_or_else(|| Some(Stream::default().id), |(_, id)| StreamId::new(id.get_ref().as_str()?).ok())
}

/// A value in words for an error: its kind, and the value itself where it is short.
pub(crate) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(s) => format!("the text \"{}\"", redact::short(s)),
        DeValue::Integer(n) => format!("the number {}", n.as_str()),
        DeValue::Float(n) => format!("the number {}", n.as_str()),
        DeValue::Boolean(b) => format!("{b}"),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "an array".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

/// `section.key`, or `key` on the top level.
pub(crate) fn join(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

fn without_indexes(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for part in path.split('[') {
        out.push_str(part.split_once(']').map_or(part, |(_, rest)| rest));
    }
    out
}

/// What an unknown key may have been meant to be.
pub(crate) fn nearest(siblings: &[Key], unknown: &str) -> String {
    let lower = unknown.to_lowercase();
    let near = siblings
        .iter()
        .map(|key| (strsim::damerau_levenshtein(&lower, key.name), key.name))
        .filter(|(edits, name)| *edits <= 1 + name.len() / 4)
        .min();
    // `recording` is meant to be `record`, although it is three letters longer.
    let begins =
        |name: &str| name.len() >= 3 && lower.len() >= 3 && (lower.starts_with(name) || name.starts_with(&lower));
    let near = near.map(|(_, name)| name).or_else(|| siblings.iter().map(|key| key.name).find(|name| begins(name)));
    if let Some(name) = near {
        return format!("the nearest key is {name}");
    }
    let mut elsewhere = Vec::new();
    find(Settings::KEYS, "", &lower, &mut elsewhere);
    if !elsewhere.is_empty() {
        return format!("there is {}", elsewhere.join(" and "));
    }
    let names: Vec<_> = siblings.iter().map(|key| key.name).collect();
    format!("known here: {}", names.join(", "))
}

/// Every place of the schema where a key has this name.
fn find(keys: &[Key], at: &str, name: &str, found: &mut Vec<String>) {
    for key in keys {
        let path = join(at, key.name);
        if let Shape::Table(inner) | Shape::Tables(inner) = key.shape {
            find(inner, &path, name, found);
        }
        if key.name == name {
            found.push(path);
        }
    }
}
