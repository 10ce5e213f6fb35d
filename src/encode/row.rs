//! One row of the encoder table: everything that differs from one encoder element to the next.

use gst::prelude::*;

use crate::base::units::Bitrate;
use crate::gst::{make, set_from_text};
use crate::media::csi::Memory;
use crate::media::format::FrameRate;

use super::{Error, nvidia, software, v4l2m2m, va};

/// Every encoder this version knows how to set up. Where two have the same name, the first whose marks the element
/// bears is meant.
const ROWS: &[&Row] = &[
    &software::X264,
    &software::OPENH264,
    &v4l2m2m::FIRST,
    &v4l2m2m::NUMBERED,
    &nvidia::TEGRA,
    &nvidia::CUVID,
    &va::FULL,
    &va::LOW_POWER,
];

/// What an encoder is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// Target bit rate.
    pub(super) bitrate: Bitrate,
    /// Pictures from one keyframe to the next, at most.
    pub(super) keyframe_frames: u32,
    /// Threads, where the processor encodes.
    pub(super) threads: u32,
    /// Pictures per second.
    pub(super) rate: FrameRate,
}

/// One encoder element. Its properties are always set from text, so that a table can hold them.
#[derive(Debug)]
pub(super) struct Row {
    /// Factory name; `#` stands for a number that the element's plugin gives.
    pub(super) element: &'static str,
    /// Properties by which this row is told from another one of the same name.
    pub(super) marks: &'static [&'static str],
    /// What is set before the start.
    pub(super) settings: &'static [Setting],
    /// Caps of the raw picture in system memory; empty where the element says itself what it takes.
    pub(super) raw: &'static str,
    /// Where the raw picture has to lie.
    pub(super) memory: Memory,
    /// Caps asked of its output: profile and level.
    pub(super) output: fn(&Wish) -> String,
    /// How a keyframe is asked for.
    pub(super) force: Force,
    /// What is set again for another bit rate while it runs, in this order to raise it and in reverse to lower it;
    /// empty where it has to be built anew.
    pub(super) live: &'static [Setting],
}

/// A property and its value.
#[derive(Debug)]
pub(super) struct Setting {
    property: &'static str,
    value: Value,
    need: Need,
}

/// Where a value comes from.
#[derive(Debug)]
pub(super) enum Value {
    Fixed(&'static str),
    From(fn(&Wish) -> String),
}

/// What it means that a property is missing: releases of vendors differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Without it the stream would not be the one of the Plan.
    Essential,
    /// The stream is right without it, only slower or larger.
    Optional,
}

/// A setting without which the encoder is not started.
pub(super) const fn must(property: &'static str, value: Value) -> Setting {
    Setting { property, value, need: Need::Essential }
}

/// A setting that is passed over where the element does not have it.
pub(super) const fn may(property: &'static str, value: Value) -> Setting {
    Setting { property, value, need: Need::Optional }
}

/// How a keyframe is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Force {
    /// By GStreamer's own event.
    Event,
    /// By an action signal without arguments.
    Signal(&'static str),
    /// By a property, set to this text.
    Property(&'static str, &'static str),
}

/// Bit rate in bit/s.
pub(super) fn bps(wish: &Wish) -> String {
    wish.bitrate.bps().to_string()
}

/// Bit rate in kbit/s.
pub(super) fn kbps(wish: &Wish) -> String {
    wish.bitrate.kbps().to_string()
}

/// Pictures from one keyframe to the next.
pub(super) fn keyframe_frames(wish: &Wish) -> String {
    wish.keyframe_frames.to_string()
}

/// Every decoder takes this profile, browsers included, and it has no B pictures.
pub(super) fn baseline(_: &Wish) -> String {
    "video/x-h264,profile=constrained-baseline".into()
}

impl Setting {
    fn apply(&self, encoder: &gst::Element, wish: &Wish) -> Result<(), crate::gst::Error> {
        let value = match self.value {
            Value::Fixed(text) => text.to_owned(),
            Value::From(of) => of(wish),
        };
        match set_from_text(encoder, self.property, &value) {
            Err(e) if self.need == Need::Optional => {
                tracing::debug!("passed over: {e}");
                Ok(())
            }
            result => result,
        }
    }
}

