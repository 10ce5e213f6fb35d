//! The TLS port: accepts, makes the handshake, and hands the connection to the library as if it had accepted it.
//!
//! The library can make TLS itself, but begins each handshake unseen at the first byte, in a pool of few threads that
//! half-open connections would hold. So this accepts; `lobby` says who is next. From the first request on an encrypted
//! connection is like any other: the same guard, places, limits and streams. All of it but the accepting happens in a
//! thread of its own, `rtsps`: GnuTLS takes 11 ms to prepare a connection (measured: it reads the system's
//! certificates each time), which must not keep plain viewers waiting. Why: `src/docs/decisions/0011-rtsps.md`.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use gio::glib;
use gio::prelude::*;
use gst_rtsp_server::RTSPClient;
use gst_rtsp_server::prelude::*;

use crate::base::shutdown::{Shutdown, Stop};
use crate::base::task;
use crate::plan::RtspsPlan;

use super::client::Client;
use super::guard::{Guard, id};
use super::lobby::Lobby;
use super::offenders;
use super::port::{Open, Port};
use super::shown::Shown;
use super::{Error, Listening, socket, tls};

/// Connections that the kernel keeps until they are accepted. With std's 128, hundreds at once make others wait for
/// seconds until they try again.
const BACKLOG: i32 = 1024;
/// Connections that are accepted in one turn.
const AT_ONCE: usize = 16;
/// How often it is looked who takes too long for a handshake.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often the files of the certificate are looked at.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(1);
/// Handshakes that were cut off end within this time, and so does the thread of the clients.
const ENDS_WITHIN: Duration = Duration::from_millis(500);

/// The TLS port. Its certificate may change while it is open.
pub(super) struct Secure {
    door: Arc<Door>,
    port: Arc<Port>,
    shown: Arc<Shown>,
    /// Serves the clients.
    main_loop: glib::MainLoop,
    stop: Shutdown,
    threads: Vec<JoinHandle<Option<()>>>,
}

/// What accepting a connection needs.
struct Door {
    library: gst_rtsp_server::RTSPServer,
    guard: Guard,
    shown: Arc<Shown>,
    lobby: Mutex<Lobby>,
    /// Those who are connected, by the name that the book of connections has for them.
    guests: Mutex<BTreeMap<usize, Guest>>,
    /// Where handshakes are made and clients served.
    context: glib::MainContext,
    closed: AtomicBool,
}

struct Guest {
    client: RTSPClient,
    peer: IpAddr,
    /// Until its handshake begins: then it is the client's.
    stream: Option<TcpStream>,
}

impl Secure {
    /// Opens the port as soon as there is a certificate.
    pub(super) fn start(library: gst_rtsp_server::RTSPServer, guard: Guard, plan: &RtspsPlan, stop: Shutdown) -> Self {
        let report = guard.report.clone();
        let shown = Arc::new(Shown::new(plan, report.clone(), guard.clock.clone()));
        let context = glib::MainContext::new();
        let door = Arc::new(Door {
            library,
            guard,
            shown: shown.clone(),
            lobby: Mutex::default(),
            guests: Mutex::default(),
            context: context.clone(),
            closed: AtomicBool::new(false),
        });
        let port = Port::new(opener(door.clone()), plan.listen, report, Arc::new(Listening::default()));
        let main_loop = glib::MainLoop::new(Some(&context), false);
        let served = main_loop.clone();
        let serve = task::thread("rtsps", move || {
            // Nobody else runs this context, so it can be had.
            let _ = context.with_thread_default(|| served.run());
        });
        let (looking, opening, ends) = (shown.clone(), port.clone(), stop.clone());
        let watch = task::thread("rtsps-cert", move || {
            let mut open = false;
            loop {
                if looking.look() && !open {
                    open = true;
                    let port = opening.clone();
                    glib::idle_add_once(move || port.open());
                }
                if ends.wait(CERTIFICATE_EVERY) {
                    return;
                }
            }
        });
        // It ends with the door: the context, which owns it, is the door's.
        let looker = Arc::downgrade(&door);
        let look = move || match looker.upgrade() {
            Some(door) => {
                door.look();
                glib::ControlFlow::Continue
            }
            None => glib::ControlFlow::Break,
        };
        let priority = glib::Priority::DEFAULT;
        glib::timeout_source_new(LOOK_EVERY, Some("rtsps-look"), priority, look).attach(Some(&door.context));
        Self { door, port, shown, main_loop, stop, threads: vec![serve, watch] }
    }

