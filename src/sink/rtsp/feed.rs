//! From the hub into the media's appsrc, on the encoder's thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::hub::{Offered, Outlet};
use crate::media::access_unit::AccessUnit;

use super::delay::Delay;

/// More than this waiting for the payloader means that it is stuck. It never is while viewer zero takes every packet,
/// so this only bounds memory.
const MAX_QUEUED: gst::ClockTime = gst::ClockTime::from_mseconds(500);

/// Feeds one media.
pub(super) struct Feed {
    source: gst_app::AppSrc,
    delay: Delay,
    dropped: Arc<AtomicU64>,
    /// Set when the media is given up: nobody drains its queue any more.
    over: Arc<AtomicBool>,
    needs_keyframe: bool,
    after_gap: bool,
}

impl Feed {
    pub(super) fn new(source: gst_app::AppSrc, delay: Delay, dropped: Arc<AtomicU64>, over: Arc<AtomicBool>) -> Self {
        source.set_format(gst::Format::Time);
        source.set_is_live(true);
        source.set_block(false);
        // Our own bound is above; the element's would drop single frames and tear the picture.
        source.set_max_bytes(0);
        source.set_max_buffers(0);
        source.set_max_time(gst::ClockTime::ZERO);
        let caps = "video/x-h264,stream-format=byte-stream,alignment=au";
        source.set_caps(Some(&caps.parse().expect("these caps are well-formed")));
        Self { source, delay, dropped, over, needs_keyframe: true, after_gap: true }
    }

    fn push(&mut self, unit: &AccessUnit) -> Offered {
        let mut buffer = gst::Buffer::from_slice(unit.data.clone());
        let fresh = buffer.get_mut().expect("a new buffer has one owner");
        fresh.set_pts(gst::ClockTime::try_from(unit.pts).ok());
        if !unit.keyframe {
            fresh.set_flags(gst::BufferFlags::DELTA_UNIT);
        }
        if std::mem::take(&mut self.after_gap) || unit.discontinuity {
            fresh.set_flags(gst::BufferFlags::DISCONT);
        }
        if !unit.slate {
            self.delay.enters(unit.pts, unit.encoded);
        }
        match self.source.push_buffer(buffer) {
            Ok(_) => Offered::Taken,
            Err(_) => Offered::Gone,
        }
    }
}

impl Outlet for Feed {
    fn offer(&mut self, unit: &Arc<AccessUnit>) -> Offered {
        if self.over.load(Ordering::Acquire) {
            return Offered::Gone;
        }
        if self.source.current_level_time() > MAX_QUEUED {
            self.needs_keyframe = true;
        }
        if self.needs_keyframe {
            if !unit.keyframe || self.source.current_level_time() > MAX_QUEUED {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                self.after_gap = true;
                return Offered::NeedsKeyframe;
            }
            self.needs_keyframe = false;
        }
        self.push(unit)
    }
}
