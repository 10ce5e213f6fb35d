//! What ffmpeg, a stranger to this project, says of a file or stream.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use windhover::media::stamp;

/// A video as ffprobe sees it.
#[derive(Debug, Clone)]
pub(crate) struct Probed {
    /// Packets of the first video stream.
    pub(crate) frames: u64,
    /// Time from the first picture to the end of the last one, in seconds.
    pub(crate) duration_s: f64,
    /// True if the first packet is a keyframe.
    pub(crate) begins_with_keyframe: bool,
    /// Width and height.
    pub(crate) size: (u64, u64),
    /// The codec's name.
    pub(crate) codec: String,
}

/// Reads every packet of a file; why not, if it cannot.
pub(crate) fn probe(file: &Path) -> Result<Probed, String> {
    let entries = "stream=codec_name,width,height:packet=pts_time,duration_time,flags";
    let arguments = ["-v", "error", "-select_streams", "v:0", "-show_entries", entries, "-of", "json"];
    let text = run("ffprobe", 30, &arguments, &[file.as_os_str()])?;
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let stream = json.pointer("/streams/0").ok_or("no video stream")?;
    let packets = json.pointer("/packets").and_then(|list| list.as_array()).ok_or("no packets")?;
    let number = |packet: &serde_json::Value, key: &str| packet.get(key)?.as_str()?.parse::<f64>().ok();
    let times: Vec<f64> = packets.iter().filter_map(|packet| number(packet, "pts_time")).collect();
    let first = times.iter().copied().fold(f64::INFINITY, f64::min);
    let last = times.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let tail = packets.last().and_then(|packet| number(packet, "duration_time")).unwrap_or(0.0);
    let flags = packets.first().and_then(|packet| packet.get("flags")?.as_str()).unwrap_or_default();
    let field = |key: &str| stream.get(key).and_then(serde_json::Value::as_u64).unwrap_or(0);
    Ok(Probed {
        frames: packets.len() as u64,
        duration_s: if times.is_empty() { 0.0 } else { last - first + tail },
        begins_with_keyframe: flags.starts_with('K'),
        size: (field("width"), field("height")),
        codec: stream.get("codec_name").and_then(|name| name.as_str()).unwrap_or_default().to_owned(),
    })
}

/// Decodes everything; the number of pictures, or what the decoder complained about.
pub(crate) fn decode(file: &Path) -> Result<u64, String> {
    let arguments =
        ["-v", "error", "-count_frames", "-select_streams", "v:0", "-show_entries", "stream=nb_read_frames"];
    let plain = ["-of", "default=noprint_wrappers=1:nokey=1"];
    let text = run("ffprobe", 60, &[&arguments[..], &plain[..]].concat(), &[file.as_os_str()])?;
    text.trim().parse().map_err(|_| format!("no picture could be decoded: {text}"))
}

/// The first seconds of a stream, as a file; by ffmpeg's own defaults, but for the transport if one is given.
pub(crate) fn save_stream(url: &str, transport: Option<&str>, seconds: &str, file: &Path) -> Result<(), String> {
    let transport = transport.map_or(Vec::new(), |name| vec!["-rtsp_transport", name]);
    let before = [&["-v", "error", "-y"][..], &transport[..], &["-i", url, "-t", seconds, "-c", "copy"][..]].concat();
    run("ffmpeg", 30, &before, &[file.as_os_str()]).map(|_| ())
}

/// The finished recordings below a storage folder, oldest first. Links are not followed.
pub(crate) fn segments(storage: &Path) -> Vec<PathBuf> {
    files_ending(storage, [".mp4", ".ts", ".mkv"])
}

/// Recordings that are being written, or were when their daemon was killed.
pub(crate) fn open_segments(storage: &Path) -> Vec<PathBuf> {
    files_ending(storage, [".mp4.part", ".ts.part", ".mkv.part"])
}

fn files_ending(storage: &Path, endings: [&str; 3]) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(storage).into_iter().filter_map(Result::ok);
    let files = entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path);
    let mut found: Vec<PathBuf> =
        files.filter(|path| endings.iter().any(|ending| path.to_string_lossy().ends_with(ending))).collect();
    found.sort();
    found
}

/// Decodes everything and reads the stamp in each picture: when it was taken, on the monotonic clock.
pub(crate) fn stamps(file: &Path) -> Result<Vec<Duration>, String> {
    const WIDTH: usize = 896;
    let picture = ["-vf", "crop=896:16:0:0", "-pix_fmt", "gray", "-fps_mode", "passthrough", "-f", "rawvideo", "-"];
    let out = Command::new("timeout")
        .args(["--signal=KILL", "60", "ffmpeg", "-v", "error", "-i"])
        .arg(file)
        .args(picture)
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|e| format!("ffmpeg: {e}"))?;
    let complaint = String::from_utf8_lossy(&out.stderr).trim().to_owned();
    if !out.status.success() || !complaint.is_empty() {
        return Err(format!("{}: ffmpeg: {complaint}", file.display()));
    }
    let mut stamps = Vec::new();
    for (number, luma) in out.stdout.chunks_exact(WIDTH * 16).enumerate() {
        stamps
            .push(stamp::read(luma, WIDTH).ok_or_else(|| format!("{}: picture {number} is damaged", file.display()))?);
    }
    Ok(stamps)
}

/// Output of a tool that must succeed and complain of nothing, within so many seconds.
fn run(tool: &str, seconds: u32, arguments: &[&str], last: &[&std::ffi::OsStr]) -> Result<String, String> {
    let out = Command::new("timeout")
        .args(["--signal=KILL", &seconds.to_string(), tool])
        .args(arguments)
        .args(last)
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|e| format!("{tool}: {e}"))?;
    let complaint = String::from_utf8_lossy(&out.stderr).trim().to_owned();
    if !out.status.success() || !complaint.is_empty() {
        return Err(format!("{tool}: {}: {complaint}", out.status));
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}
