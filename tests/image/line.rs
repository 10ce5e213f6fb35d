//! Two lines into the machine: the root shell of the test image, and QEMU's own QMP.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::wait::{now, wait_for};

/// What a command in the machine said.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// Its exit code.
    pub(crate) code: i32,
    /// Both its outputs.
    pub(crate) out: String,
}

fn connect(socket: &Path) -> Result<UnixStream, String> {
    let stream = wait_for(Duration::from_secs(60), || UnixStream::connect(socket).ok());
    let stream = stream.ok_or_else(|| format!("QEMU opens no {}", socket.display()))?;
    stream.set_read_timeout(Some(Duration::from_millis(200))).map_err(|e| e.to_string())?;
    Ok(stream)
}

/// Reads what is there, for at most the stream's timeout; false at its end.
fn read_some(stream: &mut UnixStream, inbox: &mut Vec<u8>) -> bool {
    let mut part = [0; 65536];
    match stream.read(&mut part) {
        Ok(0) => false,
        Ok(n) => {
            inbox.extend_from_slice(&part[..n]);
            true
        }
        Err(e) => matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted),
    }
}

/// The shell. It outlives resets of the machine: commands wait until it is there again.
#[derive(Debug)]
pub(crate) struct Shell {
    stream: UnixStream,
    number: u32,
}

impl Shell {
    pub(crate) fn connect(socket: &Path) -> Result<Self, String> {
        Ok(Self { stream: connect(socket)?, number: 0 })
    }

    /// Runs a command in a shell of its own; the error says that no answer came in time.
    pub(crate) fn run(&mut self, command: &str, limit: Duration) -> Result<Said, String> {
        self.number += 1;
        let mark = format!("<{}-{}>", std::process::id(), self.number);
        let line = format!("echo 'begin{mark}'; ( {command}\n) </dev/null 2>&1; echo \"end{mark}$?.\"\n");
        self.stream.write_all(line.as_bytes()).map_err(|e| e.to_string())?;
        let (begin, end) = (format!("begin{mark}\n"), format!("end{mark}"));
        let mut inbox = Vec::new();
        let deadline = now() + limit;
        while now() < deadline {
            if !read_some(&mut self.stream, &mut inbox) {
                return Err("QEMU closed the line to the shell".into());
            }
            let text = String::from_utf8_lossy(&inbox);
            let Some((_, text)) = text.split_once(&begin) else { continue };
            let Some((out, rest)) = text.split_once(&end) else { continue };
            let Some((code, _)) = rest.split_once('.') else { continue };
            let code = code.parse().map_err(|_| format!("no exit code: {code}"))?;
            return Ok(Said { code, out: out.trim_end().to_owned() });
        }
        Err(format!("no answer in {limit:?} to: {command}"))
    }
}

/// QEMU's machine protocol.
#[derive(Debug)]
pub(crate) struct Qmp {
    stream: UnixStream,
    inbox: Vec<u8>,
    /// Events that came and were not asked for yet.
    events: Vec<Value>,
}

impl Qmp {
    pub(crate) fn connect(socket: &Path) -> Result<Self, String> {
        let mut qmp = Self { stream: connect(socket)?, inbox: Vec::new(), events: Vec::new() };
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Gives one command; what it returned.
    pub(crate) fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, String> {
        let line = json!({"execute": command, "arguments": arguments}).to_string();
        self.stream.write_all(line.as_bytes()).map_err(|e| e.to_string())?;
        let end = now() + Duration::from_secs(20);
        while now() < end {
            let Some(message) = self.message()? else { continue };
            if let Some(error) = message.get("error") {
                return Err(format!("{command}: {error}"));
            }
            if let Some(answer) = message.get("return") {
                return Ok(answer.clone());
            }
            self.events.push(message);
        }
        Err(format!("QEMU does not answer {command}"))
    }

    /// Waits for an event of this name, also one that came before; its data.
    pub(crate) fn event(&mut self, name: &str, limit: Duration) -> Result<Value, String> {
        let end = now() + limit;
        loop {
            let found = self.events.iter().position(|e| e.get("event").and_then(Value::as_str) == Some(name));
            if let Some(place) = found {
                return Ok(self.events.remove(place)["data"].clone());
            }
            if now() >= end {
                return Err(format!("no event {name} in {limit:?}"));
            }
            if let Some(message) = self.message()? {
                self.events.push(message);
            }
        }
    }

    /// Forgets what came so far.
    pub(crate) fn forget_events(&mut self) {
        while let Ok(Some(_)) = self.message() {}
        self.events.clear();
    }

    /// The next message but the greeting, if one comes soon.
    fn message(&mut self) -> Result<Option<Value>, String> {
        let mut place = self.inbox.iter().position(|byte| *byte == b'\n');
        if place.is_none() {
            if !read_some(&mut self.stream, &mut self.inbox) {
                return Err("QEMU ended".into());
            }
            place = self.inbox.iter().position(|byte| *byte == b'\n');
        }
        let Some(place) = place else { return Ok(None) };
        let line: Vec<u8> = self.inbox.drain(..=place).collect();
        let message: Value = serde_json::from_slice(&line).map_err(|e| e.to_string())?;
        Ok(if message.get("QMP").is_some() { None } else { Some(message) })
    }
}
