//! A media thread: reads the legs of its streams and sends to its shard of the viewers.
//!
//! Every thread has rings of its own for the streams that its viewers watch; the packets in them are shared. A thread
//! that reads a stream's legs hands each batch to the threads that subscribed to it. So nobody waits for a lock, and a
//! stream's viewers may be spread over all threads.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token, Waker};
use tokio::sync::mpsc::UnboundedSender;

use super::ingest::{Inbox, Leg};
use super::path::Path;
use super::run::Run;
use super::shared::{LegState, StreamState};
use super::socket::Port;
use super::viewer::{JumpReason, Viewer, Way};
use super::{Event, Totals};
use crate::rtp::{Batch, Limits, MediaKind, Ring, Rings};

const WAKER: Token = Token(0);
const FIRST_LEG: usize = 1;
/// Viewers that are behind are given their next chunk after this.
const PACE: Duration = Duration::from_millis(2);

/// What a media thread is told.
pub enum Command {
    /// Read these legs.
    Open { stream: u64, name: String, legs: Box<[Leg; 2]>, state: StreamState },
    /// One leg of the stream carries another codec from now on; nobody watches it.
    Change { stream: u64, leg: Arc<LegState> },
    /// Forget the stream.
    Close { stream: u64 },
    /// Hand the stream's batches to this thread too.
    Subscribe { stream: u64, thread: usize },
    /// Do not any more.
    Unsubscribe { stream: u64, thread: usize },
    /// What the reading thread has of a stream; batches follow.
    Rings { stream: u64, rings: Box<Rings> },
    /// More of a stream.
    Batch { stream: u64, kind: MediaKind, batch: Arc<Batch> },
    /// Send to this viewer.
    Add { stream: u64, viewer: Box<Viewer> },
    /// Do this for a viewer.
    Viewer { stream: u64, viewer: u64, ask: Ask },
    /// End.
    Shutdown,
}

/// What a media thread is to do for one viewer.
pub enum Ask {
    /// Stop sending to it.
    Remove,
    /// Send there from now on.
    Move(Path),
    /// Resend these packets of an SSRC.
    Resend(u32, Vec<u16>),
    /// Go on from the newest keyframe.
    Jump(JumpReason),
}

/// The way to a media thread.
#[derive(Clone)]
pub struct Mailbox {
    commands: Sender<Command>,
    waker: Arc<Waker>,
}

impl Mailbox {
    /// Tells the thread.
    pub fn send(&self, command: Command) {
        // A thread ends only when it is told to, and then nobody needs it.
        if self.commands.send(command).is_ok()
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "a media thread cannot be woken");
        }
    }
}

/// Starts the media threads; each knows the way to the others.
pub fn start(
    threads: usize,
    port: &Arc<Port>,
    totals: &Arc<Totals>,
    events: &UnboundedSender<Event>,
) -> io::Result<(Vec<Mailbox>, Vec<JoinHandle<()>>)> {
    let mut mailboxes = Vec::new();
    let mut parts = Vec::new();
    for _ in 0..threads {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (commands, inbox) = channel();
        mailboxes.push(Mailbox { commands, waker });
        parts.push((poll, inbox));
    }
    let mut handles = Vec::new();
    for (number, (poll, inbox)) in parts.into_iter().enumerate() {
        let media = Media {
            poll,
            inbox,
            others: mailboxes.clone(),
            port: port.clone(),
            totals: totals.clone(),
            events: events.clone(),
            streams: HashMap::new(),
            legs: HashMap::new(),
            next_leg: FIRST_LEG,
            active: Vec::new(),
            unread: Vec::new(),
            room: Inbox::default(),
            run: Run::default(),
        };
        handles.push(std::thread::Builder::new().name(format!("media {number}")).spawn(move || media.run())?);
    }
    Ok((mailboxes, handles))
}

struct Media {
    poll: Poll,
    inbox: Receiver<Command>,
    others: Vec<Mailbox>,
    port: Arc<Port>,
    totals: Arc<Totals>,
    events: UnboundedSender<Event>,
    streams: HashMap<u64, Stream>,
    legs: HashMap<Token, (u64, MediaKind)>,
    next_leg: usize,
    /// Streams that hold packets back, or whose viewers are behind.
    active: Vec<u64>,
    unread: Vec<Token>,
    room: Inbox,
    run: Run,
}

