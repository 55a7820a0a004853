//! The TCP side: one debugger at a time, others are told so, and whoever goes leaves the machine as it is.

use super::guest::{Guest, PACKET_BYTES};
use gdbstub::common::Signal;
use gdbstub::conn::Connection;
use gdbstub::stub::state_machine::GdbStubStateMachine;
use gdbstub::stub::{DisconnectReason, GdbStub, SingleThreadStopReason};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a wait looks at Ctrl-C.
const POLL: Duration = Duration::from_millis(20);

/// How long a debugger may not take what it is sent.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// How long a second debugger has to say something before it is sent away.
const REFUSAL_LIMIT: Duration = Duration::from_secs(2);

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The debugger killed the guest.
    Killed,
    /// The one session asked for is over.
    Once,
    /// Ctrl-C.
    Interrupted,
}

/// What the server depends on besides the guest.
pub struct Settings<'a> {
    /// End after the first session.
    pub once: bool,
    /// Whether the user wants the program to end (Ctrl-C).
    pub interrupted: fn() -> bool,
    /// Takes a line about who comes and goes.
    pub log: &'a (dyn Fn(&str) + Sync),
    /// Takes what the guest sends on its serial line.
    pub console: &'a mut dyn FnMut(&[u8]),
}

/// A port of this machine where debuggers can call.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Listens on 127.0.0.1; port 0 takes any that is free.
    ///
    /// # Errors
    /// A port in use, or not allowed.
    pub fn bind(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where debuggers connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves one debugger after the other.
    pub fn serve(&self, guest: &mut Guest, settings: &mut Settings) -> Ended {
        let shared = Shared {
            busy: AtomicBool::new(false),
            over: AtomicBool::new(false),
            data_is_there: Arc::default(),
            unread: Arc::default(),
            interrupted: settings.interrupted,
            log: settings.log,
        };
        guest
            .debuggee
            .set_interrupt(Arc::clone(&shared.data_is_there));
        let (unread, interrupted) = (Arc::clone(&shared.unread), shared.interrupted);
        guest.set_is_called(move || unread.load(Ordering::Acquire) != 0 || interrupted());
        let (sender, callers) = mpsc::channel();
        thread::scope(|scope| {
            // However this ends, the thread that accepts ends, too.
            let _over = Over(&shared.over);
            scope.spawn(|| self.accept(&sender, &shared, scope));
            loop {
                match callers.recv_timeout(POLL) {
                    Ok(stream) => {
                        let way = session(guest, stream, &shared, settings.console);
                        guest.forget();
                        let place = guest.place();
                        // Whoever reads the line may connect.
                        shared.busy.store(false, Ordering::Release);
                        (shared.log)(&format!("{way}; the guest is at {place}"));
                        match way {
                            Way::Killed => break Ended::Killed,
                            _ if (shared.interrupted)() => break Ended::Interrupted,
                            _ if settings.once => break Ended::Once,
                            _ => {}
                        }
                    }
                    Err(_) if (shared.interrupted)() => break Ended::Interrupted,
                    Err(_) => {}
                }
            }
        })
    }

    fn accept<'scope>(
        &self,
        callers: &Sender<TcpStream>,
        shared: &'scope Shared,
        scope: &'scope thread::Scope<'scope, '_>,
    ) {
        while !shared.over.load(Ordering::Acquire) {
            if (shared.interrupted)() {
                shared.data_is_there.store(true, Ordering::Release);
            }
            let (stream, peer) = match self.listener.accept() {
                Ok(caller) => caller,
                Err(_) => {
                    thread::sleep(POLL);
                    continue;
                }
            };
            if stream.set_nonblocking(false).is_err() {
                continue;
            }
            if shared.busy.swap(true, Ordering::AcqRel) {
                (shared.log)(&format!(
                    "{peer} is refused: a debugger is connected already"
                ));
                scope.spawn(|| refuse(stream));
            } else {
                (shared.log)(&format!("{peer} is connected"));
                let _ = callers.send(stream);
            }
        }
    }
}

