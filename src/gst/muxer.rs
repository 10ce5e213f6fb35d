//! A muxer element fed and read on the caller's thread, without a pipeline.
//!
//! What goes in has come out when [`Muxer::drain`] returns, so whoever writes it knows which pictures are in which bytes,
//! and flushes them with its own hands: splitmuxsink and filesink hold a group of pictures back, write by path, and never
//! flush. Measured with GStreamer 1.22: mpegtsmux gives out each picture as it comes, on a thread of its own, and answers
//! the query only when that is idle; matroskamux works within the push.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use gst::prelude::*;

use crate::media::format::{FrameRate, Size};

use super::Error;

/// How long the end of a stream may take on its way through the element: microseconds, unless the element hangs.
const END_WITHIN: Duration = Duration::from_secs(5);

/// Bytes that belong at one place of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Position of the first in the file.
    pub at: u64,
    /// The bytes.
    pub data: Vec<u8>,
}

/// One picture on its way into the file.
#[derive(Debug, Clone)]
pub struct Picture {
    /// As the container wants it.
    pub data: Bytes,
    /// When it is shown, from the beginning of the file. Pictures come in this order: no encoder of ours makes B frames.
    pub time: Duration,
    /// How long it is shown.
    pub duration: Duration,
    /// True if it needs no other picture.
    pub keyframe: bool,
}

/// H.264 of this size and rate: with a decoder configuration record (ISO 14496-15) NAL units have their lengths in front,
/// without one they are a byte stream.
pub fn h264(size: Size, rate: FrameRate, record: Option<Vec<u8>>) -> gst::Caps {
    let number = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let form = if record.is_some() { "avc" } else { "byte-stream" };
    gst::Caps::builder("video/x-h264")
        .field("stream-format", form)
        .field("alignment", "au")
        .field("width", number(size.width))
        .field("height", number(size.height))
        .field("framerate", gst::Fraction::new(number(rate.num), number(rate.den)))
        .field_if_some("codec_data", record.map(gst::Buffer::from_slice))
        .build()
}

/// The element with a pad of ours before and behind it. Dropping it stops it.
pub struct Muxer {
    element: gst::Element,
    feed: gst::Pad,
    /// Held here: the element does not own what it is linked to.
    collect: gst::Pad,
    out: Arc<Out>,
}

#[derive(Default)]
struct Out {
    state: Mutex<OutState>,
    changed: Condvar,
}

#[derive(Default)]
struct OutState {
    pieces: Vec<Piece>,
    /// Where the next byte belongs.
    at: u64,
    ended: bool,
}

impl Muxer {
    /// Starts the element `factory` for pictures of this kind, which come through its request pad `pad`.
    pub fn new(factory: &str, pad: &str, caps: &gst::Caps) -> Result<Self, Error> {
        let element = super::make(factory, factory)?;
        let out = Arc::new(Out::default());
        let (feed, collect) = (gst::Pad::builder(gst::PadDirection::Src).name("feed").build(), collector(&out));
        let muxer = Self { element, feed, collect, out };
        muxer.connect(pad)?;
        let caps = gst::event::Caps::new(caps);
        let segment = gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new());
        for event in [gst::event::StreamStart::new("recording"), caps, segment] {
            if !muxer.feed.push_event(event) {
                return Err(muxer.failed("refuses the stream"));
            }
        }
        Ok(muxer)
    }

    fn connect(&self, pad: &str) -> Result<(), Error> {
        let (input, output) = (self.element.request_pad_simple(pad), self.element.static_pad("src"));
        let (Some(input), Some(output)) = (input, output) else { return Err(self.failed("lacks its pads")) };
        self.collect
            .set_active(true)
            .and_then(|()| self.feed.set_active(true))
            .map_err(|_| self.failed("has dead pads"))?;
        self.feed.link(&input).map_err(|_| self.failed("cannot be fed"))?;
        output.link(&self.collect).map_err(|_| self.failed("cannot be read"))?;
        self.element.set_state(gst::State::Playing).map(drop).map_err(|_| self.failed("does not start"))
    }

    /// Puts one picture in.
    pub fn push(&self, picture: Picture) -> Result<(), Error> {
        let clock = |time: Duration| gst::ClockTime::try_from(time).unwrap_or(gst::ClockTime::MAX);
        let mut buffer = gst::Buffer::from_slice(picture.data);
        let inner = buffer.get_mut().expect("a new buffer has one owner");
        inner.set_pts(clock(picture.time));
        inner.set_dts(clock(picture.time));
        inner.set_duration(clock(picture.duration));
        if !picture.keyframe {
            inner.set_flags(gst::BufferFlags::DELTA_UNIT);
        }
        self.feed.push(buffer).map(drop).map_err(|e| self.failed(&format!("refuses a picture ({e})")))
    }

    /// Everything that came of what was put in.
    pub fn drain(&self) -> Result<Vec<Piece>, Error> {
        // The query waits in line behind the pictures.
        if !self.feed.peer_query(gst::query::Drain::new().query_mut()) {
            return Err(self.failed("does not give out what was put in"));
        }
        Ok(std::mem::take(&mut self.out.lock().pieces))
    }

    /// Ends the stream: what is still to be written, some of it at earlier places.
    pub fn end(self) -> Result<Vec<Piece>, Error> {
        self.feed.push_event(gst::event::Eos::new());
        let wait = self.out.changed.wait_timeout_while(self.out.lock(), END_WITHIN, |out| !out.ended);
        let mut out = wait.expect("nothing panics while it holds this lock").0;
        if out.ended { Ok(std::mem::take(&mut out.pieces)) } else { Err(self.failed("does not come to an end")) }
    }

    fn failed(&self, what: &str) -> Error {
        Error::Muxer { element: self.element.name().to_string(), what: what.to_owned() }
    }
}

