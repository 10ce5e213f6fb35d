//! A certificate authority for one test: nothing of it is ever kept.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

/// An authority, with its folder.
pub(crate) struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// Files of a certificate and its key.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Files {
    /// The keys of `[rtsp]` that open a TLS port with them.
    pub(crate) fn listen(&self) -> String {
        self.listen_at("127.0.0.1:0")
    }

    /// The same at this address.
    pub(crate) fn listen_at(&self, address: &str) -> String {
        let Self { certificate, key } = self;
        format!("tls_listen = \"{address}\"\ntls_certificate = {certificate:?}\ntls_key = {key:?}\n")
    }

    /// Puts the contents of others in their place.
    pub(crate) fn become_like(&self, other: &Self) {
        std::fs::copy(&other.certificate, &self.certificate).expect("the folder is ours");
        std::fs::copy(&other.key, &self.key).expect("the folder is ours");
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are fine");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "one test's authority");
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("rcgen signs");
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("authority.pem"), issuer.pem()).expect("the folder is ours");
        Self { folder, issuer }
    }

    /// Its own certificate: who trusts it trusts all that it signs.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A certificate for this machine, under this name.
    pub(crate) fn sign(&self, name: &str) -> Files {
        self.sign_for(name, 2020, 2090)
    }

    /// One that is valid from the first day of one year to that of another.
    pub(crate) fn sign_for(&self, name: &str, from: i32, until: i32) -> Files {
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).expect("good names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer).expect("rcgen signs");
        let at = |end: &str| self.folder.path().join(format!("{name}.{end}"));
        let files = Files { certificate: at("crt"), key: at("key") };
        std::fs::write(&files.certificate, certificate.pem()).expect("the folder is ours");
        std::fs::write(&files.key, key.serialize_pem()).expect("the folder is ours");
        std::fs::set_permissions(&files.key, PermissionsExt::from_mode(0o600)).expect("the file is ours");
        files
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("rcgen makes keys")
}
