//! The thread that owns the gateway: waits for datagrams, commands and timers, and does what they ask.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant, SystemTime};

use mio::{Events, Interest, Poll, Token, Waker};
use rand::RngExt;
use rtc::rtcp::sender_report::SenderReport;
use tokio::sync::mpsc::UnboundedSender;

use super::announce::canonical;
use super::egress::{Batch, Viewer};
use super::legs::Legs;
use super::socket::Port;
use super::stream::{HOLD, Stream};
use super::{Command, Config, Event, OpenError};
use crate::plan::EgressPorts;
use crate::rtp::{MediaKind, ntp};
use crate::whep::{self, Answer, Refusal, Request, Session, Settings};

const PORT: Token = Token(0);
const WAKER: Token = Token(1);
const FIRST_LEG: usize = 2;

/// Sender reports go out this often (RFC 3550 section 6.2 allows it for sessions of this size).
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Viewers that catch up are given their next chunk after this.
const CATCH_UP_INTERVAL: Duration = Duration::from_millis(2);
/// Streams are looked at this often for media that does not come any more.
const LIVENESS_INTERVAL: Duration = Duration::from_millis(500);
/// Calls to the system for datagrams of viewers before others have their turn.
const RECEIVE_CALLS: usize = 32;

/// Everything of the gateway.
pub struct Engine {
    poll: Poll,
    port: Port,
    inbox: Receiver<Command>,
    events: UnboundedSender<Event>,
    settings: Settings,
    max_viewers: usize,
    max_viewers_per_stream: usize,
    streams: BTreeMap<String, Stream>,
    legs: HashMap<Token, (String, MediaKind)>,
    next_leg: usize,
    viewers: HashMap<String, WhepViewer>,
    by_ufrag: HashMap<String, String>,
    by_address: HashMap<SocketAddr, String>,
    batch: Batch,
    datagram: Vec<u8>,
    unread: Vec<Token>,
    next_liveness: Instant,
    sessions: u64,
}

/// One viewer: the session, and the media once it has connected.
struct WhepViewer {
    stream: String,
    session: Session,
    media: Option<Viewer>,
    /// Address of this machine that the viewer reached.
    local: Option<IpAddr>,
    next_report: Instant,
    due: Option<Instant>,
    behind: bool,
}

impl Engine {
    /// An engine over a bound port, and the waker for its inbox.
    pub fn new(
        config: &Config,
        mut port: Port,
        announced: &[SocketAddr],
        inbox: Receiver<Command>,
        events: UnboundedSender<Event>,
    ) -> std::io::Result<(Self, Waker)> {
        let poll = Poll::new()?;
        poll.registry().register(port.source(), PORT, Interest::READABLE)?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let settings = Settings {
            provider: Arc::new(rtc::crypto::providers::AwsLcRsProvider::new()),
            canonical: canonical(port.local_address(), announced),
            announced: announced.to_vec(),
        };
        let engine = Self {
            poll,
            port,
            inbox,
            events,
            settings,
            max_viewers: config.max_viewers,
            max_viewers_per_stream: config.max_viewers_per_stream,
            streams: BTreeMap::new(),
            legs: HashMap::new(),
            next_leg: FIRST_LEG,
            viewers: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_address: HashMap::new(),
            batch: Batch::default(),
            datagram: vec![0; 1 << 16],
            unread: Vec::new(),
            next_liveness: Instant::now(),
            sessions: 0,
        };
        Ok((engine, waker))
    }

