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
        let (authority, after) = tail.split_at(authority.unwrap_or(tail.len()));
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

#[cfg(test)]
mod tests {
    use super::urls;

    #[test]
    fn credentials_go_and_everything_else_stays() {
        let table = [
            ("rtsp://u:p@cam/1", "rtsp://***@cam/1"),
            ("a rtsp://u:p@w@cam b http://h/x@y", "a rtsp://***@cam b http://h/x@y"),
            ("rtsp://u:p@cam?x=a@b", "rtsp://***@cam?x=a@b"),
            ("/dev/video0", "/dev/video0"),
            ("rtsp://cam:554/a", "rtsp://cam:554/a"),
        ];
        for (text, want) in table {
            assert_eq!(urls(text), want);
        }
    }
}