/// A stream as one thread has it.
struct Stream {
    source: Option<Source>,
    rings: Rings,
    /// The rings hold what the reading thread has; before that nobody may begin.
    is_ready: bool,
    viewers: Vec<Viewer>,
    is_active: bool,
}

/// What the reading thread has of a stream.
struct Source {
    name: String,
    legs: Box<[Leg; 2]>,
    state: StreamState,
    subscribers: Vec<usize>,
}

const KINDS: [MediaKind; 2] = [MediaKind::Video, MediaKind::Audio];

impl Stream {
    fn new() -> Self {
        Self {
            source: None,
            rings: Rings::new(Limits::default()),
            is_ready: false,
            viewers: Vec::new(),
            is_active: false,
        }
    }
}

impl Media {
    fn run(mut self) {
        let mut events = Events::with_capacity(256);
        loop {
            let now = Instant::now();
            let wait = self.next_due(now).map(|due| due.saturating_duration_since(now));
            if let Err(error) = self.poll.poll(&mut events, wait)
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "a media thread cannot wait for its sockets");
                return;
            }
            let now = Instant::now();
            let unread = self.unread.len();
            for at in 0..unread {
                self.take(self.unread[at], now);
            }
            self.unread.drain(..unread);
            for event in events.iter().filter(|event| event.token() != WAKER) {
                self.take(event.token(), now);
            }
            if !self.handle_commands(now) {
                return;
            }
            self.work(now);
        }
    }

    /// When something is due without anything coming in.
    fn next_due(&self, now: Instant) -> Option<Instant> {
        if !self.unread.is_empty() {
            return Some(now);
        }
        let due = |stream: &Stream| {
            let held = stream.source.iter().flat_map(|source| source.legs.iter()).filter_map(Leg::due).min();
            let behind = stream.viewers.iter().any(|viewer| viewer.behind).then_some(now + PACE);
            [held, behind].into_iter().flatten().min()
        };
        self.active.iter().filter_map(|id| self.streams.get(id)).filter_map(due).min()
    }

    /// Reads a leg.
    fn take(&mut self, token: Token, now: Instant) {
        let Some((id, kind)) = self.legs.get(&token).copied() else { return };
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Some(source) = &mut stream.source else { return };
        let leg = &mut source.legs[kind as usize];
        let taken = leg.take(&mut self.room, now);
        let state = source.state.leg(kind);
        state.note(now, leg.timestamp_at(now), leg.assembler().profile());
        if taken.more {
            self.unread.push(token);
        }
        if taken.reordered {
            // Nobody listens any more while the program ends.
            let _ = self.events.send(Event::Reordered { stream: source.name.clone() });
        }
        self.activate(id);
    }

    fn activate(&mut self, id: u64) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.is_active
        {
            stream.is_active = true;
            self.active.push(id);
        }
    }

    /// Hands on what came and sends what may leave.
    fn work(&mut self, now: Instant) {
        let Self { active, streams, others, port, run, totals, .. } = self;
        active.retain(|id| {
            let Some(stream) = streams.get_mut(id) else { return false };
            let more = stream.publish(*id, others, now);
            let fresh = more.published;
            let mut way = Way { port, run, now };
            let Stream { rings, viewers, is_ready, .. } = stream;
            let mut behind = false;
            for viewer in viewers.iter_mut().filter(|viewer| *is_ready && (fresh || viewer.behind)) {
                if let Some(reason) = viewer.send(rings, &mut way) {
                    totals.count_jump(reason);
                }
                behind |= viewer.behind;
            }
            stream.is_active = behind || more.held;
            stream.is_active
        });
    }

    /// Does every waiting command; `false` when it is time to end.
    fn handle_commands(&mut self, now: Instant) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(Command::Shutdown) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
                Ok(command) => self.handle_command(command, now),
            }
        }
    }

    fn handle_command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Open { stream, name, legs, state } => self.open(stream, name, legs, state),
            Command::Change { stream: id, leg: state } => {
                let Some(stream) = self.streams.get_mut(&id) else { return };
                let Some(source) = &mut stream.source else { return };
                let kind = state.codec.kind();
                source.legs[kind as usize].change(state.codec);
                source.state.replace(state);
                *stream.rings.of_mut(kind) = Ring::new(Limits::default());
            }
            Command::Close { stream } => {
                self.streams.remove(&stream);
                self.legs.retain(|_, (of, _)| *of != stream);
            }
            Command::Subscribe { stream: id, thread } => {
                let Some(stream) = self.streams.get_mut(&id) else { return };
                let Some(source) = &mut stream.source else { return };
                source.subscribers.push(thread);
                let rings = Box::new(stream.rings.clone());
                self.others[thread].send(Command::Rings { stream: id, rings });
            }
            Command::Unsubscribe { stream, thread } => {
                if let Some(source) = self.streams.get_mut(&stream).and_then(|stream| stream.source.as_mut()) {
                    source.subscribers.retain(|subscriber| *subscriber != thread);
                }
            }
            Command::Rings { stream: id, rings } => {
                let Some(stream) = self.streams.get_mut(&id) else { return };
                stream.rings = *rings;
                stream.is_ready = true;
                self.activate(id);
            }
            Command::Batch { stream: id, kind, batch } => {
                let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.is_ready) else { return };
                stream.rings.of_mut(kind).push(batch, now, drop);
                // What is new is sent like what is left.
                stream.viewers.iter_mut().for_each(|viewer| viewer.behind = true);
                self.activate(id);
            }
            Command::Add { stream: id, viewer } => {
                self.streams.entry(id).or_insert_with(Stream::new).viewers.push(*viewer);
                self.activate(id);
            }
            Command::Viewer { stream, viewer, ask } => self.handle_ask(stream, viewer, ask, now),
            // The loop ends with it before it comes here.
            Command::Shutdown => {}
        }
    }

    fn handle_ask(&mut self, id: u64, viewer: u64, ask: Ask, now: Instant) {
        let Self { streams, port, run, totals, .. } = self;
        let Some(Stream { viewers, rings, source, .. }) = streams.get_mut(&id) else { return };
        let Some(at) = viewers.iter().position(|there| there.id == viewer) else { return };
        let viewer = &mut viewers[at];
        match ask {
            Ask::Remove => {
                viewers.remove(at);
                if viewers.is_empty() && source.is_none() {
                    streams.remove(&id);
                }
            }
            Ask::Move(path) => viewer.path = path,
            Ask::Resend(ssrc, lost) => viewer.resend(ssrc, &lost, rings, &mut Way { port, run, now }),
            Ask::Jump(reason) => {
                if viewer.jump(rings, now) {
                    totals.count_jump(reason);
                    self.activate(id);
                }
            }
        }
    }

    fn open(&mut self, id: u64, name: String, mut legs: Box<[Leg; 2]>, state: StreamState) {
        for kind in KINDS {
            let token = Token(self.next_leg);
            self.next_leg += 1;
            let source = legs[kind as usize].source();
            if let Err(error) = self.poll.registry().register(source, token, Interest::READABLE) {
                tracing::error!(%error, stream = name, "an egress leg cannot be read");
            }
            self.legs.insert(token, (id, kind));
        }
        let stream = self.streams.entry(id).or_insert_with(Stream::new);
        stream.source = Some(Source { name, legs, state, subscribers: Vec::new() });
        stream.is_ready = true;
    }
}

/// What came of publishing.
struct Published {
    /// Something new is in the rings.
    published: bool,
    /// Packets are held back for the rest of their frame.
    held: bool,
}

impl Stream {
    /// Puts what came into the rings, and hands it to the subscribers.
    fn publish(&mut self, id: u64, others: &[Mailbox], now: Instant) -> Published {
        let mut outcome = Published { published: false, held: false };
        let Self { source: Some(source), rings, .. } = self else { return outcome };
        for kind in KINDS {
            let leg = &mut source.legs[kind as usize];
            if let Some(batch) = leg.poll_batch(now) {
                for thread in &source.subscribers {
                    others[*thread].send(Command::Batch { stream: id, kind, batch: batch.clone() });
                }
                rings.of_mut(kind).push(batch, now, |old| leg.assembler().reuse(old));
                outcome.published = true;
            }
            outcome.held |= leg.due().is_some();
        }
        outcome
    }
}
