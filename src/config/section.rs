//! How a section of the configuration is declared: each key once, with its meaning, its type and its default.
//! From that one place come the struct, the reader, the defaults and the commented default file.

use toml::Spanned;
use toml::de::DeValue;

use super::reader::Reader;

/// One key of a section.
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its meaning, unit, range: the doc comment, line by line.
    pub docs: &'static [&'static str],
    /// Its default as TOML; empty for unset.
    pub default: &'static str,
    /// What stands behind it.
    pub shape: Shape,
}

/// What stands behind a key.
#[derive(Clone, Copy)]
pub enum Shape {
    /// One value.
    Value {
        /// True where leaving the key out means something else than its default.
        optional: bool,
    },
    /// A table of further keys.
    Table(&'static [Key]),
    /// An array of tables of further keys.
    Tables(&'static [Key]),
}

/// Something that can be read from TOML into a place where a default stands.
pub trait Read: Sized {
    /// What stands behind its key.
    const SHAPE: Shape;
    /// The value that stands there before anything is read, from the TOML text of the declaration.
    fn initial(default: &str) -> Self;
    /// Reads `value`, found at key path `at`; reports to the reader what is wrong with it and keeps the old value then.
    fn read(&mut self, value: &Spanned<DeValue<'_>>, at: &str, reader: &mut Reader<'_>);
}

/// A table of known keys.
pub trait Section: Default {
    /// The keys, in the order of the declaration.
    const KEYS: &'static [Key];
    /// A key that decides what the others mean: a layer that gives it begins the section anew.
    const BEGUN_BY: Option<&'static str> = None;
    /// Reads the value of one key; false when there is no such key.
    fn read_key(&mut self, key: &str, value: &Spanned<DeValue<'_>>, at: &str, reader: &mut Reader<'_>) -> bool;
}

/// Declares a section: `key: Type = "default as TOML",` with the doc comment as the reference of the key. After
/// `begun by` stands the key with which a layer begins the section anew; else it only adds to the layers below it.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        pub struct $name:ident $(begun by $begun:literal)? {
            $( $(#[doc = $doc:literal])* $key:ident : $type:ty = $default:literal, )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $( $(#[doc = $doc])* pub $key: $type, )*
        }

        impl $crate::config::section::Section for $name {
            $(const BEGUN_BY: Option<&'static str> = Some($begun);)?
            const KEYS: &'static [$crate::config::section::Key] = &[
                $($crate::config::section::Key {
                    name: stringify!($key),
                    docs: &[$($doc),*],
                    default: $default,
                    shape: <$type as $crate::config::section::Read>::SHAPE,
                }),*
            ];

            fn read_key(
                &mut self,
                key: &str,
                value: &toml::Spanned<toml::de::DeValue<'_>>,
                at: &str,
                reader: &mut $crate::config::reader::Reader<'_>,
            ) -> bool {
                match key {
                    $(stringify!($key) => {
                        $crate::config::section::Read::read(&mut self.$key, value, at, reader);
                        true
                    })*
                    _ => false,
                }
            }
        }

        impl $crate::config::section::Read for $name {
            const SHAPE: $crate::config::section::Shape =
                $crate::config::section::Shape::Table(<Self as $crate::config::section::Section>::KEYS);

            fn initial(_: &str) -> Self {
                Self::default()
            }

            fn read(
                &mut self,
                value: &toml::Spanned<toml::de::DeValue<'_>>,
                at: &str,
                reader: &mut $crate::config::reader::Reader<'_>,
            ) {
                reader.section(self, value, at);
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $crate::config::section::Read::initial($default)),* }
            }
        }
    };
}
pub(crate) use section;
