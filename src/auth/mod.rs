//! Who may watch by RTSP: names with generated passwords, and the proof that a client knows one.
//!
//! A password is generated, shown once and not kept: the file holds what digest authentication needs (`HA1`, RFC 2069,
//! 2.1.2), which is as good as the password for this realm and therefore as secret.

mod digest;
mod login;
mod store;

pub use digest::{Credentials, Verdict, challenge, new_nonce};
pub use login::Login;
pub use store::{Error, Name, Password, Store};

/// The realm of every credential. It is part of HA1: with another one all credentials would be void.
pub const REALM: &str = "windhover";
