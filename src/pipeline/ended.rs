//! Why a run of the source ended, in the words of the health report.

use crate::base::error::{Chain, Coded};
use crate::base::fault::FaultCode;
use crate::base::health::Condition;
use crate::gst::Fault;
use crate::plan::StreamPlan;
use crate::plan::camera::NoMode;
use crate::source::{self, Opened};

/// Why a run of the source ended.
pub(super) struct Ended {
    pub(super) code: FaultCode,
    pub(super) condition: Condition,
    pub(super) detail: String,
}

/// A node goes with its device. Some drivers keep silent about it for as long as somebody holds the node open.
pub(super) fn is_gone(opened: &Opened) -> bool {
    matches!(opened, Opened::V4l2 { node, .. } if !node.exists())
}

pub(super) fn unplugged(opened: &Opened) -> Ended {
    let detail = format!("{} was unplugged", name(opened));
    Ended { code: FaultCode::CameraAbsent, condition: Condition::Absent, detail }
}

pub(super) fn broke(opened: &Opened, fault: &Fault) -> Ended {
    let (code, condition) = match opened {
        _ if is_gone(opened) => (FaultCode::CameraAbsent, Condition::Absent),
        Opened::File { .. } => (FaultCode::ClipUnplayable, Condition::Recovering),
        _ => (FaultCode::CameraFailed, Condition::Recovering),
    };
    Ended { code, condition, detail: fault.to_string() }
}

pub(super) fn failed(error: &source::Error) -> Ended {
    let code = error.fault().unwrap_or(FaultCode::CameraFailed);
    Ended { code, condition: Condition::Recovering, detail: Chain(error).to_string() }
}

pub(super) fn stalled(detail: String) -> Ended {
    Ended { code: FaultCode::CameraStalled, condition: Condition::Recovering, detail }
}

/// Only what is not there is a known state; what is there and cannot be used is a failure. A node that `appeared` just
/// now and may not be opened is being set up: udev gives it its group and mode.
pub(super) fn no_camera(no: &NoMode, appeared: bool) -> Ended {
    let (code, condition) = match no {
        NoMode::Unreadable(_) if appeared => (FaultCode::CameraAbsent, Condition::Absent),
        NoMode::Absent { .. } => (FaultCode::CameraAbsent, Condition::Absent),
        NoMode::Cannot { .. } => (FaultCode::CameraUnable, Condition::Recovering),
        NoMode::Unreadable(_) => (FaultCode::CameraFailed, Condition::Recovering),
    };
    let detail = match no {
        NoMode::Unreadable(_) if appeared => "a device has appeared and is being set up".into(),
        _ => no.to_string(),
    };
    Ended { code, condition, detail }
}

pub(super) fn name(opened: &Opened) -> String {
    match opened {
        Opened::Test => "test picture".into(),
        Opened::V4l2 { node, format } => format!("{} {format}", node.display()),
        Opened::Csi(csi) => format!("{} {}", csi.stack.value, csi.sensor.value),
        Opened::File { path } => path.display().to_string(),
    }
}

pub(super) fn describe(opened: &Opened, plan: &StreamPlan) -> String {
    match opened {
        // A clip has its own size and rate.
        Opened::File { .. } => format!("{}, in real time", name(opened)),
        _ => format!("{}, {} at {} fps", name(opened), plan.source.flip.apply(plan.size), plan.rate),
    }
}
