//! The test image as a running machine: what a test does to it and asks of it.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::line::{Qmp, Said, Shell};
use crate::support::http::{find_branch, http_get};
use crate::support::player::{Player, Seen};
use crate::support::rtsp::Transport;
use crate::support::wait::{now, wait_for};

/// A boot takes 25 s on an idle machine, and several times that beside other work.
pub(crate) const BOOT: Duration = Duration::from_secs(180);
/// A command in the machine is slow too: an emulated processor has a tenth of the speed.
const COMMAND: Duration = Duration::from_secs(90);

/// What a test wants of its machine.
#[derive(Debug, Default)]
pub(crate) struct Setup {
    /// For the kernel's command line.
    pub(crate) append: &'static str,
    /// Further options of QEMU.
    pub(crate) options: Vec<String>,
    /// Every write to the disk for recordings is logged into this file.
    pub(crate) write_log: Option<PathBuf>,
}

/// A running machine; dropping it cuts its power.
#[derive(Debug)]
pub(crate) struct Machine {
    qemu: Child,
    folder: PathBuf,
    shell: Shell,
    pub(crate) qmp: Qmp,
    rtsp: u16,
    http: u16,
    /// When it was switched on.
    pub(crate) started: Duration,
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("it is bound").port()
}

impl Machine {
    /// Switches on a machine whose disks lie, or are made, in `folder`.
    pub(crate) fn switch_on(folder: &Path, setup: &Setup) -> Self {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/image");
        let (rtsp, http) = (free_port(), free_port());
        let started = now();
        // setpriv: a test that is killed takes its machine along.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(tool).arg("run");
        command.args(["--rtsp", &rtsp.to_string(), "--http", &http.to_string(), "--folder"]).arg(folder);
        command.arg("--console").arg(folder.join("console"));
        if let Some(log) = &setup.write_log {
            command.arg("--write-log").arg(log);
        }
        if !setup.append.is_empty() {
            command.args(["--append", setup.append]);
        }
        command.arg("--").args(&setup.options);
        let said = std::fs::File::create(folder.join("qemu")).expect("the folder can be written");
        let both = said.try_clone().expect("a descriptor can be copied");
        let qemu = command.stdin(Stdio::null()).stdout(both).stderr(said).spawn().expect("setpriv is everywhere");
        let lines = Shell::connect(&folder.join("shell")).and_then(|s| Ok((s, Qmp::connect(&folder.join("qmp"))?)));
        let (shell, qmp) = lines.unwrap_or_else(|e| panic!("{e}; QEMU said:\n{}", read(&folder.join("qemu"))));
        Self { qemu, folder: folder.to_owned(), shell, qmp, rtsp, http, started }
    }

    /// Switches it on and waits until its boot is complete.
    pub(crate) fn boot(folder: &Path, setup: &Setup) -> Self {
        let mut machine = Self::switch_on(folder, setup);
        machine.wait_boot();
        machine
    }

    /// Waits until the boot that is under way is complete: video flows, or there is no camera.
    pub(crate) fn wait_boot(&mut self) {
        self.wait(BOOT, "the boot to be complete", "systemctl is-active boot-complete.target");
    }

    /// Runs a command in the machine. Waits for a machine that boots.
    pub(crate) fn try_sh(&mut self, command: &str) -> Result<Said, String> {
        self.shell.run(command, COMMAND)
    }

    /// Runs a command in the machine that must succeed; what it said.
    pub(crate) fn sh(&mut self, command: &str) -> String {
        match self.try_sh(command) {
            Ok(Said { code: 0, out }) => out,
            Ok(Said { code, out }) => panic!("{command}: exit code {code}: {out}"),
            Err(e) => panic!("{e}"),
        }
    }

