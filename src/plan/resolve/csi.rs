//! The part of the Plan that is about cameras on the board's own connector.

use crate::board::Board;
use crate::config::Config;
use crate::config::schema;
use crate::media::csi::{CameraStack, Memory};
use crate::media::format::Flip;
use crate::plan::camera::{Ask, NoMode};
use crate::plan::csi::{self, CsiAsk, CsiPlan, CsiSettings, Sensor};
use crate::plan::encoder::EncoderChoice;
use crate::plan::inventory::{CsiCamera, Mode};
use crate::plan::{Chosen, SourceKind};

use super::Resolver;

/// The camera stack that is looked at on this board: what the configuration names, else the board's.
pub fn stack(config: &Config, board: &Board) -> Option<CameraStack> {
    let mut csi = config.settings.stream.iter().filter(|stream| stream.source.kind == schema::SourceKind::Csi);
    let configured = csi.clone().find_map(|stream| stream.source.stack);
    configured.or(board.profile.camera.stack).or_else(|| csi.next().map(|_| CameraStack::Libcamera))
}

/// A sensor and its mode, as far as they are known.
type Found<'a> = Result<(&'a CsiCamera, Option<&'a Mode>), NoMode>;

impl<'a> Resolver<'a> {
    /// The camera that `kind = "csi"` asks for. Whether it is there or not, it is tried: a sensor's driver may be late, and
    /// what a stack can do is only partly known before it is opened.
    pub(super) fn csi(&mut self, stream: &schema::Stream, ask: &Ask, encoder: &EncoderChoice, at: &str) -> SourceKind {
        let stack = self.stack(&stream.source);
        let found = self.find_csi(&stream.source, stack.value, ask);
        self.needs(stack.value.element(), &format!("{at}.source.kind"));
        if let Err(no) = &found {
            let (key, advice) = match no {
                NoMode::Cannot { .. } => ("size", "take a size and rate from this list"),
                _ => ("source", "look at its cable and at \"dmesg\"; \"windhover probe\" lists the sensors"),
            };
            self.world(&format!("{at}.{key}"), no.to_string(), advice);
        }
        SourceKind::Csi(Box::new(self.csi_plan(stream, stack, &found, encoder, at)))
    }

    /// The camera on the board's connector, where `kind = "auto"` finds one: `Err` says why it is of no use.
    pub(super) fn auto_csi(
        &mut self,
        stream: &schema::Stream,
        ask: &Ask,
        encoder: &EncoderChoice,
        at: &str,
    ) -> Option<Result<SourceKind, NoMode>> {
        let named = stream.source.device.is_some() || stream.source.format.is_some();
        let stack = self.board.profile.camera.stack.filter(|_| !named)?;
        if !self.inventory.elements.iter().any(|element| element == stack.element()) {
            return None;
        }
        match self.find_csi(&stream.source, stack, ask) {
            Err(NoMode::Absent { .. }) => None,
            Err(no) => Some(Err(no)),
            found => {
                let stack = Chosen { value: stack, reason: "this board's".into() };
                Some(Ok(SourceKind::Csi(Box::new(self.csi_plan(stream, stack, &found, encoder, at)))))
            }
        }
    }

    fn stack(&self, source: &schema::Source) -> Chosen<CameraStack> {
        let chosen = |value, reason: &str| Chosen { value, reason: reason.into() };
        match (source.stack, self.board.profile.camera.stack) {
            (Some(stack), _) => chosen(stack, "configured"),
            (None, Some(stack)) => chosen(stack, "this board's"),
            (None, None) => {
                chosen(CameraStack::Libcamera, "neither this board's profile nor the configuration names one")
            }
        }
    }