impl Drop for Muxer {
    fn drop(&mut self) {
        let _ = self.element.set_state(gst::State::Null);
    }
}

impl Out {
    fn lock(&self) -> MutexGuard<'_, OutState> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

impl OutState {
    fn take(&mut self, data: &[u8]) {
        let at = self.at;
        self.at += data.len() as u64;
        match self.pieces.last_mut() {
            Some(last) if last.at + last.data.len() as u64 == at => last.data.extend_from_slice(data),
            _ => self.pieces.push(Piece { at, data: data.to_vec() }),
        }
    }
}

/// The pad that takes the bytes. It says that it can seek: only then does matroskamux write lengths and an index.
fn collector(out: &Arc<Out>) -> gst::Pad {
    let (chained, told) = (out.clone(), out.clone());
    gst::Pad::builder(gst::PadDirection::Sink)
        .name("collect")
        .chain_function(move |_, _, buffer| {
            let data = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
            chained.lock().take(&data);
            Ok(gst::FlowSuccess::Ok)
        })
        .event_function(move |_, _, event| {
            match event.view() {
                gst::EventView::Segment(segment) => {
                    if let Some(segment) = segment.segment().downcast_ref::<gst::format::Bytes>() {
                        told.lock().at = segment.start().map_or(0, |start| *start);
                    }
                }
                gst::EventView::Eos(_) => {
                    told.lock().ended = true;
                    told.changed.notify_all();
                }
                _ => {}
            }
            true
        })
        .query_function(|pad, parent, query| match query.view_mut() {
            gst::QueryViewMut::Seeking(seeking) => {
                let bytes = seeking.format() == gst::Format::Bytes;
                if bytes {
                    seeking.set(true, gst::format::Bytes::ZERO, gst::format::Bytes::NONE);
                }
                bytes
            }
            _ => gst::Pad::query_default(pad, parent, query),
        })
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TS: &str = "video/x-h264,stream-format=byte-stream,alignment=au";
    const MKV: &str = "image/jpeg,width=64,height=48";

    fn mux(factory: &str, pad: &str, caps: &str) -> (Vec<u8>, Vec<usize>) {
        gst::init().unwrap();
        let muxer = Muxer::new(factory, pad, &caps.parse().unwrap()).unwrap();
        let mut file = Vec::new();
        let mut write = |pieces: Vec<Piece>| {
            for piece in pieces {
                let (at, end) = (piece.at as usize, piece.at as usize + piece.data.len());
                file.resize(file.len().max(end), 0);
                file[at..end].copy_from_slice(&piece.data);
            }
            file.len()
        };
        let mut lengths = Vec::new();
        for number in 0..5u64 {
            let (time, duration) = (Duration::from_millis(number * 100), Duration::from_millis(100));
            let data = vec![number as u8; 5000].into();
            muxer.push(Picture { data, time, duration, keyframe: true }).unwrap();
            lengths.push(write(muxer.drain().unwrap()));
        }
        write(muxer.end().unwrap());
        (file, lengths)
    }

    #[test]
    fn each_picture_is_out_when_it_was_drained() {
        for (factory, pad, caps, start) in
            [("mpegtsmux", "sink_%d", TS, &[0x47][..]), ("matroskamux", "video_%u", MKV, &[0x1a, 0x45, 0xdf, 0xa3])]
        {
            let (file, lengths) = mux(factory, pad, caps);
            assert!(file.starts_with(start), "{factory}");
            let all: Vec<_> = (1..=5).zip(&lengths).map(|(n, length)| *length >= n * 5000).collect();
            assert_eq!(all, [true; 5], "{factory}: {lengths:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        gst::init().unwrap();
        let caps = TS.parse().unwrap();
        assert!(Muxer::new("no-such-muxer", "sink", &caps).err().unwrap().to_string().contains("not installed"));
        assert!(Muxer::new("mpegtsmux", "no-such-pad", &caps).err().unwrap().to_string().contains("lacks its pads"));
    }
}
