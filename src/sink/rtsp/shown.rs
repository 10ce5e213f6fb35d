//! Which certificate the TLS port shows now: that of its files, read again when they have changed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::base::clock::Clock;
use crate::base::error::Chain;
use crate::base::fault::FaultCode;
use crate::base::health::{Condition, Reporter};
use crate::plan::RtspsPlan;

use super::certificate::{Certificate, Error};

/// What tells one version of a file from another: its number, size and mode, and when it was changed.
type Stamp = Option<(u64, u64, u32, i64, i64)>;

/// Shared by whoever accepts, the thread that looks at the files, and a reload.
pub(super) struct Shown {
    report: Reporter,
    clock: Arc<dyn Clock>,
    /// Held while the files are read: a look waits for another.
    files: Mutex<Files>,
    current: Mutex<Option<Arc<Certificate>>>,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
    seen: Option<[Stamp; 2]>,
}

impl Files {
    fn of(plan: &RtspsPlan) -> Self {
        Self { certificate: plan.certificate.clone(), key: plan.key.clone(), seen: None }
    }
}

impl Shown {
    pub(super) fn new(plan: &RtspsPlan, report: Reporter, clock: Arc<dyn Clock>) -> Self {
        Self { report, clock, files: Mutex::new(Files::of(plan)), current: Mutex::default() }
    }

    /// Takes other files, and what is in the same ones anew.
    pub(super) fn change(&self, plan: &RtspsPlan) {
        *self.files() = Files::of(plan);
        self.look();
    }

    /// What is shown to whoever connects.
    pub(super) fn certificate(&self) -> Option<Arc<Certificate>> {
        self.current().clone()
    }

    /// Reads the files if they have changed, and looks at the clock. What cannot be used changes nothing but the faults.
    /// True if there is something to show.
    pub(super) fn look(&self) -> bool {
        let mut files = self.files();
        let stamps = [stamp(&files.certificate), stamp(&files.key)];
        if files.seen != Some(stamps) {
            files.seen = Some(stamps);
            match Certificate::load(&files.certificate, &files.key) {
                Ok(certificate) => {
                    *self.current() = Some(Arc::new(certificate));
                    [FaultCode::CertificateUnusable, FaultCode::NoTls].iter().for_each(|code| self.report.clear(*code));
                }
                Err(e) => self.refuse(&e),
            }
        }
        drop(files);
        let Some(certificate) = self.certificate() else { return false };
        match certificate.trouble(self.clock.wall()) {
            Some(trouble) => self.report.raise(FaultCode::CertificateNotValid, trouble),
            None => self.report.clear(FaultCode::CertificateNotValid),
        }
        true
    }

    fn refuse(&self, why: &Error) {
        let (code, other) = match why {
            Error::NoTls => (FaultCode::NoTls, FaultCode::CertificateUnusable),
            _ => (FaultCode::CertificateUnusable, FaultCode::NoTls),
        };
        let mut detail = Chain(why).to_string();
        if self.current().is_some() {
            detail.push_str("; the one before is still shown");
        } else {
            self.report.set(Condition::Absent, "closed: there is no certificate to show");
        }
        self.report.raise(code, detail);
        self.report.clear(other);
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().expect("nothing panics while it holds this lock")
    }

    fn current(&self) -> MutexGuard<'_, Option<Arc<Certificate>>> {
        self.current.lock().expect("nothing panics while it holds this lock")
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.size(), metadata.mode(), metadata.ctime(), metadata.ctime_nsec()))
}
