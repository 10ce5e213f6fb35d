//! A port of the server: opened, tried again while another program has it, exchanged while viewers watch.
//!
//! Connections do not hang on the listening socket: whoever is connected stays when it is closed.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use gst::glib;
use gst_rtsp_server::prelude::*;

use crate::base::backoff::Backoff;
use crate::base::error::Chain;
use crate::base::fault::FaultCode;
use crate::base::health::{Condition, Reporter};

use super::{Error, Listening};

/// Whoever asks for another address waits so long for the server's thread, which does this in a millisecond.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Listens on an address, in the default main context: what is in the main loop then, and the port it got.
pub(super) type Open = Box<dyn Fn(SocketAddr) -> Result<(glib::SourceId, u16), Error> + Send + Sync>;

pub(super) struct Port {
    listen: Open,
    report: Reporter,
    listening: Arc<Listening>,
    state: Mutex<State>,
}

struct State {
    address: SocketAddr,
    /// The listening socket in the main loop.
    open: Option<glib::SourceId>,
    /// The next attempt in the main loop.
    retry: Option<glib::SourceId>,
    backoff: Backoff,
    closed: bool,
}

/// The library's own way: it accepts by itself.
pub(super) fn of_library(server: gst_rtsp_server::RTSPServer) -> Open {
    Box::new(move |address| {
        server.set_address(&address.ip().to_string());
        server.set_service(&address.port().to_string());
        let source = server.attach(None).map_err(|cause| Error::Listen { address, cause: cause.into() })?;
        Ok((source, u16::try_from(server.bound_port()).unwrap_or(address.port())))
    })
}

impl Port {
    pub(super) fn new(listen: Open, address: SocketAddr, report: Reporter, listening: Arc<Listening>) -> Arc<Self> {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        let state = State { address, open: None, retry: None, backoff, closed: false };
        Arc::new(Self { listen, report, listening, state: Mutex::new(state) })
    }

    /// Opens the port, and tries again for as long as another program holds it. On the thread of the main loop.
    pub(super) fn open(self: &Arc<Self>) {
        let mut state = self.lock();
        state.retry = None;
        if state.closed || state.open.is_some() {
            return;
        }
        let address = state.address;
        if let Err(error) = self.attach(&mut state, address) {
            self.listening.set(None);
            self.report.set(Condition::Recovering, error.to_string());
            self.report.raise(FaultCode::RtspListen, Chain(&error).to_string());
            let (port, wait) = (self.clone(), state.backoff.after(Duration::ZERO));
            state.retry = Some(glib::timeout_add_once(wait, move || port.open()));
        }
    }

    /// Listens on `to` in place of the present address; where that cannot be, everything stays as it is. From any thread.
    pub(super) fn change(self: &Arc<Self>, to: SocketAddr) -> Result<(), Error> {
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        let port = self.clone();
        glib::MainContext::default().invoke(move || {
            // Whoever asked may have given up.
            let _ = reply.try_send(port.exchange(to));
        });
        answer.recv_timeout(ANSWER_WITHIN).unwrap_or(Err(Error::Silent))
    }

    /// The library keeps one listening socket: the old one goes first, and comes back if there is no new one.
    fn exchange(self: &Arc<Self>, to: SocketAddr) -> Result<(), Error> {
        let mut state = self.lock();
        let from = self.listening.port().map_or(state.address, |port| SocketAddr::new(state.address.ip(), port));
        let was_open = state.open.take().map(glib::SourceId::remove).is_some();
        let changed = self.attach(&mut state, to);
        match &changed {
            Ok(()) => {
                state.address = to;
                state.retry.take().into_iter().for_each(glib::SourceId::remove);
            }
            Err(_) if was_open && self.attach(&mut state, from).is_err() => {
                drop(state);
                self.open();
            }
            Err(_) => {}
        }
        changed
    }

    fn attach(&self, state: &mut State, address: SocketAddr) -> Result<(), Error> {
        let (source, port) = (self.listen)(address)?;
        state.open = Some(source);
        self.listening.set(Some(port));
        self.report.gauge("port", port.into());
        self.report.set(Condition::Running, format!("listens on {}", SocketAddr::new(address.ip(), port)));
        self.report.clear(FaultCode::RtspListen);
        Ok(())
    }

    /// Closes the port for good.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let sources = [state.open.take(), state.retry.take()];
        sources.into_iter().flatten().for_each(glib::SourceId::remove);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}