    /// Waits until a command succeeds; what it said.
    pub(crate) fn wait(&mut self, limit: Duration, what: &str, command: &str) -> String {
        let end = now() + limit;
        let mut last;
        loop {
            // What was asked of a machine that was reset meanwhile is never answered: ask the next one soon.
            last = match self.shell.run(command, end.saturating_sub(now()).min(Duration::from_secs(20))) {
                Ok(Said { code: 0, out }) => return out,
                Ok(Said { out, .. }) => out,
                Err(e) => e,
            };
            assert!(now() < end, "waited {limit:?} for {what}; last: {last}\n{}", self.situation());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// What may explain a failure.
    fn situation(&mut self) -> String {
        let asked = "systemctl --failed --no-pager; systemctl list-jobs --no-pager; windhover status --socket \
                     /run/windhover/api.sock; journalctl --boot --no-pager --lines 60 --output short-monotonic";
        let inside = self.shell.run(asked, Duration::from_secs(60));
        let inside = inside.map_or_else(|e| e, |said| said.out);
        let console = read(&self.folder.join("console"));
        let from = console.char_indices().rev().nth(3000).map_or(0, |(place, _)| place);
        format!("---- inside ----\n{inside}\n---- end of the console ----\n{}", &console[from..])
    }

    /// The URL of its video.
    pub(crate) fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}/live", self.rtsp)
    }

    /// Plays its video, trying again until so many pictures came in one connection.
    pub(crate) fn watch(&mut self, pictures: u64, limit: Duration) -> (Player, Seen) {
        let end = now() + limit;
        loop {
            let player = Player::play(&self.url(), Transport::Tcp);
            match player.wait_pictures(pictures, end.saturating_sub(now())) {
                Ok(seen) => return (player, seen),
                Err(e) => assert!(now() < end, "no video in {limit:?}: {e}\n{}", self.situation()),
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// What the daemon says of itself over HTTP, if it answers.
    pub(crate) fn health(&self) -> Option<Value> {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, self.http));
        serde_json::from_slice(&http_get(server, "/api/v1/health").ok()?).ok()
    }

    /// One branch of its health, once it answers.
    pub(crate) fn branch(&mut self, name: &str) -> Value {
        let found = wait_for(Duration::from_secs(20), || find_branch(&self.health()?, name).cloned());
        found.unwrap_or_else(|| panic!("no word of {name} from the daemon\n{}", self.situation()))
    }

    /// Waits until a branch is as asked.
    pub(crate) fn wait_branch(
        &mut self,
        limit: Duration,
        name: &str,
        what: &str,
        is: impl Fn(&Value) -> bool,
    ) -> Value {
        let found = wait_for(limit, || find_branch(&self.health()?, name).filter(|branch| is(branch)).cloned());
        found.unwrap_or_else(|| panic!("waited {limit:?} for {name} to be {what}\n{}", self.situation()))
    }

    /// Process number of the daemon.
    pub(crate) fn pid(&mut self) -> u32 {
        let said = self.sh("systemctl show --property MainPID --value windhover");
        said.parse().unwrap_or_else(|e| panic!("{said}: {e}"))
    }

    /// How often systemd restarted the daemon since the boot.
    pub(crate) fn restarts(&mut self) -> u32 {
        let said = self.sh("systemctl show --property NRestarts --value windhover");
        said.parse().unwrap_or_else(|e| panic!("{said}: {e}"))
    }

    /// Identifies this boot.
    pub(crate) fn boot_id(&mut self) -> String {
        self.sh("cat /proc/sys/kernel/random/boot_id")
    }

    /// Fails the test, with all that may explain why.
    pub(crate) fn fail(&mut self, what: &str) -> ! {
        panic!("{what}\n{}", self.situation())
    }

    /// The power goes: QEMU is killed.
    pub(crate) fn cut_power(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.end();
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// Codes of the faults of a branch.
pub(crate) fn faults(branch: &Value) -> Vec<String> {
    let list = branch.get("faults").and_then(Value::as_array).cloned().unwrap_or_default();
    list.iter().filter_map(|fault| fault.get("code")?.as_str().map(str::to_owned)).collect()
}

/// A counter of a branch; 0 where it is not there yet.
pub(crate) fn counter(branch: &Value, name: &str) -> u64 {
    branch.pointer(&format!("/counters/{name}")).and_then(Value::as_u64).unwrap_or(0)
}

/// What a branch is doing.
pub(crate) fn condition(branch: &Value) -> &str {
    branch.get("condition").and_then(Value::as_str).unwrap_or_default()
}

/// Tells whoever reads the log of the run, also of tests that pass.
pub(crate) fn say(what: &str) {
    // A log that cannot be written fails no test.
    let _ = writeln!(std::io::stdout(), "    {what}");
}

/// Tells a measured figure.
pub(crate) fn figure(what: &str, value: f64, unit: &str) {
    say(&format!("measured: {what}: {value:.1} {unit}"));
}