    /// Runs until it is told to end, or nobody is left who could tell.
    pub fn run(mut self) {
        let mut events = Events::with_capacity(256);
        loop {
            let now = Instant::now();
            let wait = self.next_due(now).map(|due| due.saturating_duration_since(now));
            if let Err(error) = self.poll.poll(&mut events, wait)
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "the WebRTC thread cannot wait for its sockets");
                return;
            }
            let now = Instant::now();
            let mut ready = std::mem::take(&mut self.unread);
            ready.extend(events.iter().map(|event| event.token()));
            for token in ready {
                match token {
                    PORT => self.receive(now),
                    WAKER => {}
                    leg => self.take(leg, now),
                }
            }
            if !self.handle_commands(now) {
                self.end(now);
                return;
            }
            self.give(now);
            self.handle_timers(now);
        }
    }

    /// When something is due without anything coming in.
    fn next_due(&self, now: Instant) -> Option<Instant> {
        if !self.unread.is_empty() {
            return Some(now);
        }
        let held = self.streams.values().flat_map(|stream| [&stream.video, &stream.audio]);
        let held = held.filter_map(|leg| leg.held_since.map(|since| since + HOLD));
        let viewers =
            self.viewers.values().flat_map(|viewer| [viewer.due, viewer.media.as_ref().map(|_| viewer.next_report)]);
        let behind = self.streams.values().any(|stream| stream.behind).then_some(now + CATCH_UP_INTERVAL);
        held.chain(viewers.flatten()).chain(behind).chain([self.next_liveness]).min()
    }

    /// Reads a leg.
    fn take(&mut self, token: Token, now: Instant) {
        let Some((name, kind)) = self.legs.get(&token) else { return };
        let Some(stream) = self.streams.get_mut(name) else { return };
        let taken = stream.leg_mut(*kind).take(&mut self.datagram, now);
        if taken.more {
            self.unread.push(token);
        }
        if taken.reordered {
            self.tell(Event::Reordered { stream: name.clone() });
        }
    }

    /// Gives every viewer what has come, and more to those who catch up.
    fn give(&mut self, now: Instant) {
        for stream in self.streams.values_mut() {
            let due = stream.video.is_due(now) || stream.audio.is_due(now);
            if !due && !stream.behind {
                continue;
            }
            stream.behind = false;
            for id in &stream.viewers {
                let Some(viewer) = self.viewers.get_mut(id) else { continue };
                if let Some(media) = viewer.media.as_mut().filter(|_| due || viewer.behind) {
                    viewer.behind = media.send(stream, &self.port, &mut self.batch, now);
                }
                stream.behind |= viewer.behind;
            }
            if due {
                stream.video.given();
                stream.audio.given();
            }
        }
    }

    /// Reads the one UDP port.
    fn receive(&mut self, now: Instant) {
        let Self { port, viewers, by_ufrag, by_address, .. } = self;
        let mut touched = Vec::new();
        let more = port.receive(RECEIVE_CALLS, |from, local, datagram| {
            // A check names the session; everything else comes from an address that a check came from.
            let id = match stun_ufrag(datagram) {
                Some(ufrag) => by_ufrag.get(ufrag),
                None => by_address.get(&from),
            };
            let Some(id) = id.cloned() else { return };
            let Some(viewer) = viewers.get_mut(&id) else { return };
            viewer.local = local.or(viewer.local);
            viewer.session.handle_datagram(from, datagram, now);
            by_address.insert(from, id.clone());
            if !touched.contains(&id) {
                touched.push(id);
            }
        });
        if more {
            self.unread.push(PORT);
        }
        for id in touched {
            self.drive(&id, now);
        }
    }

    /// Sends what a session wants sent and does what it tells.
    fn drive(&mut self, id: &str, now: Instant) {
        let Some(viewer) = self.viewers.get_mut(id) else { return };
        let mut over = None;
        loop {
            while let Some(transmit) = viewer.session.poll_transmit() {
                let size = transmit.datagram.len();
                if let Err(error) = self.port.send(transmit.to, viewer.local, &transmit.datagram, size) {
                    tracing::trace!(%error, to = %transmit.to, "send");
                }
            }
            let Some(event) = viewer.session.poll_event(now) else { break };
            match event {
                whep::Event::Connected { remote, protector } => {
                    let accepted = viewer.session.accepted();
                    let random = || rand::rng().random();
                    viewer.media = Some(Viewer::new(remote, viewer.local, protector, accepted, random, now));
                    viewer.next_report = now;
                    viewer.behind = true;
                    if let Some(stream) = self.streams.get_mut(&viewer.stream) {
                        stream.behind = true;
                    }
                    tracing::info!(session = short(id), stream = viewer.stream, %remote, "viewer connected");
                }
                whep::Event::Moved(remote) => {
                    if let Some(media) = &mut viewer.media {
                        media.to = remote;
                        media.from = viewer.local;
                    }
                    tracing::info!(session = short(id), %remote, "viewer moved");
                }
                whep::Event::Lost { ssrc, sequence_numbers } => {
                    if let (Some(media), Some(stream)) = (&mut viewer.media, self.streams.get(&viewer.stream)) {
                        media.resend(ssrc, &sequence_numbers, stream, &self.port, &mut self.batch, now);
                    }
                }
                whep::Event::KeyframeWanted => tracing::debug!(session = short(id), "keyframe wanted"),
                whep::Event::Closed(why) => over = Some(why.to_owned()),
                whep::Event::Broken(unknown) => over = Some(unknown.to_string()),
            }
        }
        viewer.due = viewer.session.poll_timeout();
        if let Some(why) = over {
            self.remove(id, &why);
        }
    }

    fn handle_timers(&mut self, now: Instant) {
        let due: Vec<String> = self
            .viewers
            .iter()
            .filter(|(_, viewer)| viewer.due.is_some_and(|due| due <= now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            if let Some(viewer) = self.viewers.get_mut(&id) {
                viewer.session.handle_timeout(now);
            }
            self.drive(&id, now);
        }
        let reports: Vec<String> = self
            .viewers
            .iter()
            .filter(|(_, viewer)| viewer.media.is_some() && viewer.next_report <= now)
            .map(|(id, _)| id.clone())
            .collect();
        for id in reports {
            self.report(&id, now);
            self.drive(&id, now);
        }
        if self.next_liveness <= now {
            self.next_liveness = now + LIVENESS_INTERVAL;
            self.tell_liveness(now);
        }
    }

    /// Sends a sender report for each track, all from one clock.
    fn report(&mut self, id: &str, now: Instant) {
        let Some(viewer) = self.viewers.get_mut(id) else { return };
        viewer.next_report = now + REPORT_INTERVAL;
        let (Some(media), Some(stream)) = (&viewer.media, self.streams.get(&viewer.stream)) else { return };
        let ntp_time = ntp(SystemTime::now());
        for sent in media.sent() {
            let Some(rtp_time) = stream.leg(sent.kind).clock.timestamp_at(now) else { continue };
            let report = SenderReport {
                ssrc: sent.ssrc,
                ntp_time,
                rtp_time,
                packet_count: sent.packets,
                octet_count: sent.octets,
                ..SenderReport::default()
            };
            viewer.session.report(sent.kind, report, now);
        }
    }

    fn tell_liveness(&mut self, now: Instant) {
        let mut changes = Vec::new();
        for (name, stream) in &mut self.streams {
            let live = stream.live(now);
            if live != stream.told {
                stream.told = live;
                changes.push(Event::Media { stream: name.clone(), video: live.0, audio: live.1 });
            }
        }
        changes.into_iter().for_each(|change| self.tell(change));
    }

    /// Does every waiting command; `false` when it is time to end.
    fn handle_commands(&mut self, now: Instant) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(Command::Open { stream, max_viewers, reply }) => {
                    // Nobody waits any more where this fails, and the legs stay for the next who asks.
                    let _ = reply.send(self.open(&stream, max_viewers));
                }
                Ok(Command::Configure { stream, max_viewers }) => {
                    if let Some(stream) = self.streams.get_mut(&stream) {
                        stream.max_viewers = max_viewers;
                    }
                }
                Ok(Command::Expect { stream, video, audio }) => {
                    if let Some(stream) = self.streams.get_mut(&stream) {
                        stream.expected = Some((video, audio));
                    }
                }
                Ok(Command::Close { stream }) => self.close(&stream, now),
                Ok(Command::Whep(request)) => self.handle_request(request, now),
                Ok(Command::Shutdown) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
        }
    }

    fn open(&mut self, name: &str, max_viewers: Option<usize>) -> Result<EgressPorts, OpenError> {
        if !self.streams.contains_key(name) {
            let legs = Legs::bind()?;
            let mut stream = Stream::new(legs, max_viewers, [rand::rng().random(), rand::rng().random()]);
            for kind in [MediaKind::Video, MediaKind::Audio] {
                let token = Token(self.next_leg);
                self.next_leg += 1;
                let socket = &mut stream.leg_mut(kind).socket;
                let registered = self.poll.registry().register(socket, token, Interest::READABLE);
                registered.map_err(|error| OpenError::NoPorts(error.to_string()))?;
                self.legs.insert(token, (name.to_owned(), kind));
            }
            self.streams.insert(name.to_owned(), stream);
        }
        let stream = self.streams.get_mut(name).expect("it was there or is now");
        stream.max_viewers = max_viewers;
        let port = |kind| stream.leg(kind).socket.local_addr().map(|address| address.port());
        match (port(MediaKind::Video), port(MediaKind::Audio)) {
            (Ok(video), Ok(audio)) => Ok(EgressPorts { video, audio }),
            (Err(error), _) | (_, Err(error)) => Err(OpenError::NoPorts(error.to_string())),
        }
    }

    fn close(&mut self, name: &str, now: Instant) {
        self.end_sessions(|viewer| viewer.stream == name, "the process stopped", now);
        self.streams.remove(name);
        self.legs.retain(|_, (stream, _)| stream != name);
    }

    fn end(&mut self, now: Instant) {
        self.end_sessions(|_| true, "the gateway ends", now);
    }

    fn end_sessions(&mut self, which: impl Fn(&WhepViewer) -> bool, why: &str, now: Instant) {
        let ids: Vec<String> =
            self.viewers.iter().filter(|(_, viewer)| which(viewer)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.end_session(&id, why, now);
        }
    }

    /// Says goodbye to a viewer and forgets it; `false` where there was none.
    fn end_session(&mut self, id: &str, why: &str, now: Instant) -> bool {
        let Some(viewer) = self.viewers.get_mut(id) else { return false };
        viewer.session.close();
        self.drive(id, now);
        self.remove(id, why);
        true
    }

    fn remove(&mut self, id: &str, why: &str) {
        let Some(viewer) = self.viewers.remove(id) else { return };
        self.by_ufrag.remove(viewer.session.local_ufrag());
        self.by_address.retain(|_, session| session != id);
        if let Some(stream) = self.streams.get_mut(&viewer.stream) {
            stream.viewers.retain(|viewer| viewer != id);
        }
        tracing::info!(session = short(id), stream = viewer.stream, reason = why, "viewer gone");
        self.tell_viewers(viewer.stream);
    }

    fn tell_viewers(&self, stream: String) {
        let count = self.count(&stream);
        self.tell(Event::Viewers { stream, count });
    }

    fn count(&self, stream: &str) -> usize {
        self.streams.get(stream).map_or(0, |stream| stream.viewers.len())
    }

    fn tell(&self, event: Event) {
        // Nobody listens any more while the program ends.
        let _ = self.events.send(event);
    }

    fn handle_request(&mut self, request: Request, now: Instant) {
        // A player that went away while it waited takes no reply.
        match request {
            Request::Offer { process, offer, reply } => {
                let answer = self.answer(&process, &offer, now);
                let id = answer.as_ref().ok().map(|answer| answer.session.clone());
                if reply.send(answer).is_err()
                    && let Some(id) = id
                {
                    self.end_session(&id, "the player did not wait for its answer", now);
                }
            }
            Request::Patch { process, session, if_match, fragment, reply } => {
                let done = match self.viewers.get_mut(&session).filter(|viewer| viewer.stream == process) {
                    Some(viewer) => viewer.session.handle_fragment(if_match.as_deref(), &fragment),
                    None => Err(Refusal::UnknownSession),
                };
                self.drive(&session, now);
                let _ = reply.send(done);
            }
            Request::Has { process, session, reply } => {
                let _ = reply.send(self.viewers.get(&session).is_some_and(|viewer| viewer.stream == process));
            }
            Request::Delete { process, session, reply } => {
                let there = self.viewers.get(&session).is_some_and(|viewer| viewer.stream == process);
                let _ = reply.send(there && self.end_session(&session, "the player said goodbye", now));
            }
        }
    }

    fn answer(&mut self, process: &str, offer: &str, now: Instant) -> Result<Answer, Refusal> {
        let stream = self.streams.get(process).ok_or_else(|| Refusal::UnknownProcess(process.to_owned()))?;
        let media = stream.media(now);
        let limit = stream.max_viewers.unwrap_or(self.max_viewers_per_stream);
        // What is wrong with the offer itself is said before what only waiting cures.
        whep::check_offer(offer)?;
        let media = media.ok_or_else(|| Refusal::NoMediaYet(process.to_owned()))?;
        if self.viewers.len() >= self.max_viewers {
            return Err(Refusal::TotalViewerLimit { limit: self.max_viewers });
        }
        if self.count(process) >= limit {
            return Err(Refusal::StreamViewerLimit { process: process.to_owned(), limit });
        }
        self.sessions += 1;
        let (session, sdp) = Session::answer(&self.settings, &media, offer, self.sessions, now)?;
        let id = uuid::Uuid::new_v4().simple().to_string();
        let etag = session.etag().to_owned();
        self.by_ufrag.insert(session.local_ufrag().to_owned(), id.clone());
        let viewer = WhepViewer {
            stream: process.to_owned(),
            session,
            media: None,
            local: None,
            next_report: now,
            due: Some(now),
            behind: false,
        };
        self.viewers.insert(id.clone(), viewer);
        if let Some(stream) = self.streams.get_mut(process) {
            stream.viewers.push(id.clone());
        }
        self.tell_viewers(process.to_owned());
        Ok(Answer { session: id, sdp, etag })
    }
}

/// What a log shows of a session's id, which opens the session to whoever knows it whole.
fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// The receiving side's user fragment of a STUN binding request: what stands before the colon in its USERNAME
/// (RFC 8445 section 7.2.2, RFC 8489 section 14.3).
fn stun_ufrag(datagram: &[u8]) -> Option<&str> {
    const BINDING_REQUEST: [u8; 2] = [0, 1];
    const USERNAME: u16 = 6;
    if datagram.get(..2)? != BINDING_REQUEST {
        return None;
    }
    let mut attributes = datagram.get(20..)?;
    while let [kind_high, kind_low, size_high, size_low, rest @ ..] = attributes {
        let size = usize::from(u16::from_be_bytes([*size_high, *size_low]));
        if u16::from_be_bytes([*kind_high, *kind_low]) == USERNAME {
            let name = std::str::from_utf8(rest.get(..size)?).ok()?;
            return name.split(':').next();
        }
        attributes = rest.get(size.next_multiple_of(4)..)?;
    }
    None
}
