//! Where frames enter: each kind of source becomes a chain of elements that ends in raw or encoded pictures.

mod csi;
mod file;
pub mod lettering;
mod spoiled;
mod test;
mod v4l2;

use std::path::PathBuf;
use std::sync::Arc;

use crate::base::clock::Clock;
use crate::base::error::{Coded, Kind};
use crate::base::fault::FaultCode;
use crate::media::format::{Flip, FrameRate, PixelFormat, Size};
use crate::plan::csi::CsiPlan;

pub use spoiled::drop_spoiled;

/// What can go wrong with a source before frames flow.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An element is missing or refuses its work.
    #[error("the source cannot be built")]
    Build(#[source] crate::gst::Error),
    /// A clip is not there.
    #[error("the clip {} cannot be opened", path.display())]
    Clip {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
}

impl From<crate::gst::Error> for Error {
    fn from(e: crate::gst::Error) -> Self {
        Error::Build(e)
    }
}

impl Coded for Error {
    fn kind(&self) -> Kind {
        Kind::Unavailable
    }

    fn fault(&self) -> Option<FaultCode> {
        Some(match self {
            Error::Build(_) => FaultCode::CameraFailed,
            Error::Clip { .. } => FaultCode::ClipUnplayable,
        })
    }
}

/// A source that was resolved to something that can be opened now.
#[derive(Debug, Clone, PartialEq)]
pub enum Opened {
    /// The test picture.
    Test,
    /// This device node in this format.
    V4l2 {
        /// `/dev/video0`.
        node: PathBuf,
        /// The format to ask for.
        format: PixelFormat,
    },
    /// A sensor on the board's own connector.
    Csi(Box<CsiPlan>),
    /// This clip.
    File {
        /// Its path.
        path: PathBuf,
    },
}

/// What the pictures are to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Size as the source delivers it, before `flip`.
    pub size: Size,
    /// Frames per second.
    pub rate: FrameRate,
    /// How to turn the picture.
    pub flip: Flip,
}

/// The elements of a source, in order, not yet added to a pipeline. The last one delivers what `encoded` says.
#[derive(Debug)]
pub struct Chain {
    /// Elements that link one to the next. The clip's demuxer links its dynamic pad itself: `late` says where.
    pub elements: Vec<gst::Element>,
    /// The first `late` elements are only added; the element at `late - 1` links itself to the one at `late`.
    pub late: usize,
    /// True if the pictures are H.264 already.
    pub encoded: bool,
    /// True if the sink must pace the pictures in real time (clips), false for live sources.
    pub paced: bool,
}

/// Builds the elements of `source`.
pub fn build(source: &Opened, wanted: Wanted, clock: Arc<dyn Clock>) -> Result<Chain, Error> {
    match source {
        Opened::Test => test::build(wanted, clock),
        Opened::V4l2 { node, format } => v4l2::build(node, *format, wanted),
        Opened::Csi(csi) => csi::build(csi, wanted),
        Opened::File { path } => file::build(path, wanted),
    }
}

/// A capsfilter for raw pictures.
fn raw_filter(name: &str, wanted: Wanted, format: Option<PixelFormat>) -> Result<gst::Element, Error> {
    let rate = gst::Fraction::new(wanted.rate.num.cast_signed(), wanted.rate.den.cast_signed());
    let mut caps = gst::Caps::builder("video/x-raw")
        .field("width", wanted.size.width.cast_signed())
        .field("height", wanted.size.height.cast_signed())
        .field("framerate", rate);
    if let Some(format) = format {
        caps = caps.field("format", format.to_string());
    }
    filter(name, caps.build())
}

fn filter(name: &str, caps: gst::Caps) -> Result<gst::Element, Error> {
    let filter = crate::gst::make("capsfilter", name)?;
    crate::gst::set(&filter, "caps", caps)?;
    Ok(filter)
}

/// Adds what turns the picture, if it is to be turned at all.
fn push_flip(elements: &mut Vec<gst::Element>, flip: Flip) -> Result<(), Error> {
    let method = match flip {
        Flip::None => return Ok(()),
        Flip::Horizontal => "horizontal-flip",
        Flip::Vertical => "vertical-flip",
        Flip::Rotate90 => "clockwise",
        Flip::Rotate180 => "rotate-180",
        Flip::Rotate270 => "counterclockwise",
    };
    let element = crate::gst::make("videoflip", "flip")?;
    crate::gst::set_from_text(&element, "method", method)?;
    elements.push(element);
    Ok(())
}