impl Row {
    /// The row of an element.
    fn of(name: &str, element: &gst::Element) -> Result<&'static Self, Error> {
        let bears = |row: &&&Row| row.marks.iter().all(|mark| element.find_property(mark).is_some());
        let row = ROWS.iter().filter(|row| row.is_named(name)).find(bears);
        row.copied().ok_or_else(|| Error::Unknown(name.to_owned()))
    }

    fn is_named(&self, name: &str) -> bool {
        crate::board::is_named(self.element, name)
    }

    /// Sets another bit rate while the encoder runs.
    pub(super) fn change(&self, encoder: &gst::Element, raise: bool, wish: &Wish) -> Result<(), crate::gst::Error> {
        let apply = |setting: &Setting| setting.apply(encoder, wish);
        if raise { self.live.iter().try_for_each(apply) } else { self.live.iter().rev().try_for_each(apply) }
    }
}

/// An encoder, set up, and what stands around it: from any raw picture to H.264 byte stream, one access unit a buffer.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) row: &'static Row,
    pub(super) encoder: gst::Element,
    /// All of them in order, the encoder among them.
    pub(super) elements: Vec<gst::Element>,
}

impl Chain {
    /// Makes the elements; those of `convert` stand before the encoder.
    pub(super) fn build(name: &str, wish: &Wish, convert: &[String]) -> Result<Self, Error> {
        let failed = |cause| Error::Start { element: name.to_owned(), cause };
        if !ROWS.iter().any(|row| row.is_named(name)) {
            return Err(Error::Unknown(name.to_owned()));
        }
        let encoder = make(name, "encoder").map_err(failed)?;
        let row = Row::of(name, &encoder)?;
        row.settings.iter().try_for_each(|setting| setting.apply(&encoder, wish)).map_err(failed)?;
        let elements = around(row, &encoder, wish, convert).map_err(failed)?;
        Ok(Self { row, encoder, elements })
    }
}

fn around(
    row: &Row,
    encoder: &gst::Element,
    wish: &Wish,
    convert: &[String],
) -> Result<Vec<gst::Element>, crate::gst::Error> {
    let convert = convert.iter().map(|element| make(element, &format!("encode-{element}")));
    let mut elements = convert.collect::<Result<Vec<_>, _>>()?;
    match row.memory {
        Memory::Surfaces => {
            elements.push(caps_filter("encode-surfaces", &format!("video/x-raw({}),format=NV12", Memory::NVMM))?);
        }
        Memory::System if !row.raw.is_empty() => elements.push(caps_filter("encode-raw", row.raw)?),
        Memory::System => {}
    }
    elements.push(encoder.clone());
    elements.push(caps_filter("encode-profile", &(row.output)(wish))?);
    let parse = make("h264parse", "encode-parse")?;
    // -1: SPS and PPS before every keyframe, whatever the encoder does by itself.
    set_from_text(&parse, "config-interval", "-1")?;
    elements.push(parse);
    elements.push(caps_filter("encode-form", "video/x-h264,stream-format=byte-stream,alignment=au")?);
    Ok(elements)
}

fn caps_filter(name: &str, caps: &str) -> Result<gst::Element, crate::gst::Error> {
    let filter = make("capsfilter", name)?;
    set_from_text(&filter, "caps", caps)?;
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_say_rightly_where_pictures_have_to_lie() {
        for ranked in crate::board::profiles().iter().flat_map(|profile| &profile.encoders) {
            let rows = ROWS.iter().filter(|row| row.element == ranked.element);
            let memories: Vec<Memory> = rows.map(|row| row.memory).collect();
            assert!(!memories.is_empty(), "{} has no row", ranked.element);
            let surfaces = memories.iter().map(|memory| *memory == Memory::Surfaces);
            assert!(surfaces.into_iter().all(|surfaces| surfaces == ranked.surfaces), "{}", ranked.element);
        }
    }

    #[test]
    fn numbered_siblings_belong_to_one_row() {
        let table = [
            ("x264enc", Some("x264enc")),
            ("v4l2h264enc", Some("v4l2h264enc")),
            ("v4l2video11h264enc", Some("v4l2video#h264enc")),
            ("v4l2videoh264enc", None),
            ("v4l2video1xh264enc", None),
            ("v4l2video11h265enc", None),
            ("avenc_h264_omx", None),
        ];
        for (name, want) in table {
            assert_eq!(ROWS.iter().find(|row| row.is_named(name)).map(|row| row.element), want, "{name}");
        }
    }
}
