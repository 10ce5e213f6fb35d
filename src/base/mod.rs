//! Words that every room uses. Knows nothing of cameras, files or networks.

pub mod backoff;
pub mod clock;
pub mod crc;
pub mod error;
pub mod fault;
pub mod file;
pub mod health;
pub mod heartbeat;
pub mod id;
pub mod log;
pub mod redact;
pub mod request;
pub mod shutdown;
pub mod task;
pub mod units;