/// Says on its end that the server ends.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// What the threads of a server have in common.
struct Shared<'a> {
    /// A debugger is connected.
    busy: AtomicBool,
    /// The server ends.
    over: AtomicBool,
    /// The debugger has sent something, or gone: a movement should end and look.
    data_is_there: Arc<AtomicBool>,
    /// Bytes the debugger has sent and nobody has taken; going counts as one.
    unread: Arc<AtomicUsize>,
    interrupted: fn() -> bool,
    log: &'a (dyn Fn(&str) + Sync),
}

/// A packet of the protocol.
fn packet(body: &str) -> Vec<u8> {
    let sum = body.bytes().fold(0u8, u8::wrapping_add);
    format!("${body}#{sum:02x}").into_bytes()
}

/// Text for the debugger's user, while the guest runs.
fn output(text: &str) -> Vec<u8> {
    let digits: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    packet(&format!("O{digits}"))
}

/// Answers the first packet of a second debugger with an error that it shows, and hangs up.
fn refuse(mut stream: TcpStream) {
    let end = Instant::now() + REFUSAL_LIMIT;
    let _ = stream.set_read_timeout(Some(POLL));
    let mut heard = Vec::new();
    let mut chunk = [0; 1024];
    while Instant::now() < end && !heard.contains(&b'#') {
        match stream.read(&mut chunk) {
            Ok(0) => return,
            Ok(count) => heard.extend_from_slice(&chunk[..count]),
            Err(error) if is_timeout(&error) => {}
            Err(_) => return,
        }
    }
    let mut answer = vec![b'+'];
    answer.extend(packet(
        "E.another debugger is connected to this guest already",
    ));
    let _ = Write::write_all(&mut stream, &answer);
    let _ = stream.shutdown(Shutdown::Write);
    // Until the other side has hung up, too: closing with unread bytes could take the answer away from it.
    while Instant::now() < end {
        match stream.read(&mut chunk) {
            Ok(0) => return,
            Err(error) if !is_timeout(&error) => return,
            _ => {}
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// The sending side of a connection, which sends whole packets.
struct Wire {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Connection for Wire {
    type Error = io::Error;

    fn write(&mut self, byte: u8) -> io::Result<()> {
        self.bytes.push(byte);
        // An acknowledgement must not wait for the answer, which may take as long as the guest runs.
        if self.bytes == b"+" {
            self.flush()?;
        }
        Ok(())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = Write::write_all(&mut self.stream, &self.bytes);
        self.bytes.clear();
        result
    }
}

/// How a session ended.
enum Way {
    Detached,
    Dropped,
    Killed,
    Failed(String),
    Interrupted,
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Detached => write!(f, "the debugger has detached"),
            Self::Dropped => write!(f, "the debugger has gone without a word"),
            Self::Killed => write!(f, "the debugger ends the guest"),
            Self::Failed(error) => write!(f, "the connection is closed: {error}"),
            Self::Interrupted => write!(f, "interrupted"),
        }
    }
}

/// Bytes from the debugger, by a thread of their own.
struct Incoming<'a> {
    receiver: Receiver<Vec<u8>>,
    pending: VecDeque<u8>,
    shared: &'a Shared<'a>,
}

impl Incoming<'_> {
    /// The next byte if there is one.
    fn poll(&mut self) -> Result<Option<u8>, Way> {
        if self.pending.is_empty() {
            match self.receiver.try_recv() {
                Ok(bytes) => self.pending.extend(bytes),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Err(Way::Dropped),
            }
        }
        if (self.shared.interrupted)() {
            return Err(Way::Interrupted);
        }
        let byte = self.pending.pop_front();
        if byte.is_some() {
            self.shared.unread.fetch_sub(1, Ordering::AcqRel);
        }
        Ok(byte)
    }

    /// Waits for the next byte.
    fn wait(&mut self) -> Result<u8, Way> {
        loop {
            if let Some(byte) = self.poll()? {
                return Ok(byte);
            }
            match self.receiver.recv_timeout(POLL) {
                Ok(bytes) => self.pending.extend(bytes),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(Way::Dropped),
            }
        }
    }
}

