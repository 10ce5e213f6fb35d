//! The fault codes: what an operator sees in the API, the log and on the console, by the same words.
//!
//! Cause and cure of each stand in `src/docs/faults.md`; `tests/tidy` holds the two lists together.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! faults {
    ($($name:ident = $code:literal, $title:literal;)*) => {
        /// Something wrong, with a code that can be looked up and quoted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FaultCode {
            $(#[doc = concat!("`", $code, "`: ", $title)] $name,)*
        }

        impl FaultCode {
            /// Every code there is, in the order of the table.
            pub const ALL: &'static [FaultCode] = &[$(FaultCode::$name,)*];

            /// The code as printed: `CAM-001`.
            pub const fn code(self) -> &'static str {
                match self { $(FaultCode::$name => $code,)* }
            }

            /// What it means, in one short sentence.
            pub const fn title(self) -> &'static str {
                match self { $(FaultCode::$name => $title,)* }
            }
        }
    };
}

faults! {
    CameraAbsent = "CAM-001", "the camera is not there";
    CameraStalled = "CAM-002", "the camera delivers no frames";
    CameraFailed = "CAM-003", "the camera or its driver reported an error";
    ClipUnplayable = "CAM-004", "the clip cannot be played";
    CameraUnable = "CAM-005", "the camera cannot do what is asked";
    ControlRefused = "CAM-006", "a control of the camera cannot be set";
    EncoderMissing = "ENC-001", "no encoder passed its self-test";
    EncoderFailed = "ENC-002", "the encoder stopped or reported an error";
    StorageMissing = "REC-001", "the storage directory is missing or cannot be written";
    StorageForeign = "REC-002", "the storage directory is not ours";
    StorageFull = "REC-003", "the storage is full and nothing may be deleted";
    WriteFailed = "REC-004", "writing the recording failed";
    RecordingGap = "REC-005", "the recording has a gap: the disk was too slow";
    StorageBusy = "REC-006", "another daemon records into this directory";
    SegmentQuarantined = "REC-007", "a damaged segment was set aside";
    SnapshotFailed = "IMG-001", "a snapshot could not be made or written";
    RtspListen = "NET-001", "the RTSP port cannot be opened";
    RtspMediaFailed = "NET-002", "the RTSP media failed and is being rebuilt";
    HttpListen = "NET-003", "the HTTP port or socket cannot be opened";
    NoCredential = "NET-004", "nobody may watch by RTSP: there is no credential";
    NetworkRefused = "NET-005", "the network settings are wrong and others are in force";
    CertificateUnusable = "TLS-001", "the TLS certificate or its key cannot be used";
    CertificateNotValid = "TLS-002", "the TLS certificate is not valid by this machine's clock";
    NoTls = "TLS-003", "this system has no TLS";
    TaskFailed = "SYS-001", "a part of the daemon failed and was restarted";
    ConfigRefused = "SYS-002", "the configuration is wrong and an earlier one runs";
    BoardReset = "SYS-003", "the board was reset, by nobody's order";
}

impl fmt::Display for FaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for FaultCode {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.code())
    }
}
