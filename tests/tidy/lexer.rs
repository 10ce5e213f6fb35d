//! Just enough of Rust's lexical structure to look at code without its comments and literals.

/// The source with every comment, string and character literal blanked; line breaks stay, so lines can be counted.
pub(crate) fn code_of(source: &str) -> String {
    let text: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < text.len() {
        let length = literal_or_comment(&text, at);
        if length == 0 {
            code.push(text[at]);
            at += 1;
            continue;
        }
        code.extend(text[at..(at + length).min(text.len())].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
        at += length;
    }
    code
}

/// The line that holds this byte, from 1.
pub(crate) fn line_of(text: &str, byte: usize) -> usize {
    text[..byte].matches('\n').count() + 1
}

/// True for characters of identifiers.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Byte positions of `word` where it is not part of a longer identifier.
pub(crate) fn words(code: &str, word: &str) -> Vec<usize> {
    let found = code.match_indices(word).map(|(at, _)| at);
    let whole = |&at: &usize| {
        let before = code[..at].chars().next_back().is_some_and(is_word);
        let after = code[at + word.len()..].chars().next().is_some_and(is_word);
        !(before || after && word.ends_with(is_word))
    };
    found.filter(whole).collect()
}

/// Length of the literal or comment that begins here, or 0.
fn literal_or_comment(text: &[char], at: usize) -> usize {
    let rest = &text[at..];
    let begins_word = at == 0 || !is_word(text[at - 1]);
    match rest {
        ['/', '/', ..] => rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => block_comment(rest),
        ['"', ..] => quoted(rest, '"'),
        ['r', '"' | '#', ..] if begins_word => raw_string(rest, 1),
        ['b' | 'c', 'r', '"' | '#', ..] if begins_word => raw_string(rest, 2),
        ['\'', '\\', ..] => quoted(rest, '\''),
        ['\'', _, '\'', ..] => 3,
        _ => 0,
    }
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// A raw string after a prefix of `skip` letters, or 0 for a raw identifier such as `r#type`.
fn raw_string(rest: &[char], skip: usize) -> usize {
    let hashes = rest[skip..].iter().take_while(|&&c| c == '#').count();
    if rest.get(skip + hashes) != Some(&'"') {
        return 0;
    }
    let body = skip + hashes + 1;
    let ends = |at: usize| rest[at] == '"' && rest[at + 1..].iter().take_while(|&&c| c == '#').count() >= hashes;
    (body..rest.len()).find(|&at| ends(at)).map_or(rest.len(), |at| at + 1 + hashes)
}

#[test]
fn blanks_comments_and_literals_only() {
    let source = "a /* x /* y */ z */ b // c\n\"d \\\" e\" f 'g' '\\'' h<'i> r#\"j \" k\"# l r#type b\"m\" br\"n\" o";
    let code = code_of(source);
    let left: Vec<&str> = code.split_whitespace().collect();
    assert_eq!(left, ["a", "b", "f", "h<'i>", "l", "r#type", "b", "o"]);
    assert_eq!(code.lines().count(), source.lines().count());
}

#[test]
fn finds_whole_words_and_lines() {
    assert_eq!(words("gst::a; my_gst::b; gst_app::c", "gst"), [0]);
    assert_eq!(line_of("a\nb\nc", 4), 3);
}
