//! Viewers by the dozen, who come and go in unlucky moments.

use crate::support::soak;

#[test]
fn viewers_come_and_go_and_everyone_gets_a_picture() {
    let outcome = soak::run(20, 2, |_| ()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((outcome.rounds, outcome.joined, outcome.restarts), (20, 1000, 4));
    assert_eq!(outcome.first_pictures_ms.len(), 1000);
}
