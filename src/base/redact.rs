//! Takes credentials out of text before it reaches a log, an error or the API.

/// Replaces the user-info part of every URL in `text`: `rtsp://user:secret@host` becomes `rtsp://***@host`.
pub fn urls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (head, tail) = rest.split_at(start + 3);
        out.push_str(head);
        // User info ends at the last '@' before the path, query, fragment or white space.
        let authority = tail.find(|c: char| matches!(c, '/' | '?' | '#' | '"') || c.is_whitespace());
        let end = authority.unwrap_or(tail.len());
        // In "http://rtsp://user@host" the second URL begins where the first authority ends.
        let nested = tail[..end].ends_with(':') && tail[end..].starts_with("//");
        let end = match password_with_delimiters(tail, end) {
            _ if nested => end - 1,
            Some(at) => at,
            None => end,
        };
        let (authority, after) = tail.split_at(end);
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                out.push_str("***@");
                out.push_str(host);
            }
            None => out.push_str(authority),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// People write a password as it is, `rtsp://user:a/b#c@host`, though a URL wants it encoded. What looks like a host with
/// a port then holds the beginning of it. Where an '@' follows in the same word, everything before it goes: an address
/// such as `rtsp://host:554/a@b` loses its host, which is the smaller harm. The end of the word up to a path is the host.
fn password_with_delimiters(tail: &str, end: usize) -> Option<usize> {
    let host_and_port = &tail[..end];
    if !host_and_port.contains(':') || host_and_port.contains('@') || host_and_port.starts_with('[') {
        return None;
    }
    let word = &tail[..tail.find(char::is_whitespace).unwrap_or(tail.len())];
    let at = word.rfind('@').filter(|at| *at > end && !word[..*at].contains("://"))?;
    let host = word[at..].find(['/', '?', '#', '"']).map_or(word.len(), |length| at + length);
    Some(host)
}

/// What an error repeats of a value that is wrong: 64 characters, without credentials. These go first, because cut in
/// the middle they would not be known as such.
pub fn short(text: &str) -> String {
    urls(text).chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::{short, urls};

    #[test]
    fn a_password_that_is_cut_is_not_repeated() {
        let url = format!("rtsp://pilot:{}@camera/1", "s3cret".repeat(12));
        assert_eq!(short(&url), "rtsp://***@camera/1");
        assert_eq!(short(&"ä".repeat(65)), "ä".repeat(64));
    }

    #[test]
    fn credentials_go_and_everything_else_stays() {
        let table = [
            ("rtsp://u:p@cam/1", "rtsp://***@cam/1"),
            ("a rtsp://u:p@w@cam b http://h/x@y", "a rtsp://***@cam b http://h/x@y"),
            ("rtsp://u:p@cam?x=a@b", "rtsp://***@cam?x=a@b"),
            ("http://rtsp://u:p@cam", "http://rtsp://***@cam"),
            ("a://b:c@d://u:p@cam", "a://***@d://***@cam"),
            ("/dev/video0", "/dev/video0"),
            ("rtsp://cam:554/a", "rtsp://cam:554/a"),
            ("rtsp://u:a/b@cam/1 x@y", "rtsp://***@cam/1 x@y"),
            ("rtsp://u:a?b@cam", "rtsp://***@cam"),
            ("\"rtsp://u:a#b@c\"d@cam:554/1\" is wrong", "\"rtsp://***@cam:554/1\" is wrong"),
            ("rtsp://cam:554/a b@c", "rtsp://cam:554/a b@c"),
            ("rtsp://[fe80::1]:554/a@b", "rtsp://[fe80::1]:554/a@b"),
            ("rtsp://cam/a@b", "rtsp://cam/a@b"),
        ];
        for (text, want) in table {
            assert_eq!(urls(text), want);
        }
    }
}