    fn find_csi(&self, source: &schema::Source, stack: CameraStack, ask: &Ask) -> Found<'a> {
        let name = source.camera.as_ref().map(|name| name.0.as_str());
        let ask = CsiAsk { stack, number: source.sensor, name, size: ask.size, rate: ask.rate };
        csi::choose(&self.inventory.csi, &ask)
    }

    fn csi_plan(
        &mut self,
        stream: &schema::Stream,
        stack: Chosen<CameraStack>,
        found: &Found<'_>,
        encoder: &EncoderChoice,
        at: &str,
    ) -> CsiPlan {
        let source = &stream.source;
        let sensor = sensor(source, stack.value, found);
        // Of those that are not there nobody knows whether they are one.
        if sensor.value != Sensor::First {
            self.taken(&format!("{} {}", stack.value, sensor.value), "source", stream, at);
        }
        let mode = source.mode.filter(|_| stack.value == CameraStack::Argus);
        let mode = Chosen { value: mode, reason: mode_reason(stack.value, mode, found) };
        let memory = memory(stack.value, encoder.surfaces);
        // Turning is done where the pictures lie; what the processor is to read has to be carried to it.
        let surfaces = stack.value.memory() == Memory::Surfaces;
        let converter = surfaces.then(|| self.converter());
        let used = memory.value == Memory::System || stream.flip != Flip::None || stream.snapshot.enabled;
        if let Some(converter) = converter.as_deref().filter(|_| used) {
            self.needs(converter, &format!("{at}.source.kind"));
        }
        let settings = self.settings(source, stack.value, at);
        CsiPlan { stack, sensor, mode, settings, memory, converter }
    }

    fn settings(&mut self, source: &schema::Source, stack: CameraStack, at: &str) -> CsiSettings {
        let mut settings = CsiSettings {
            exposure: source.exposure,
            gain: source.gain,
            white_balance: source.white_balance,
            denoise: source.denoise,
            sharpen: source.sharpen,
        };
        let mut refused: Vec<&str> = settings.refuse(stack);
        refused.extend((stack == CameraStack::Libcamera && source.mode.is_some()).then_some("mode"));
        if !refused.is_empty() {
            let message = format!("{stack} does not take {}", refused.join(", "));
            self.world(&format!("{at}.source"), message, "leave it out, or name one value; it is not set");
        }
        settings
    }

    /// What carries pictures between surfaces and the processor's memory on this board.
    pub(super) fn converter(&self) -> String {
        let own = &self.board.profile.surfaces.converters;
        let there = own.iter().find(|element| self.inventory.elements.contains(element));
        // Where Argus is asked for on a board without one, it is a Jetson that no profile knows.
        there.or_else(|| own.first()).cloned().unwrap_or_else(|| "nvvidconv".into())
    }

    fn needs(&mut self, element: &str, key: &str) {
        if !self.inventory.elements.iter().any(|there| there == element) {
            let message = format!("the GStreamer element \"{element}\" is not installed");
            self.world(key, message, brought_by(element));
        }
    }
}

fn sensor(source: &schema::Source, stack: CameraStack, found: &Found<'_>) -> Chosen<Sensor> {
    let asked = match (source.sensor, &source.camera) {
        (None, None) => "the first that can do what is asked",
        _ => "configured",
    };
    match found {
        Ok((camera, _)) => {
            let value = match stack {
                CameraStack::Argus => Sensor::Number(camera.number),
                CameraStack::Libcamera => Sensor::Name(camera.name.clone()),
            };
            Chosen { value, reason: format!("{asked}; {}", csi::title(camera)) }
        }
        Err(no) => {
            let value = match (stack, &source.camera) {
                (CameraStack::Argus, _) => Sensor::Number(source.sensor.unwrap_or(0)),
                (CameraStack::Libcamera, Some(name)) => Sensor::Name(name.0.clone()),
                (CameraStack::Libcamera, None) => Sensor::First,
            };
            Chosen { value, reason: format!("{asked}; now {no}, and it is tried all the same") }
        }
    }
}

fn mode_reason(stack: CameraStack, configured: Option<u32>, found: &Found<'_>) -> String {
    let fits = match found {
        Ok((_, Some(mode))) => format!("{} fits", csi::describe(mode)),
        Ok((_, None)) => "its driver lists no modes".into(),
        Err(_) => "none is known to fit".into(),
    };
    match configured {
        Some(_) => format!("configured; {fits}"),
        None => format!("{stack} takes the one that fits size and rate best; {fits}"),
    }
}

fn memory(stack: CameraStack, encoder_takes_surfaces: bool) -> Chosen<Memory> {
    let chosen = |value, reason: &str| Chosen { value, reason: reason.into() };
    match (stack.memory(), encoder_takes_surfaces) {
        (Memory::System, _) => chosen(Memory::System, "where the stack puts them"),
        (Memory::Surfaces, true) => chosen(
            Memory::Surfaces,
            "where the stack puts them and the encoder takes them: none is copied to the processor's memory",
        ),
        (Memory::Surfaces, false) => {
            chosen(Memory::System, "the encoder runs on the processor: each is carried there once, inside the source")
        }
    }
}

/// What brings an element of a vendor's: packages of meta-tegra and Debian.
fn brought_by(element: &str) -> &'static str {
    match element {
        "nvarguscamerasrc" => "install the package gstreamer1.0-plugins-nvarguscamerasrc",
        "nvvidconv" => "install the package gstreamer1.0-plugins-nvvidconv",
        "nvvideoconvert" => "install NVIDIA DeepStream, or the package gstreamer1.0-plugins-nvvidconv",
        "libcamerasrc" => "install the package gstreamer1.0-libcamera",
        _ => "",
    }
}
