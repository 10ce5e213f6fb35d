//! An encoder under test: pictures go in one by one, and what comes out is looked at.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use windhover::base::clock::{Clock, SystemClock};
use windhover::base::units::Bitrate;
use windhover::encode::{self, Changed, Encoder, Error, Framer, Input};
use windhover::media::codec::Codec;
use windhover::media::format::FrameRate;
use windhover::plan::{Chosen, EncodePlan};

const WIDTH: u32 = 320;
const HEIGHT: u32 = 240;
const RATE: u32 = 30;

pub(crate) struct Rig {
    encoder: Encoder,
    input: Input,
    units: Receiver<(bool, usize)>,
    next: Duration,
    noise: u64,
}

impl Rig {
    /// 2 Mbit/s at 30 fps.
    pub(crate) fn start(element: &str, keyframe_frames: u32) -> Result<Self, Error> {
        let converter = element.starts_with("nv").then_some("nvvidconv");
        let convert: Vec<&str> = ["videoconvert"].into_iter().chain(converter).collect();
        Self::start_with(element, &convert, keyframe_frames)
    }

    /// The same, with these elements before the encoder.
    pub(crate) fn start_with(element: &str, convert: &[&str], keyframe_frames: u32) -> Result<Self, Error> {
        let convert = convert.iter().map(|&element| element.into()).collect();
        let plan = EncodePlan {
            element: Chosen { value: element.into(), reason: String::new() },
            works: true,
            convert: Chosen { value: convert, reason: String::new() },
            codec: Codec::H264,
            bitrate: Bitrate::from_bps(2_000_000),
            keyframe_frames,
            threads: Chosen { value: 1, reason: String::new() },
        };
        let (send, units) = mpsc::channel();
        let deliver = Box::new(move |unit: windhover::media::access_unit::AccessUnit| {
            let _ = send.send((unit.keyframe, unit.data.len()));
        });
        let framer = Framer::new(FrameRate::whole(RATE), Arc::new(SystemClock), false, deliver);
        let (encoder, input) = encode::start(&plan, FrameRate::whole(RATE), framer)?;
        Ok(Self { encoder, input, units, next: SystemClock.monotonic(), noise: 1 })
    }

    pub(crate) fn set_bitrate(&mut self, bitrate: Bitrate) -> Changed {
        self.encoder.set_bitrate(bitrate)
    }

    pub(crate) fn ask_for_a_keyframe(&self) {
        self.encoder.keyframes().request_keyframe("test");
    }

    /// Encodes `count` pictures and says which of them are keyframes.
    pub(crate) fn keyframes(&mut self, format: &str, count: usize) -> Vec<usize> {
        (0..count).filter(|_| self.encode(format).0).collect()
    }

    /// Encodes `count` pictures of noise and says how much came out.
    pub(crate) fn bits_per_second(&mut self, count: u32) -> u64 {
        let bytes: usize = (0..count).map(|_| self.encode("I420").1).sum();
        bytes as u64 * 8 * u64::from(RATE) / u64::from(count)
    }

    /// One picture in, one access unit out: whether it is a keyframe, and its size.
    fn encode(&mut self, format: &str) -> (bool, usize) {
        let (caps, size) = picture(format);
        let mut buffer = gst::Buffer::with_size(size).unwrap();
        buffer.get_mut().unwrap().map_writable().unwrap().fill_with_noise(&mut self.noise);
        let sample = gst::Sample::builder().buffer(&buffer).caps(&caps).build();
        self.input.push(&sample, self.next);
        self.next += FrameRate::whole(RATE).period();
        let unit = self.units.recv_timeout(Duration::from_secs(10));
        unit.unwrap_or_else(|_| panic!("nothing came out: {:?}", self.encoder.wait_fault(Duration::ZERO)))
    }
}

fn picture(format: &str) -> (gst::Caps, usize) {
    let (memory, format) = if format == "NVMM" { ("(memory:NVMM)", "NV12") } else { ("", format) };
    let text = format!(
        "video/x-raw{memory},format={format},width={WIDTH},height={HEIGHT},framerate={RATE}/1,interlace-mode=progressive"
    );
    let bytes = match format {
        "RGB" => 3 * WIDTH * HEIGHT,
        "YUY2" | "UYVY" => 2 * WIDTH * HEIGHT,
        _ => WIDTH * HEIGHT * 3 / 2,
    };
    (text.parse().unwrap(), bytes as usize)
}

trait Noise {
    fn fill_with_noise(&mut self, state: &mut u64);
}

impl Noise for gst::BufferMap<'_, gst::buffer::Writable> {
    /// Soft noise, different in each picture, so that an encoder can spend any bit rate on it.
    fn fill_with_noise(&mut self, state: &mut u64) {
        for byte in self.iter_mut() {
            // Marsaglia's xorshift64.
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            *byte = 116 + (*state % 24) as u8;
        }
    }
}
