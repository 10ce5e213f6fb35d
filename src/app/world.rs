//! What `check` and a reload find wrong with the world around a Plan: ports, the socket, clips, storage, missing plugins. Nothing is
//! changed and nothing stays open.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::auth::Store;
use crate::base::clock::{Clock, SystemClock};
use crate::base::error::Chain;
use crate::base::units::ByteSize;
use crate::config::Config;
use crate::config::problem::{Problem, Problems};
use crate::media::format::{Flip, PixelFormat};
use crate::plan::{Plan, RtspsPlan, SourceKind, StoragePlan, StreamPlan};
use crate::sink::rtsp::certificate::{self, Certificate};
use crate::storage::memory::Memory;
use crate::storage::{Volume, volume};

/// Everything that is wrong.
pub fn problems(config: &Config, plan: &Plan) -> Problems {
    let mut world = World { config, problems: Problems::default() };
    world.socket(&plan.http.socket);
    let owner = if world.problems.is_empty() { "another program holds it" } else { "the running daemon may hold it" };
    if let Some(rtsp) = &plan.rtsp {
        world.port("rtsp.listen", rtsp.listen, owner);
        rtsp.secure.iter().for_each(|secure| world.port("rtsp.tls_listen", secure.listen, owner));
        rtsp.login.iter().for_each(|file| world.credentials(file));
    }
    world.port("http.listen", plan.http.listen, owner);
    world.streams_and_storage(plan);
    world.problems
}

/// The same without ports and sockets: a daemon that runs has them itself.
pub(super) fn of_streams_and_storage(config: &Config, plan: &Plan) -> Problems {
    let mut world = World { config, problems: Problems::default() };
    world.streams_and_storage(plan);
    world.problems
}

struct World<'a> {
    config: &'a Config,
    problems: Problems,
}

