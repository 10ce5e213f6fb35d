//! One encoded picture with its headers, shared by every reader and never copied.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::codec::Codec;
use super::format::{FrameRate, Size};

/// What an encoded stream looks like. Changes only at a keyframe; a change makes the recorder open a new segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedFormat {
    /// The codec.
    pub codec: Codec,
    /// Size of the decoded picture.
    pub size: Size,
    /// Nominal frame rate.
    pub rate: FrameRate,
    /// Sequence parameter set, a NAL unit without start code (H.264 7.3.2.1).
    pub sps: Bytes,
    /// Picture parameter set, a NAL unit without start code (H.264 7.3.2.2).
    pub pps: Bytes,
}

/// One access unit in Annex B byte-stream form: start codes, and SPS and PPS before each keyframe.
#[derive(Debug, Clone)]
pub struct AccessUnit {
    /// The bytes; clones share them.
    pub data: Bytes,
    /// When the picture was taken, on `CLOCK_MONOTONIC`. Strictly increasing within a stream, across restarts of the
    /// source too.
    pub pts: Duration,
    /// When the encoder gave it out, on `CLOCK_MONOTONIC`: the daemon's own delay is measured from here.
    pub encoded: Duration,
    /// True if decoding can begin here.
    pub keyframe: bool,
    /// True if pictures before this one are missing (source restarted).
    pub discontinuity: bool,
    /// True for a picture that no camera took: it tells viewers that there is none, and is for their eyes only.
    pub slate: bool,
    /// What the stream looks like from the last keyframe on.
    pub format: Arc<EncodedFormat>,
}
