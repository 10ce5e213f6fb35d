//! The recorder with its threads, on real files.
