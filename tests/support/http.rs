//! The least that asks a server over HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// GET over a connection of its own; the body of a reply 200, or the status line of any other.
pub(crate) fn http_get(server: SocketAddr, path: &str) -> Result<Vec<u8>, String> {
    let limit = Duration::from_secs(5);
    let text = |e: std::io::Error| e.to_string();
    let mut stream = TcpStream::connect_timeout(&server, limit).map_err(text)?;
    stream.set_read_timeout(Some(limit)).map_err(text)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(text)?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).map_err(text)?;
    let end = reply.windows(4).position(|four| four == b"\r\n\r\n").ok_or("no header in the reply")?;
    let head = String::from_utf8_lossy(&reply[..end]).into_owned();
    if head.to_lowercase().contains("transfer-encoding: chunked") {
        return Err("a chunked reply, where Content-Length was expected".into());
    }
    let status = head.lines().next().unwrap_or_default();
    if status.contains(" 200 ") { Ok(reply.split_off(end + 4)) } else { Err(status.to_owned()) }
}

/// The part of a JSON document that bears this name.
pub(crate) fn find_branch<'a>(value: &'a serde_json::Value, name: &str) -> Option<&'a serde_json::Value> {
    match value {
        serde_json::Value::Object(map) if map.get("name").and_then(|n| n.as_str()) == Some(name) => Some(value),
        serde_json::Value::Object(map) => map.values().find_map(|inner| find_branch(inner, name)),
        serde_json::Value::Array(list) => list.iter().find_map(|inner| find_branch(inner, name)),
        _ => None,
    }
}