    /// Listens on another address; whoever is connected stays.
    pub(super) fn listen(&self, address: SocketAddr) -> Result<(), Error> {
        self.port.change(address)
    }

    /// Shows what these files hold from now on; whoever is connected stays.
    pub(super) fn show(&self, plan: &RtspsPlan) {
        self.shown.change(plan);
    }

    /// Closes the port and disconnects those who came by it. While the main loop still runs.
    pub(super) fn stop(self) {
        self.stop.trigger(Stop::Graceful);
        self.port.close();
        self.door.close();
        // Behind whatever its clients still have to do; and a loop that does not run yet would miss a call.
        let main_loop = self.main_loop.clone();
        on_thread(&self.door.context, move || main_loop.quit());
        task::join(self.threads, ENDS_WITHIN);
    }
}

/// Listens by itself: the library would accept and begin to read.
fn opener(door: Arc<Door>) -> Open {
    Box::new(move |address| {
        let failed = |cause: io::Error| Error::Listen { address, cause: cause.into() };
        let listener = bind(address).map_err(failed)?;
        rustix::net::listen(&listener, BACKLOG).map_err(|e| failed(e.into()))?;
        listener.set_nonblocking(true).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let copy = OwnedFd::from(listener.try_clone().map_err(failed)?);
        let watched = gio::Socket::from_fd(copy).map_err(|cause| Error::Listen { address, cause: cause.into() })?;
        let (door, none) = (door.clone(), None::<&gio::Cancellable>);
        let accept = move |_: &gio::Socket, _| {
            // Who was there and left again is no error, and there is nobody to tell of another.
            let come = std::iter::from_fn(|| listener.accept().ok()).take(AT_ONCE);
            come.for_each(|(stream, peer)| door.receive(stream, peer));
            glib::ControlFlow::Continue
        };
        let (name, priority) = (Some("rtsps"), glib::Priority::DEFAULT);
        let source = SocketExtManual::create_source(&watched, glib::IOCondition::IN, none, name, priority, accept);
        Ok((source.attach(None), port))
    })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address) {
        // A kernel without IPv6 knows no [::]; what is meant is "everywhere".
        Err(e) if e.raw_os_error() == Some(libc::EAFNOSUPPORT) && address.ip().is_unspecified() => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port()))
        }
        bound => bound,
    }
}

impl Door {
    /// On the thread of the default main context, which plain viewers need too: nothing here takes long.
    fn receive(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let peer = peer.ip().to_canonical();
        if self.closed.load(Ordering::Acquire) || !self.guard.lets_in_from(peer) {
            return;
        }
        let client = Client::of(&self.library);
        let Some(own) = socket::tune_fd(stream.as_fd()) else { return };
        if !self.guard.counts(&client, own, peer, true) {
            return;
        }
        let id = id(&client);
        self.guests().insert(id, Guest { client, peer, stream: Some(stream) });
        let door = self.clone();
        on_thread(&self.context, move || door.wait_for_first_byte(id));
    }

    /// Who says nothing gets no handshake, and is ended like anybody who says nothing.
    fn wait_for_first_byte(self: &Arc<Self>, id: usize) {
        let copy = self.guests().get(&id).and_then(|guest| guest.stream.as_ref()?.try_clone().ok());
        let Some(watched) = copy.and_then(|copy| gio::Socket::from_fd(copy.into()).ok()) else {
            self.give_up(id);
            return;
        };
        let (door, none) = (self.clone(), None::<&gio::Cancellable>);
        let said = move |_: &gio::Socket, _| {
            let host = door.guests().get(&id).map(|guest| offenders::host(guest.peer));
            if let Some(host) = host {
                door.lobby().arrive(id, host, door.guard.clock.monotonic());
                door.begin_handshakes();
            }
            glib::ControlFlow::Break
        };
        let (input, name) = (glib::IOCondition::IN, Some("rtsps-first"));
        let source = SocketExtManual::create_source(&watched, input, none, name, glib::Priority::DEFAULT, said);
        source.attach(Some(&self.context));
    }