impl World<'_> {
    fn problem(&mut self, key: &str, message: String, advice: &str) {
        let place = self.config.origins.place(key);
        self.problems.push(Problem::world(place, key, message).advise(advice));
    }

    fn streams_and_storage(&mut self, plan: &Plan) {
        for (n, stream) in plan.streams.iter().enumerate() {
            self.clips(stream, n);
            self.plugins(stream, n, plan.rtsp.is_some());
        }
        if let Some(storage) = &plan.storage {
            self.storage(storage);
        }
        if let Some(secure) = plan.rtsp.as_ref().and_then(|rtsp| rtsp.secure.as_ref()) {
            self.certificate(secure);
        }
    }

    fn certificate(&mut self, secure: &RtspsPlan) {
        match Certificate::load(&secure.certificate, &secure.key) {
            Ok(certificate) => {
                if let Some(trouble) = certificate.trouble(SystemClock.wall()) {
                    let message = format!("the certificate {} is not valid: {trouble}", secure.certificate.display());
                    self.problem("rtsp.tls_certificate", message, "get a new one, or set this machine's clock");
                }
            }
            Err(e @ certificate::Error::NoTls) => self.problem("rtsp.tls_listen", Chain(&e).to_string(), ""),
            Err(e) => {
                let key = if e.is_of_key(&secure.key) { "rtsp.tls_key" } else { "rtsp.tls_certificate" };
                self.problem(key, Chain(&e).to_string(), "");
            }
        }
    }

    fn socket(&mut self, path: &Path) {
        // A socket that nobody answers is the rest of a killed daemon, and replaced.
        if UnixStream::connect(path).is_ok() {
            let message = format!("a daemon answers at {} already", path.display());
            self.problem("http.socket", message, "stop it, or give this one another socket: http.socket");
        }
    }

    fn port(&mut self, key: &str, listen: SocketAddr, owner: &str) {
        let bound = match TcpListener::bind(listen) {
            // A kernel without IPv6 knows no [::]; what is meant is "everywhere".
            Err(e) if e.raw_os_error() == Some(libc::EAFNOSUPPORT) && listen.ip().is_unspecified() => {
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, listen.port()))
            }
            bound => bound,
        };
        let Err(e) = bound else { return };
        let (message, advice) = match e.kind() {
            io::ErrorKind::AddrInUse => (
                format!("port {} is taken: {owner}", listen.port()),
                format!("\"ss -ltnp\" says who; or choose another port: {key}"),
            ),
            io::ErrorKind::AddrNotAvailable => {
                (format!("this machine has no address {}", listen.ip()), "\"ip address\" lists its addresses".into())
            }
            io::ErrorKind::PermissionDenied => {
                (format!("port {} needs privileges", listen.port()), "choose one above 1023".into())
            }
            _ => (format!("cannot listen on {listen}: {e}"), String::new()),
        };
        self.problem(key, message, &advice);
    }

    fn credentials(&mut self, file: &Path) {
        let message = match Store::at(file).read() {
            Ok(credentials) if !credentials.is_empty() => return,
            Ok(_) => format!("nobody may watch by RTSP: {} holds no credential", file.display()),
            Err(e) => Chain(&e).to_string(),
        };
        self.problem("access.watch", message, "make one as the daemon's user: windhover access rtsp add <name>");
    }

    fn clips(&mut self, stream: &StreamPlan, n: usize) {
        let SourceKind::File { paths } = &stream.source.kind else { return };
        for path in paths {
            let opened = File::open(path).and_then(|file| file.metadata());
            let message = match opened {
                Ok(metadata) if metadata.is_file() && metadata.len() > 0 => continue,
                Ok(metadata) if metadata.is_file() => format!("the clip {} is empty", path.display()),
                Ok(_) => format!("the clip {} is no file", path.display()),
                Err(e) if e.kind() == io::ErrorKind::NotFound => format!("the clip {} is not found", path.display()),
                Err(e) => format!("the clip {} cannot be read: {e}", path.display()),
            };
            self.problem(&format!("stream[{n}].source.path"), message, "");
        }
    }

    /// Elements that a stream needs besides its encoder, which the Plan speaks of.
    fn plugins(&mut self, stream: &StreamPlan, n: usize, rtsp: bool) {
        for element in needed(stream, rtsp) {
            if let Err(e) = crate::gst::make(element, "check") {
                self.problem(&format!("stream[{n}]"), Chain(&e).to_string(), "");
            }
        }
    }

    fn storage(&mut self, storage: &StoragePlan) {
        let path = &storage.path;
        // The user's own data directory is made at the start, parents included; a configured one is not.
        let own = self.config.settings.storage.path.is_none();
        if own && !path.parent().is_some_and(Path::exists) {
            return;
        }
        let memory = Memory::new(&self.config.directories.state, path);
        if let Err(e) = memory.check().and_then(|()| Volume::inspect(path)) {
            self.problem("storage.path", Chain(&e).to_string(), "");
            return;
        }
        let Ok(capacity) = volume::capacity(path) else { return };
        if storage.keep_free.bytes() >= capacity / 2 {
            let (keep, size) = (storage.keep_free, ByteSize::from_bytes(capacity));
            let message =
                format!("{keep} are to stay free, but the file system has {size}, and recordings need the rest");
            self.problem("storage.keep_free", message, "name less than half of the file system");
        }
    }
}

