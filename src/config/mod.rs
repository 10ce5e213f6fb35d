//! What the operator asks for: files and environment become one [`Config`], or every problem in them at once.
//!
//! Each key is declared once, in `schema`, with its meaning, type and default; the walk over the TOML document, the
//! defaults and the commented default file come from that table. Serde is not used here: it stops at the first error.

pub mod controls;
pub mod csi;
pub mod default_file;
mod environment;
mod foreign;
pub mod last_good;
mod layers;
mod load;
pub mod problem;
pub mod reader;
pub mod schema;
pub mod section;
mod validate;
pub mod value;

pub use environment::Environment;
pub use layers::{ConfigFile, Layer};
pub use load::{Config, Directories, Inputs, load};

#[cfg(test)]
mod tests;
