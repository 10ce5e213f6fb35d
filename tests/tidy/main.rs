//! The repository's own rules, as tests. Each rule is a function over text, so that a planted fault proves it sees.

mod crates;
mod floors;
mod lexer;
mod names;
mod readme;
mod shell;
mod text;
mod tree;
mod walls;

/// Fails with every breach of a rule at once, one per line.
fn assert_clean(rule: &str, breaches: &[String]) {
    assert!(breaches.is_empty(), "{rule}:\n  {}", breaches.join("\n  "));
}
