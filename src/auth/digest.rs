//! Digest authentication as RTSP players speak it: MD5, without `qop` (RFC 2069; RFC 2617, 3.2.2).
//!
//! MD5 is broken for signatures, not as used here: the password is generated with 100 bits, and the nonce belongs to one
//! connection. GStreamer, ffmpeg, VLC and QGroundControl know nothing better.

use std::collections::BTreeMap;
use std::fmt;

use md5::{Digest as _, Md5};

use super::REALM;
use super::store::Name;

/// Who may watch. What it holds is as good as passwords and is never printed.
#[derive(Default, PartialEq, Eq)]
pub struct Credentials(pub(super) BTreeMap<Name, Ha1>);

/// MD5 of `name:realm:password`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Ha1(pub(super) [u8; 16]);

/// What an `Authorization` is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The client knows a password.
    Right,
    /// It does, but answers an older question than ours: it may try again at once.
    Stale,
    /// It does not.
    Wrong,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials of {} names", self.0.len())
    }
}

impl Credentials {
    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.0.keys()
    }

    /// True if nobody may watch.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Judges the value of an `Authorization` field that came with a request of this method, where `nonce` was asked.
    pub fn judge(&self, authorization: &str, method: &str, nonce: &str) -> Verdict {
        let Some(answer) = Answer::parse(authorization) else { return Verdict::Wrong };
        let known = Name::new(&answer.username).ok().and_then(|name| self.0.get(&name).copied());
        // A name that nobody has takes as long as one with a wrong password.
        let ha1 = known.unwrap_or(Ha1([0; 16]));
        let expected = response(ha1, method, &answer.uri, &answer.nonce);
        let right = same(expected.as_bytes(), answer.response.as_bytes()) && answer.realm == REALM && known.is_some();
        match right {
            true if same(answer.nonce.as_bytes(), nonce.as_bytes()) => Verdict::Right,
            true => Verdict::Stale,
            false => Verdict::Wrong,
        }
    }
}

impl Ha1 {
    pub(super) fn of(name: &Name, password: &str) -> Self {
        Self(Md5::digest(format!("{name}:{REALM}:{password}")).into())
    }
}

/// The value of `WWW-Authenticate`.
pub fn challenge(nonce: &str, stale: bool) -> String {
    let stale = if stale { ", stale=TRUE" } else { "" };
    format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\"{stale}")
}

/// A question that nobody can foresee, for one connection.
pub fn new_nonce() -> String {
    hex(&random::<16>())
}

/// Bytes of the kernel's generator.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(more) => filled += more,
            Err(e) => assert!(e == rustix::io::Errno::INTR, "getrandom(2) fails only when interrupted: {e}"),
        }
    }
    bytes
}

fn response(ha1: Ha1, method: &str, uri: &str, nonce: &str) -> String {
    let ha2 = hex(&Md5::digest(format!("{method}:{uri}")));
    hex(&Md5::digest(format!("{}:{nonce}:{ha2}", hex(&ha1.0))))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares without telling by the time it takes where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// The fields of an `Authorization` that count.
#[derive(Debug, Default)]
struct Answer {
    username: String,
    realm: String,
    nonce: String,
    uri: String,
    response: String,
}

impl Answer {
    fn parse(value: &str) -> Option<Self> {
        let (scheme, mut rest) = value.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let mut answer = Self::default();
        while let Some((name, after)) = rest.split_once('=') {
            let (value, after) = parameter(after.trim_start())?;
            match name.trim().to_ascii_lowercase().as_str() {
                "username" => answer.username = value,
                "realm" => answer.realm = value,
                "nonce" => answer.nonce = value,
                "uri" => answer.uri = value,
                "response" => answer.response = value.to_ascii_lowercase(),
                "algorithm" if !value.eq_ignore_ascii_case("MD5") => return None,
                // We never ask for it, and with it the response would be another.
                "qop" => return None,
                _ => {}
            }
            rest = after.trim_start().trim_start_matches(',');
        }
        Some(answer)
    }
}

/// A value, quoted or not, and what follows it.
fn parameter(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        return Some((text[..end].trim().to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        let name = Name::new("pilot").unwrap();
        Credentials(BTreeMap::from([(name.clone(), Ha1::of(&name, "s3cret"))]))
    }

    fn answer(password: &str, method: &str, nonce: &str) -> String {
        let ha1 = Ha1::of(&Name::new("pilot").unwrap(), password);
        let response = response(ha1, method, "rtsp://x/live", nonce);
        format!(
            "Digest username=\"pilot\", realm=\"{REALM}\", nonce=\"{nonce}\", uri=\"rtsp://x/live\", response=\"{response}\""
        )
    }

    /// Computed with md5sum(1): HA1 of `pilot:windhover:s3cret`, HA2 of `DESCRIBE:rtsp://x/live`, and their response.
    #[test]
    fn the_response_is_that_of_rfc_2069() {
        let text = answer("s3cret", "DESCRIBE", "0123");
        assert!(text.ends_with("response=\"a52ac1612d7047066e95c1e146038678\""), "{text}");
    }

    #[test]
    fn only_the_right_password_for_this_question_opens() {
        let all = credentials();
        assert_eq!(all.judge(&answer("s3cret", "SETUP", "n"), "SETUP", "n"), Verdict::Right);
        assert_eq!(all.judge(&answer("s3cret", "SETUP", "old"), "SETUP", "n"), Verdict::Stale);
        assert_eq!(all.judge(&answer("s3cret", "DESCRIBE", "n"), "SETUP", "n"), Verdict::Wrong);
        assert_eq!(all.judge(&answer("guess", "SETUP", "n"), "SETUP", "n"), Verdict::Wrong);
        assert_eq!(Credentials::default().judge(&answer("s3cret", "SETUP", "n"), "SETUP", "n"), Verdict::Wrong);
        let nobody = answer("s3cret", "SETUP", "n").replace("\"pilot\"", "\"nobody\"");
        let shouted = answer("s3cret", "SETUP", "n").replace("Digest username", "DIGEST  USERNAME");
        assert_eq!(all.judge(&nobody, "SETUP", "n"), Verdict::Wrong);
        assert_eq!(all.judge(&shouted, "SETUP", "n"), Verdict::Right);
        assert!(format!("{all:?}").ends_with("of 1 names"));
    }

    #[test]
    fn nonsense_is_wrong() {
        let right = answer("s3cret", "SETUP", "n");
        for bad in [
            "",
            "Digest",
            "Digest ",
            "Digest username=",
            "Digest username=\"pilot",
            "Digest username=\"pilot\\",
            "Digest =,=,=",
            "Basic cGlsb3Q6czNjcmV0",
            &format!("{right}, qop=auth"),
            &format!("{right}, algorithm=SHA-256"),
            &right.replace("windhover", "elsewhere"),
            &"Digest a=b,".repeat(1000),
        ] {
            assert_eq!(credentials().judge(bad, "SETUP", "n"), Verdict::Wrong, "{bad:.60}");
        }
    }
}