fn needed(stream: &StreamPlan, rtsp: bool) -> Vec<&'static str> {
    let mut all = vec!["appsrc", "appsink", "videoconvert", "h264parse"];
    match &stream.source.kind {
        SourceKind::Test => all.push("videotestsrc"),
        SourceKind::File { .. } => all.push("decodebin3"),
        // The Plan has said already what of a camera stack is missing.
        SourceKind::Csi(_) => {}
        SourceKind::V4l2 { format, .. } => {
            all.push("v4l2src");
            // While no camera is there, it may turn out to be one that sends JPEG.
            if format.as_ref().is_none_or(|format| format.value == PixelFormat::MJPEG) {
                all.push("jpegdec");
            }
        }
    }
    let turned_by_converter = matches!(&stream.source.kind, SourceKind::Csi(csi) if csi.converter.is_some());
    if stream.source.flip != Flip::None && !turned_by_converter {
        all.push("videoflip");
    }
    if stream.snapshot.is_some() {
        all.push("jpegenc");
    }
    all.extend(stream.record.as_ref().and_then(|record| record.format.muxer()));
    if rtsp {
        all.extend(["rtph264pay", "rtpbin", "udpsink"]);
    }
    all
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::config::{Environment, Inputs, load};
    use crate::plan::inventory::Inventory;
    use crate::plan::{board, resolve};

    /// Problems of the world with these variables set, as "key: message".
    fn wrong(dir: &Path, variables: &[(&str, &str)]) -> Vec<String> {
        let mut environment: Environment =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        environment.insert("HOME".into(), dir.display().to_string());
        for name in ["WINDHOVER_RTSP__LISTEN", "WINDHOVER_HTTP__LISTEN"] {
            environment.entry(name.into()).or_insert("127.0.0.1:0".into());
        }
        let (config, problems) = load(&Inputs { environment, ..Inputs::default() });
        assert_eq!(problems.to_string(), "");
        let (board, _) = board(&config, &[]);
        crate::gst::init().unwrap();
        let plan = resolve(&config, &board, &Inventory::default()).plan;
        problems_of(&super::problems(&config, &plan))
    }

    fn problems_of(problems: &Problems) -> Vec<String> {
        assert!(!problems.refuse(), "the world never keeps run from starting");
        problems.iter().map(|p| format!("{}: {}", p.key, p.message)).collect()
    }

    #[test]
    fn an_untouched_home_is_fine() {
        let dir = tempfile::tempdir().unwrap();
        assert!(wrong(dir.path(), &[]).is_empty());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "check makes nothing");
    }

    #[test]
    fn ports_sockets_clips_and_storage_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let socket = dir.path().join("api.sock");
        let _daemon = UnixListener::bind(&socket).unwrap();
        let missing = dir.path().join("no/where");
        let found = wrong(
            dir.path(),
            &[
                ("WINDHOVER_RTSP__LISTEN", &format!("127.0.0.1:{port}")),
                ("WINDHOVER_HTTP__SOCKET", &socket.display().to_string()),
                ("CAMERA", &dir.path().join("clip.mp4").display().to_string()),
                ("WINDHOVER_STORAGE__PATH", &missing.display().to_string()),
            ],
        );
        let starts = [
            format!("http.socket: a daemon answers at {} already", socket.display()),
            format!("rtsp.listen: port {port} is taken: the running daemon may hold it"),
            format!("stream[0].source.path: the clip {}/clip.mp4 is not found", dir.path().display()),
            format!("storage.path: storage {}", missing.display()),
        ];
        assert_eq!(found.len(), starts.len(), "{found:#?}");
        for (found, start) in found.iter().zip(starts) {
            assert!(found.starts_with(&start), "{found}");
        }
    }

    #[test]
    fn clips_must_be_files_with_something_in_them() {
        let dir = tempfile::tempdir().unwrap();
        let empty = dir.path().join("empty.mp4");
        std::fs::write(&empty, "").unwrap();
        let good = dir.path().join("good.mp4");
        std::fs::write(&good, "x").unwrap();
        let table = [(empty, "is empty"), (dir.path().to_owned(), "is no file"), (good, "")];
        for (path, want) in table {
            let found = wrong(dir.path(), &[("CAMERA", &path.display().to_string())]);
            let hit = if want.is_empty() { found.is_empty() } else { found.len() == 1 && found[0].ends_with(want) };
            assert!(hit, "{}: {found:#?}", path.display());
        }
    }

    #[test]
    fn more_to_keep_free_than_the_disk_has() {
        let dir = tempfile::tempdir().unwrap();
        let found = wrong(
            dir.path(),
            &[("SSD_PATH", &dir.path().display().to_string()), ("WINDHOVER_STORAGE__KEEP_FREE", "900 TiB")],
        );
        assert!(matches!(found.as_slice(), [one] if one.starts_with("storage.keep_free: 900")), "{found:#?}");
    }

    #[test]
    fn a_stale_socket_and_a_dirty_storage() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("api.sock");
        drop(UnixListener::bind(&socket).unwrap());
        let foreign = dir.path().join("photos");
        std::fs::create_dir(&foreign).unwrap();
        std::fs::write(foreign.join("holiday.jpg"), "x").unwrap();
        let socket = socket.display().to_string();
        let found = wrong(
            dir.path(),
            &[("WINDHOVER_HTTP__SOCKET", &socket), ("WINDHOVER_STORAGE__PATH", &foreign.display().to_string())],
        );
        assert!(matches!(found.as_slice(), [one] if one.starts_with("storage.path: ")), "{found:#?}");
    }
}
