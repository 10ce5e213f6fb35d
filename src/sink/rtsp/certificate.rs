//! The certificate that the TLS port shows: read, tried out, and watched for the day it ends.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gio::glib;
use gio::prelude::*;

use crate::base::task;

/// A chain of a dozen certificates has 30 KB.
const LARGEST: u64 = 256 << 10;
/// The handshake with ourselves takes some milliseconds; 4096 bits of RSA on a small core, 100.
const ANSWERS_WITHIN_S: u32 = 5;

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// GIO has no TLS.
    #[error("GLib has no TLS here: install the package glib-networking")]
    NoTls,
    /// A file cannot be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{path} holds no {what} in PEM form (-----BEGIN ...)")]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
    },
    /// The key needs a password.
    #[error("the key in {path} is encrypted: keep one without a password, readable by the daemon alone")]
    Encrypted {
        /// The file.
        path: PathBuf,
    },
    /// Others may read or write the key.
    #[error("{path} may be used by others than its owner and group (mode {mode:o}): chmod 600, or 640")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The TLS library does not take them.
    #[error("{certificate} with the key {key} is no certificate that can be used")]
    Unusable {
        /// The file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What the library says.
        source: glib::Error,
    },
    /// They do not belong together.
    #[error("a handshake with {certificate} and {key} fails: most likely the key belongs to another certificate")]
    Mismatch {
        /// The file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What the library says.
        source: glib::Error,
    },
}

impl Error {
    /// True for what the key alone gets wrong.
    pub fn is_of_key(&self, key: &Path) -> bool {
        match self {
            Self::Read { path, .. } | Self::NotPem { path, .. } => path == key,
            Self::Encrypted { .. } | Self::Exposed { .. } | Self::Mismatch { .. } => true,
            Self::NoTls | Self::Unusable { .. } => false,
        }
    }
}

/// A certificate with its key, tried out. Whatever the clock says: a board without a battery believes anything at boot.
pub struct Certificate {
    /// Both, as text: the key is never printed.
    pem: String,
    not_before: Option<i64>,
    not_after: Option<i64>,
}

impl Certificate {
    /// Reads both files and makes a handshake with them.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, Error> {
        if !gio::TlsBackend::default().supports_tls() {
            return Err(Error::NoTls);
        }
        let (text, _) = read(certificate)?;
        if !text.contains("-----BEGIN CERTIFICATE-----") {
            return Err(Error::NotPem { path: certificate.to_owned(), what: "certificate" });
        }
        let (secret, metadata) = read(key)?;
        if !secret.contains("PRIVATE KEY-----") {
            return Err(Error::NotPem { path: key.to_owned(), what: "private key" });
        }
        if secret.contains("ENCRYPTED") {
            return Err(Error::Encrypted { path: key.to_owned() });
        }
        let mode = metadata.mode() & 0o777;
        if mode & 0o027 != 0 {
            return Err(Error::Exposed { path: key.to_owned(), mode });
        }
        let files = || (certificate.to_owned(), key.to_owned());
        let pem = format!("{secret}\n{text}");
        let unusable = |source| {
            let (certificate, key) = files();
            Error::Unusable { certificate, key, source }
        };
        let parsed = gio::TlsCertificate::from_pem(&pem).map_err(unusable)?;
        try_out(&pem).map_err(|source| {
            let (certificate, key) = files();
            Error::Mismatch { certificate, key, source }
        })?;
        let chain: Vec<_> = std::iter::successors(Some(parsed), |one| one.issuer()).take(16).collect();
        let times = |time: fn(&gio::TlsCertificate) -> Option<glib::DateTime>| {
            chain.iter().filter_map(time).map(|time| time.to_unix()).collect::<Vec<_>>()
        };
        let not_before = times(|one| one.not_valid_before()).into_iter().max();
        let not_after = times(|one| one.not_valid_after()).into_iter().min();
        Ok(Self { pem, not_before, not_after })
    }

    /// What the clock, at this time since the Unix epoch, has against it.
    pub fn trouble(&self, wall: Duration) -> Option<String> {
        let now = i64::try_from(wall.as_secs()).unwrap_or(i64::MAX);
        match (self.not_before, self.not_after) {
            (Some(from), _) if now < from => Some(format!("valid from {}, and here it is {}", date(from), date(now))),
            (_, Some(until)) if now > until => Some(format!("expired {}, and here it is {}", date(until), date(now))),
            _ => None,
        }
    }

    /// As the library takes it.
    pub(super) fn parse(&self) -> Result<gio::TlsCertificate, glib::Error> {
        gio::TlsCertificate::from_pem(&self.pem)
    }
}

fn read(path: &Path) -> Result<(String, Metadata), Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::other("it is no regular file")));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(failed(io::Error::other("it is larger than 256 KiB")));
    }
    // What is no text is no PEM either.
    Ok((String::from_utf8(bytes).unwrap_or_default(), metadata))
}

/// A handshake with ourselves: the one way to ask any TLS library whether a key belongs to a certificate.
fn try_out(pem: &str) -> Result<(), glib::Error> {
    let broken = |e: io::Error| glib::Error::new(gio::IOErrorEnum::Failed, &e.to_string());
    let (ours, theirs) = UnixStream::pair().map_err(broken)?;
    let own = pem.to_owned();
    let server = task::thread("rtsps-try", move || {
        let certificate = gio::TlsCertificate::from_pem(&own)?;
        gio::TlsServerConnection::new(&stream(ours)?, Some(&certificate))?.handshake(None::<&gio::Cancellable>)
    });
    let client = gio::TlsClientConnection::new(&stream(theirs)?, None::<&gio::NetworkAddress>)?;
    client.connect_accept_certificate(|_, _, _| true);
    let result = client.handshake(None::<&gio::Cancellable>);
    // Ours fails first where the key is wrong; what it says is nearer to the cause.
    drop(client);
    let served = server.join().ok().flatten().unwrap_or(Ok(()));
    served.and(result)
}

fn stream(socket: UnixStream) -> Result<gio::SocketConnection, glib::Error> {
    let socket = gio::Socket::from_fd(socket.into())?;
    socket.set_timeout(ANSWERS_WITHIN_S);
    Ok(socket.connection_factory_create_connection())
}

fn date(unix: i64) -> String {
    let text = glib::DateTime::from_unix_utc(unix).and_then(|time| time.format("%Y-%m-%d %H:%M:%S UTC"));
    text.map_or_else(|_| format!("second {unix} of Unix time"), Into::into)
}