    fn begin_handshakes(self: &Arc<Self>) {
        loop {
            let next = self.lobby().next(self.guard.clock.monotonic());
            let Some(id) = next else { return };
            let guest = self.guests().get_mut(&id).and_then(|guest| {
                let stream = guest.stream.take()?;
                Some((guest.client.clone(), guest.peer, stream))
            });
            let connection = guest.and_then(|(client, peer, stream)| {
                let made = self.encrypt(&client, stream, peer);
                made.inspect_err(|e| tracing::debug!("a connection cannot be encrypted: {e}"))
                    .ok()
                    .map(|tls| (client, tls))
            });
            let Some((client, connection)) = connection else {
                self.lobby().leave(id);
                self.give_up(id);
                continue;
            };
            let (door, made) = (self.clone(), connection.clone());
            connection.handshake_async(glib::Priority::DEFAULT, None::<&gio::Cancellable>, move |result| {
                door.end_handshake(&client, &made, result);
            });
        }
    }

    fn encrypt(&self, client: &RTSPClient, stream: TcpStream, peer: IpAddr) -> Result<gio::TlsConnection, glib::Error> {
        let missing = || glib::Error::new(gio::IOErrorEnum::Failed, "there is no certificate");
        let certificate = self.shown.certificate().ok_or_else(missing)?.parse()?;
        tls::give(client, stream.into(), peer, &certificate)
    }

    fn end_handshake(
        self: &Arc<Self>,
        client: &RTSPClient,
        connection: &gio::TlsConnection,
        result: Result<(), glib::Error>,
    ) {
        let id = id(client);
        self.lobby().leave(id);
        let version = connection.protocol_version();
        let modern = matches!(version, gio::TlsProtocolVersion::Tls12 | gio::TlsProtocolVersion::Tls13);
        if result.is_ok() && modern && !self.closed.load(Ordering::Acquire) {
            self.serve(client);
        } else {
            self.give_up(id);
        }
        self.begin_handshakes();
    }

    /// From here on the library reads what comes, and answers.
    fn serve(self: &Arc<Self>, client: &RTSPClient) {
        self.guard.answer(client);
        let door = self.clone();
        client.connect_closed(move |client| {
            let gone = door.guests().remove(&id(client));
            drop(gone);
        });
        client.attach(Some(&self.context));
    }

    fn give_up(&self, id: usize) {
        self.guard.report.count("failed_handshakes", 1);
        self.guard.connections.end(id);
        let gone = self.guests().remove(&id);
        if let Some(guest) = gone {
            self.guard.part(&guest.client);
        }
    }

    fn look(self: &Arc<Self>) {
        let late = self.lobby().late(self.guard.clock.monotonic());
        late.iter().for_each(|id| self.guard.connections.end(*id));
        // Who was ended here or elsewhere while waiting is not worth a turn.
        let waiting = self.lobby().waiting();
        for id in waiting.into_iter().filter(|id| !self.guard.connections.is_open(*id)) {
            self.lobby().leave(id);
            self.give_up(id);
        }
        self.begin_handshakes();
    }

    /// Everybody is disconnected: handshakes fail, and the library notices that those whom it serves are gone.
    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.guests().keys().for_each(|id| self.guard.connections.end(*id));
        for _ in 0..ENDS_WITHIN.as_millis() / 10 {
            if self.guests().is_empty() {
                return;
            }
            Shutdown::new().wait(Duration::from_millis(10));
        }
    }

    fn lobby(&self) -> MutexGuard<'_, Lobby> {
        self.lobby.lock().expect("nothing panics while it holds this lock")
    }

    fn guests(&self) -> MutexGuard<'_, BTreeMap<usize, Guest>> {
        self.guests.lock().expect("nothing panics while it holds this lock")
    }
}

/// Has the thread of this context do something: behind what it does now, and when it begins to run at the earliest.
fn on_thread(context: &glib::MainContext, body: impl FnOnce() + Send + 'static) {
    let mut body = Some(body);
    let source = glib::idle_source_new(Some("rtsps"), glib::Priority::DEFAULT, move || {
        body.take().into_iter().for_each(|body| body());
        glib::ControlFlow::Break
    });
    source.attach(Some(context));
}