/// Serves one debugger to its end.
fn session(
    guest: &mut Guest,
    stream: TcpStream,
    shared: &Shared,
    console: &mut dyn FnMut(&[u8]),
) -> Way {
    let prepare = || -> io::Result<TcpStream> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_LIMIT))?;
        stream.try_clone()
    };
    let mut reader = match prepare() {
        Ok(reader) => reader,
        Err(error) => return Way::Failed(error.to_string()),
    };
    let closer = stream.try_clone();
    let (sender, receiver) = mpsc::channel();
    shared.unread.store(0, Ordering::Release);
    let data_is_there = Arc::clone(&shared.data_is_there);
    let unread = Arc::clone(&shared.unread);
    let reading = thread::spawn(move || {
        let mut chunk = [0; 4096];
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => {
                    unread.fetch_add(count, Ordering::AcqRel);
                    if sender.send(chunk[..count].to_vec()).is_err() {
                        break;
                    }
                }
                Err(error) if is_timeout(&error) => {}
                Err(_) => break,
            }
            // Only now: whoever sees the flag finds the bytes.
            data_is_there.store(true, Ordering::Release);
        }
        unread.fetch_add(1, Ordering::AcqRel);
        drop(sender);
        data_is_there.store(true, Ordering::Release);
    });
    let incoming = Incoming {
        receiver,
        pending: VecDeque::new(),
        shared,
    };
    let wire = Wire {
        stream,
        bytes: Vec::new(),
    };
    let way = converse(guest, wire, incoming, console);
    if let Ok(stream) = closer {
        let _ = stream.shutdown(Shutdown::Both);
    }
    let _ = reading.join();
    way
}

fn converse(
    guest: &mut Guest,
    wire: Wire,
    mut incoming: Incoming,
    console: &mut dyn FnMut(&[u8]),
) -> Way {
    let failed = |error: &dyn std::fmt::Display| Way::Failed(error.to_string());
    let stub = GdbStub::builder(wire)
        .packet_buffer_size(PACKET_BYTES)
        .build();
    let stub = match stub {
        Ok(stub) => stub,
        Err(error) => return failed(&error),
    };
    let mut machine = match stub.run_state_machine(guest) {
        Ok(machine) => machine,
        Err(error) => return failed(&error),
    };
    let mut runs = false;
    loop {
        let next = match machine {
            GdbStubStateMachine::Idle(idle) => {
                runs = false;
                match incoming.wait() {
                    Ok(byte) => idle.incoming_data(guest, byte),
                    Err(way) => return way,
                }
            }
            GdbStubStateMachine::Running(mut running) => {
                runs = true;
                incoming
                    .shared
                    .data_is_there
                    .store(false, Ordering::Release);
                match incoming.poll() {
                    Err(way) => return way,
                    Ok(Some(byte)) => running.incoming_data(guest, byte),
                    Ok(None) => {
                        let report = guest.advance();
                        console(&guest.take_console());
                        match report {
                            None => Ok(running.into()),
                            Some(report) => {
                                if let Some(message) = report.message {
                                    let text = output(&format!("{message}\n"));
                                    // An error shows again with the report behind.
                                    let _ = running.borrow_conn().write_all(&text);
                                }
                                running.report_stop(guest, report.reason)
                            }
                        }
                    }
                }
            }
            GdbStubStateMachine::CtrlCInterrupt(interrupt) => {
                guest.interrupt();
                let reason = runs.then_some(SingleThreadStopReason::Signal(Signal::SIGINT));
                interrupt.interrupt_handled(guest, reason)
            }
            GdbStubStateMachine::Disconnected(mut gone) => {
                return match gone.get_reason() {
                    DisconnectReason::Kill => {
                        // The library leaves `vKill` unanswered; `k` waits for nothing.
                        let wire = gone.borrow_conn();
                        let _ = wire.write_all(&packet("OK")).and_then(|()| wire.flush());
                        Way::Killed
                    }
                    _ => Way::Detached,
                };
            }
        };
        machine = match next {
            Ok(machine) => machine,
            Err(error) if error.is_connection_error() => return Way::Dropped,
            Err(error) => return failed(&error),
        };
    }
}
