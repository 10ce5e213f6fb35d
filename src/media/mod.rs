//! Words of video: what a picture looks like, what an encoded one is, and when it was taken.

pub mod access_unit;
pub mod codec;
pub mod container;
pub mod csi;
pub mod format;
pub mod nal;
pub mod stamp;
pub mod timeline;
