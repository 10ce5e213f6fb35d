//! The few things a room may ask of a room above it, wired by `app`.

/// Asks whatever encodes a stream for a keyframe soon. Never blocks; may be called from any thread, any number of
/// times: the receiver limits the rate and serves all callers with one keyframe.
pub trait RequestKeyframe: Send + Sync {
    /// `why` goes into the trace log: "play", "segment", "queue overflow".
    fn request_keyframe(&self, why: &'static str);
}
