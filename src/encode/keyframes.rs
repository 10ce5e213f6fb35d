//! Keyframes on request, in each encoder's own way.

use gst::prelude::*;

use crate::base::request::RequestKeyframe;
use crate::gst::set_from_text;

use super::row::Force;

/// Asks one running encoder.
pub(super) struct KeyframeRequests {
    encoder: gst::Element,
    force: Force,
}

impl KeyframeRequests {
    pub(super) fn new(encoder: gst::Element, force: Force) -> Self {
        Self { encoder, force }
    }

    fn event(&self) {
        let pad = self.encoder.static_pad("src").expect("every encoder has a source pad");
        pad.send_event(gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build());
    }
}

impl RequestKeyframe for KeyframeRequests {
    fn request_keyframe(&self, why: &'static str) {
        tracing::trace!(why, "keyframe requested");
        match self.force {
            Force::Event => self.event(),
            Force::Signal(name) => match gst::glib::subclass::SignalId::lookup(name, self.encoder.type_()) {
                // Before that its device is not open, and NVIDIA's handler does not look.
                Some(signal) if self.encoder.current_state() == gst::State::Playing => {
                    self.encoder.emit::<()>(signal, &[]);
                }
                Some(_) => tracing::debug!("no keyframe is asked for: the encoder does not run yet"),
                // Another release of the plugin: the event is all there is, and at worst nobody hears it.
                None => self.event(),
            },
            Force::Property(property, value) => {
                if let Err(e) = set_from_text(&self.encoder, property, value) {
                    tracing::debug!("no keyframe is asked for: {e}");
                }
            }
        }
    }
}
