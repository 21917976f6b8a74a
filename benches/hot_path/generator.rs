//! The load generator: one thread, as many connections as asked for, one request under way on each. It is to cost so little that the
//! servers are what is measured, and it is the same for all of them.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::wire::{Answer, Reader};

/// Set when somebody wants the run to end.
pub static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// How long to wait for any answer at all.
const SILENCE_MAX: Duration = Duration::from_secs(90);
/// What part of its time a measurement runs before it counts: until all connections are under way, it is not what it will be.
const LEAD: u32 = 4;
const TICK: Duration = Duration::from_millis(100);

/// What is asked for, and whether the answers are right.
pub trait Load {
    /// Writes the next request and gives a ticket for its answer; `None` when there is nothing more to ask for.
    fn next(&mut self, request: &mut Vec<u8>) -> Option<usize>;

    /// Looks at an answer.
    ///
    /// # Errors
    /// What is wrong with it.
    fn check(&mut self, ticket: usize, answer: &Answer<'_>) -> Result<(), String>;
}

/// What a window of time showed.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// Of the answers that came in time, in nanoseconds.
    pub latencies: Vec<u64>,
    pub seconds: f64,
    pub body_bytes: u64,
    /// All answers, and the processor's time in nanoseconds that they cost the generator: how far it is from being what is measured.
    pub answers: usize,
    pub generator_time: u64,
    /// How many answers were wrong, and what was wrong with the first.
    pub failures: usize,
    pub failure: Option<String>,
}

/// When answers count.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    from: Instant,
    to: Option<Instant>,
}

impl Span {
    /// From a while after now for `time`, or from now until there is no more to do.
    pub fn new(time: Option<Duration>) -> Self {
        let now = Instant::now();
        match time {
            Some(time) => Self { from: now + time / LEAD, to: Some(now + time / LEAD + time) },
            None => Self { from: now, to: None },
        }
    }

    /// Whether it is over.
    pub fn is_over(&self, now: Instant) -> bool {
        self.to.is_some_and(|to| now > to)
    }

    /// Whether what ends now counts.
    pub fn counts(&self, now: Instant) -> bool {
        now >= self.from && !self.is_over(now)
    }

    fn seconds(&self) -> f64 {
        self.to.map_or_else(|| self.from.elapsed(), |to| to - self.from).as_secs_f64()
    }
}

struct Connection {
    stream: TcpStream,
    reader: Reader,
    request: Vec<u8>,
    sent: usize,
    ticket: usize,
    started: Instant,
}

/// What a connection came to.
enum Progress {
    Waiting,
    Answered,
}

/// Sends what the load asks for over `connections` connections: for `time`, or until nothing is left.
///
/// # Errors
/// When a connection breaks, or no answer comes.
pub fn drive(address: SocketAddr, connections: usize, time: Option<Duration>, load: &mut impl Load) -> anyhow::Result<Window> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(connections.max(8));
    let mut all = Vec::with_capacity(connections);
    for index in 0..connections {
        all.push(Connection::open(address, &poll, Token(index))?);
    }
    let mut window = Window::default();
    let span = Span::new(time);
    let before = processor_time();
    let mut open = 0;
    for connection in &mut all {
        open += usize::from(connection.ask(load)?);
    }
    let mut heard = Instant::now();
    while open > 0 {
        poll.poll(&mut events, Some(TICK))
            .or_else(|error| if error.kind() == ErrorKind::Interrupted { Ok(()) } else { Err(error) })?;
        if INTERRUPTED.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        if events.is_empty() && heard.elapsed() > SILENCE_MAX {
            bail!("no answer came for {} seconds", SILENCE_MAX.as_secs());
        }
        for event in &events {
            let connection = &mut all[event.token().0];
            if let Progress::Waiting = connection.proceed()? {
                continue;
            }
            heard = Instant::now();
            let more = window.take(connection, heard, span, load);
            if !(more && connection.ask(load)?) {
                connection.request.clear();
                open -= 1;
            }
        }
    }
    window.seconds = span.seconds();
    window.generator_time = processor_time() - before;
    Ok(window)
}

/// What this thread has used so far, in nanoseconds; nothing where the kernel does not tell.
fn processor_time() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default()
}

impl Connection {
    fn open(address: SocketAddr, poll: &Poll, token: Token) -> anyhow::Result<Self> {
        let stream = std::net::TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let started = Instant::now();
        Ok(Self { stream, reader: Reader::new(), request: Vec::new(), sent: 0, ticket: 0, started })
    }

    /// Sends the next request; whether there was one.
    fn ask(&mut self, load: &mut impl Load) -> anyhow::Result<bool> {
        self.request.clear();
        self.sent = 0;
        self.reader.clear();
        let Some(ticket) = load.next(&mut self.request) else { return Ok(false) };
        self.ticket = ticket;
        self.started = Instant::now();
        self.send()?;
        Ok(true)
    }

    fn send(&mut self) -> anyhow::Result<()> {
        while self.sent < self.request.len() {
            match self.stream.write(&self.request[self.sent..]) {
                Ok(bytes) => self.sent += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot send a request"),
            }
        }
        Ok(())
    }

    /// Does what the socket is ready for. Readiness is told once, so it goes on until the socket has no more.
    fn proceed(&mut self) -> anyhow::Result<Progress> {
        if self.request.is_empty() {
            return Ok(Progress::Waiting);
        }
        self.send()?;
        loop {
            let space = self.reader.space();
            let room = space.len();
            match self.stream.read(space) {
                Ok(0) => bail!("the server closed a connection"),
                Ok(bytes) => {
                    if self.reader.advance(bytes)? {
                        return Ok(Progress::Answered);
                    }
                    if bytes < room {
                        return Ok(Progress::Waiting);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Progress::Waiting),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot read an answer"),
            }
        }
    }
}

impl Window {
    /// Looks at an answer, and counts it if it came in time; whether there is time for more.
    fn take(&mut self, connection: &Connection, now: Instant, span: Span, load: &mut impl Load) -> bool {
        let answer = connection.reader.answer();
        self.answers += 1;
        if span.counts(now) {
            self.latencies.push(u64::try_from((now - connection.started).as_nanos()).unwrap_or(u64::MAX));
            self.body_bytes += answer.body.len() as u64;
        }
        if let Err(wrong) = load.check(connection.ticket, &answer) {
            self.failures += 1;
            self.failure.get_or_insert(wrong);
        }
        !span.is_over(now)
    }

    /// # Errors
    /// When an answer was wrong.
    pub fn all_right(self) -> anyhow::Result<Self> {
        match &self.failure {
            Some(failure) => bail!("{} answers were wrong, the first: {failure}", self.failures),
            None => Ok(self),
        }
    }
}
