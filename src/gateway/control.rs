//! The thread that owns the sessions: waits for datagrams and connections of viewers, commands and timers, and does what
//! they ask. Media is the media threads' business.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant, SystemTime};

use mio::{Events, Interest, Poll, Token, Waker};
use rand::RngExt;
use rtc::rtcp::{self, sender_report::SenderReport};
use tokio::sync::mpsc::UnboundedSender;

use super::announce::canonical;
use super::ingest::Leg;
use super::legs::Legs;
use super::media::{self, Ask, Mailbox};
use super::path::Path;
use super::shared::{LegState, Sent, StreamState};
use super::socket::{Port, Receiver as Datagrams};
use super::tcp::Tcp;
use super::viewer::{JumpReason, Viewer};
use super::{Command, Config, Event, OpenError, Totals};
use crate::plan::EgressPorts;
use crate::rtp::{Codec, MediaKind, ntp};
use crate::srtp::Protector;
use crate::whep::{
    self, Answer, Opening, Overview, Refusal, Request, Restart, Session, Settings, StreamMedia, Track, Traffic, Viewing,
};

const PORT: Token = Token(0);
const WAKER: Token = Token(1);
const LISTENER: Token = Token(2);
/// Tokens of TCP connections begin here.
pub const FIRST_CONNECTION: usize = 2;

/// Sender reports go out this often (RFC 3550 section 6.2 allows it for sessions of this size).
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Timers of connected viewers may be so late, so that one wake does several.
const SLACK: Duration = Duration::from_millis(10);
/// A stream's viewers stay with the thread that reads its legs up to this number; more go where the load is least.
const HOME: usize = 128;
/// A viewer that loses so many of 256 packets, for so long, goes on from the newest keyframe.
const HEAVY_LOSS: u8 = 64;
const HEAVY_LOSS_TIME: Duration = Duration::from_secs(3);
/// Streams are looked at this often for media that does not come any more.
const LIVENESS_INTERVAL: Duration = Duration::from_millis(500);
/// Calls to the system for datagrams of viewers before others have their turn.
const RECEIVE_CALLS: usize = 32;

/// Everything of the gateway but the media.
pub struct Control {
    poll: Poll,
    port: Arc<Port>,
    datagrams: Datagrams,
    tcp: Option<Tcp>,
    inbox: Receiver<Command>,
    events: UnboundedSender<Event>,
    settings: Settings,
    max_viewers: usize,
    max_viewers_per_stream: usize,
    /// The one pair of ports that streams may have.
    leg_port: Option<u16>,
    /// That pair, bound and waiting for its stream.
    spare: Option<Legs>,
    /// No new viewers are taken.
    draining: bool,
    media: Vec<Mailbox>,
    /// Viewers of each media thread.
    loads: Vec<usize>,
    streams: BTreeMap<String, Stream>,
    viewers: HashMap<String, WhepViewer>,
    by_ufrag: HashMap<String, String>,
    by_address: HashMap<SocketAddr, String>,
    more_datagrams: bool,
    next_liveness: Instant,
    numbers: u64,
    reference: Instant,
    totals: Arc<Totals>,
    /// What was sent to viewers that are gone.
    gone: Traffic,
}

/// A stream with its legs open.
struct Stream {
    /// Number of the stream among the media threads.
    id: u64,
    state: StreamState,
    ports: EgressPorts,
    /// The thread that reads its legs.
    home: usize,
    /// Viewers that are sent media, by thread.
    shards: Vec<usize>,
    /// Cap of its own, from the manifest.
    max_viewers: Option<usize>,
    /// Legs that FFmpeg sends; unknown before it was started.
    expected: Option<(bool, bool)>,
    /// Sessions of its viewers.
    viewers: Vec<String>,
    /// What was last told of it: picture and sound come.
    told: (bool, bool),
    /// Viewers that have connected since it was opened.
    connected: u64,
}

/// One viewer: the session, and where its media is sent once it has connected.
struct WhepViewer {
    stream: String,
    session: Session,
    /// Number of the viewer among the media threads.
    number: u64,
    /// The thread that sends its media.
    thread: Option<usize>,
    /// What was sent of each track: kind and SSRC.
    sent: Vec<(MediaKind, u32, Arc<Sent>)>,
    /// Address of this machine that the viewer reached.
    local: Option<IpAddr>,
    /// Where the viewer is, once it has connected.
    remote: Option<SocketAddr>,
    /// When its offer came.
    since: Instant,
    next_report: Instant,
    due: Option<Instant>,
    lossy_since: Option<Instant>,
}

impl Stream {
    /// What viewers are offered; `None` as long as an expected leg has not sent anything.
    fn media(&self, now: Instant) -> Option<StreamMedia> {
        let (video, audio) = self.expected?;
        let mut media = StreamMedia::default();
        for (leg, _) in [(&self.state.video, video), (&self.state.audio, audio)].into_iter().filter(|(_, sent)| *sent) {
            if !leg.is_live(now) {
                return None;
            }
            let LegState { codec, ssrc, .. } = **leg;
            // An SSRC for retransmission that no other track has.
            media.tracks.push(Track { codec, ssrc, retransmission_ssrc: ssrc ^ 1 << 31, profile: leg.profile() });
        }
        (!media.tracks.is_empty()).then_some(media)
    }
}

impl Control {
    /// Over bound ports; and the waker for the inbox.
    pub fn new(
        config: &Config,
        (port, mut datagrams, mut tcp, spare): (Arc<Port>, Datagrams, Option<Tcp>, Option<Legs>),
        announced: &[SocketAddr],
        inbox: Receiver<Command>,
        events: UnboundedSender<Event>,
        media: Vec<Mailbox>,
        totals: Arc<Totals>,
    ) -> std::io::Result<(Self, Waker)> {
        let poll = Poll::new()?;
        poll.registry().register(datagrams.source(), PORT, Interest::READABLE)?;
        if let Some(tcp) = &mut tcp {
            poll.registry().register(tcp.source(), LISTENER, Interest::READABLE)?;
        }
        let waker = Waker::new(poll.registry(), WAKER)?;
        let settings = Settings {
            provider: Arc::new(rtc::crypto::providers::AwsLcRsProvider::new()),
            canonical: canonical(port.local_address(), announced),
            announced: announced.to_vec(),
            ice_lite: config.ice_lite,
            tcp: tcp.is_some(),
        };
        let now = Instant::now();
        let control = Self {
            poll,
            port,
            datagrams,
            tcp,
            inbox,
            events,
            settings,
            max_viewers: config.max_viewers,
            max_viewers_per_stream: config.max_viewers_per_stream,
            leg_port: config.leg_port,
            spare,
            draining: false,
            loads: vec![0; media.len()],
            media,
            streams: BTreeMap::new(),
            viewers: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_address: HashMap::new(),
            more_datagrams: false,
            next_liveness: now,
            numbers: 0,
            reference: now,
            totals,
            gone: Traffic::default(),
        };
        Ok((control, waker))
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
            if std::mem::take(&mut self.more_datagrams) || events.iter().any(|event| event.token() == PORT) {
                self.receive(now);
            }
            self.receive_by_tcp(&events, now);
            if !self.handle_commands(now) {
                self.end(now);
                return;
            }
            self.handle_timers(now);
        }
    }

    /// When something is due without anything coming in.
    fn next_due(&self, now: Instant) -> Option<Instant> {
        if self.more_datagrams || self.tcp.as_ref().is_some_and(Tcp::has_unread) {
            return Some(now);
        }
        let due = |viewer: &WhepViewer| match viewer.thread {
            None => viewer.due,
            Some(_) => viewer.due.into_iter().chain([viewer.next_report]).min().map(|due| due + SLACK),
        };
        self.viewers.values().filter_map(due).chain([self.next_liveness]).min()
    }

    /// Reads the one UDP port.
    fn receive(&mut self, now: Instant) {
        let Self { datagrams, viewers, by_ufrag, by_address, .. } = self;
        let mut touched = Vec::new();
        self.more_datagrams = datagrams.receive(RECEIVE_CALLS, |from, local, datagram| {
            // A check names the session; everything else comes from an address that a check came from.
            let id = match whep::requested_ufrag(datagram) {
                // Nobody comes from an address that stands for a connection.
                _ if whep::is_alias(&from) => None,
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
        for id in touched {
            self.drive(&id, now);
        }
    }

    /// Takes what came by TCP. A connection belongs to the session that its first check names.
    fn receive_by_tcp(&mut self, events: &Events, now: Instant) {
        let Self { poll, tcp: Some(tcp), viewers, by_ufrag, settings, .. } = self else { return };
        let registry = poll.registry();
        for event in events {
            match event.token() {
                PORT | WAKER => {}
                LISTENER => tcp.accept(registry, now),
                _ => tcp.handle_event(event, registry),
            }
        }
        let mut touched = Vec::new();
        tcp.receive(registry, |number, connection, session, datagram| {
            let named = || whep::requested_ufrag(datagram).and_then(|ufrag| by_ufrag.get(ufrag));
            let id = session.or_else(|| named().map(String::as_str))?.to_owned();
            let viewer = viewers.get_mut(&id)?;
            if session.is_none() {
                tracing::debug!(session = short(&id), remote = %connection.peer(), "TCP connection of a viewer");
            }
            let from = whep::alias(number, settings.canonical.first()?);
            viewer.session.handle_datagram(from, datagram, now);
            if !touched.contains(&id) {
                touched.push(id.clone());
            }
            Some(id)
        });
        for id in touched {
            self.drive(&id, now);
        }
    }

    /// Sends what a session wants sent and does what it tells.
    fn drive(&mut self, id: &str, now: Instant) {
        let Some(viewer) = self.viewers.get_mut(id) else { return };
        let (mut over, mut connected, mut moved, mut for_media) = (None, None, None, Vec::new());
        loop {
            while let Some(transmit) = viewer.session.poll_transmit() {
                let (to, size) = (transmit.to, transmit.datagram.len());
                let Some(path) = path(self.tcp.as_ref(), id, to, viewer.local) else { continue };
                if let Err(error) = path.send(&self.port, &transmit.datagram, size) {
                    tracing::trace!(%error, %to, "send");
                }
            }
            let Some(event) = viewer.session.poll_event(now) else { break };
            match event {
                whep::Event::Connected { remote, protector } => {
                    viewer.next_report = now;
                    connected.replace((remote, protector));
                }
                whep::Event::Moved(remote) => moved = Some(remote),
                whep::Event::Lost { ssrc, sequence_numbers } => for_media.push(Ask::Resend(ssrc, sequence_numbers)),
                whep::Event::KeyframeWanted => for_media.push(Ask::Jump(JumpReason::KeyframeWanted)),
                whep::Event::FractionLost(lost) if viewer.has_lost_too_much(lost, now) => {
                    for_media.push(Ask::Jump(JumpReason::Loss));
                }
                whep::Event::FractionLost(_) => {}
                whep::Event::Closed(why) => over = Some(why.to_owned()),
                whep::Event::Broken(unknown) => over = Some(unknown.to_string()),
            }
        }
        viewer.due = viewer.session.poll_timeout();
        let local = viewer.local;
        if let Some((remote, protector)) = connected
            && let Some(path) = path(self.tcp.as_ref(), id, remote, local)
        {
            self.note_remote(id, &path);
            self.begin_media(id, path, protector, now);
        }
        if let Some(path) = moved.and_then(|remote| path(self.tcp.as_ref(), id, remote, local)) {
            tracing::info!(session = short(id), remote = %path, "viewer moved");
            self.note_remote(id, &path);
            self.ask_media(id, Ask::Move(path));
        }
        for ask in for_media {
            self.ask_media(id, ask);
        }
        if let Some(why) = over {
            self.remove(id, &why);
        }
    }

    fn note_remote(&mut self, id: &str, path: &Path) {
        if let Some(viewer) = self.viewers.get_mut(id) {
            viewer.remote = Some(path.peer());
        }
    }

    /// Has a viewer's media sent by one of the media threads.
    fn begin_media(&mut self, id: &str, path: Path, protector: Protector, now: Instant) {
        let Some(viewer) = self.viewers.get_mut(id) else { return };
        let Some(stream) = self.streams.get_mut(&viewer.stream) else { return };
        tracing::info!(session = short(id), stream = viewer.stream, remote = %path, "viewer connected");
        let least = (0..self.loads.len()).min_by_key(|thread| self.loads[*thread]).unwrap_or(stream.home);
        let thread = if stream.shards[stream.home] < HOME { stream.home } else { least };
        let accepted: Vec<_> =
            viewer.session.accepted().iter().map(|accepted| (accepted.clone(), Arc::new(Sent::default()))).collect();
        viewer.sent =
            accepted.iter().map(|(accepted, sent)| (accepted.codec.kind(), accepted.ssrc, sent.clone())).collect();
        viewer.thread = Some(thread);
        let random = || rand::rng().random();
        let media = Box::new(Viewer::new(viewer.number, path, protector, &accepted, random, now));
        self.media[thread].send(media::Command::Add { stream: stream.id, viewer: media });
        if thread != stream.home && stream.shards[thread] == 0 {
            self.media[stream.home].send(media::Command::Subscribe { stream: stream.id, thread });
        }
        stream.shards[thread] += 1;
        stream.connected += 1;
        self.loads[thread] += 1;
    }

    /// Asks the thread that sends a viewer's media, once there is one.
    fn ask_media(&self, id: &str, ask: Ask) {
        let Some(WhepViewer { stream, number, thread: Some(thread), .. }) = self.viewers.get(id) else { return };
        let Some(Stream { id: stream, .. }) = self.streams.get(stream) else { return };
        self.media[*thread].send(media::Command::Viewer { stream: *stream, viewer: *number, ask });
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
            .filter(|(_, viewer)| viewer.thread.is_some() && viewer.next_report <= now)
            .map(|(id, _)| id.clone())
            .collect();
        for id in reports {
            self.report(&id, now);
            self.drive(&id, now);
        }
        if self.next_liveness <= now {
            self.next_liveness = now + LIVENESS_INTERVAL;
            if let Some(tcp) = &mut self.tcp {
                tcp.handle_timeout(self.poll.registry(), now);
                tcp.accept(self.poll.registry(), now);
            }
            self.tell_liveness(now);
        }
    }

    /// Sends a sender report for each track, all from one clock.
    fn report(&mut self, id: &str, now: Instant) {
        let Some(viewer) = self.viewers.get_mut(id) else { return };
        viewer.next_report = now + REPORT_INTERVAL;
        let Some(stream) = self.streams.get(&viewer.stream) else { return };
        let ntp_time = ntp(SystemTime::now());
        let report = |(kind, ssrc, sent): &(MediaKind, u32, Arc<Sent>)| {
            let timestamp = stream.state.leg(*kind).timestamp_at(now)?;
            let report = SenderReport {
                ssrc: *ssrc,
                ntp_time,
                rtp_time: timestamp.wrapping_add(sent.timestamp_shift.load(Ordering::Relaxed)),
                // Both counters of a report begin anew at 32 bits (RFC 3550 section 6.4.1).
                packet_count: sent.packets.load(Ordering::Relaxed) as u32,
                octet_count: sent.octets.load(Ordering::Relaxed) as u32,
                ..SenderReport::default()
            };
            Some(Box::new(report) as Box<dyn rtcp::Packet>)
        };
        let reports: Vec<_> = viewer.sent.iter().filter_map(report).collect();
        if !reports.is_empty() {
            viewer.session.report(reports, now);
        }
    }

    fn tell_liveness(&mut self, now: Instant) {
        let mut changes = Vec::new();
        for (name, stream) in &mut self.streams {
            let live = (stream.state.video.is_live(now), stream.state.audio.is_live(now));
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
                    self.expect(&stream, video, audio, now);
                }
                Ok(Command::Close { stream }) => self.close(&stream, now),
                Ok(Command::Announce(announced)) => self.announce(announced),
                Ok(Command::Limit(limit)) => self.max_viewers_per_stream = limit,
                Ok(Command::Drain(draining)) => self.drain(draining),
                Ok(Command::Tell) => self.tell_all(),
                Ok(Command::Whep(request)) => self.handle_request(request, now),
                Ok(Command::Shutdown) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
        }
    }

    fn open(&mut self, name: &str, max_viewers: Option<usize>) -> Result<EgressPorts, OpenError> {
        if let Some(stream) = self.streams.get_mut(name) {
            stream.max_viewers = max_viewers;
            return Ok(stream.ports);
        }
        let failed = |error: std::io::Error| OpenError::NoPorts(error.to_string());
        let Legs { video, audio } = self.bind_legs()?;
        let port = |socket: &std::net::UdpSocket| socket.local_addr().map(|address| address.port());
        let ports = EgressPorts { video: port(&video).map_err(failed)?, audio: port(&audio).map_err(failed)? };
        let legs = [Leg::new(video, Codec::H264).map_err(failed)?, Leg::new(audio, Codec::Opus).map_err(failed)?];
        let state = StreamState { video: self.leg_state(Codec::H264), audio: self.leg_state(Codec::Opus) };
        self.numbers += 1;
        let id = self.numbers;
        let home = id as usize % self.media.len();
        self.media[home].send(media::Command::Open {
            stream: id,
            name: name.to_owned(),
            legs: Box::new(legs),
            state: state.clone(),
        });
        let stream = Stream {
            id,
            state,
            ports,
            home,
            shards: vec![0; self.media.len()],
            max_viewers,
            expected: None,
            viewers: Vec::new(),
            told: (false, false),
            connected: 0,
        };
        self.streams.insert(name.to_owned(), stream);
        Ok(ports)
    }

    /// The fixed pair, where there is one.
    fn bind_legs(&mut self) -> Result<Legs, OpenError> {
        let Some(port) = self.leg_port else { return Legs::bind() };
        if let Some(owner) = self.streams.keys().next() {
            return Err(OpenError::Occupied(owner.clone()));
        }
        self.spare.take().map_or_else(|| Legs::bind_at(port), Ok)
    }

    fn leg_state(&self, codec: Codec) -> Arc<LegState> {
        Arc::new(LegState::new(codec, rand::rng().random(), self.reference))
    }

    /// FFmpeg will send these codecs. What was agreed with viewers holds no longer where one is another than before.
    fn expect(&mut self, name: &str, video: Option<Codec>, audio: Option<Codec>, now: Instant) {
        for codec in [video, audio].into_iter().flatten() {
            let Some(stream) = self.streams.get(name) else { return };
            let before = stream.state.leg(codec.kind()).codec;
            if before != codec {
                let why = format!("the stream is {} now and was {}", codec.name(), before.name());
                self.end_sessions(|viewer| viewer.stream == name, &why, now);
                self.change(name, codec);
            }
        }
        if let Some(stream) = self.streams.get_mut(name) {
            stream.expected = Some((video.is_some(), audio.is_some()));
        }
    }

    fn change(&mut self, name: &str, codec: Codec) {
        let leg = self.leg_state(codec);
        if let Some(stream) = self.streams.get_mut(name) {
            stream.state.replace(leg.clone());
            self.media[stream.home].send(media::Command::Change { stream: stream.id, leg });
        }
    }

    /// Viewers that come, or restart ICE, are told of these addresses.
    fn announce(&mut self, announced: Vec<SocketAddr>) {
        self.viewers.values_mut().for_each(|viewer| viewer.session.announce(&announced));
        self.settings.canonical = canonical(self.port.local_address(), &announced);
        self.settings.announced.clone_from(&announced);
        self.tell(Event::Announced(announced));
    }

    fn drain(&mut self, draining: bool) {
        self.draining = draining;
        self.tell_all();
        self.tell(Event::Draining(draining));
    }

    /// Tells how everything is, for who has heard nothing before.
    fn tell_all(&self) {
        self.tell(Event::Announced(self.settings.announced.clone()));
        for (name, Stream { told: (video, audio), .. }) in &self.streams {
            self.tell(Event::Media { stream: name.clone(), video: *video, audio: *audio });
            self.tell_viewers(name.clone());
        }
    }

    fn close(&mut self, name: &str, now: Instant) {
        self.end_sessions(|viewer| viewer.stream == name, "the process stopped", now);
        if let Some(stream) = self.streams.remove(name) {
            self.media[stream.home].send(media::Command::Close { stream: stream.id });
        }
    }

    fn end(&mut self, now: Instant) {
        self.end_sessions(|_| true, "the gateway ends", now);
        self.media.iter().for_each(|media| media.send(media::Command::Shutdown));
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
        self.gone += viewer.traffic();
        if let Some(tcp) = &mut self.tcp {
            tcp.close_session(id, self.poll.registry());
        }
        if let Some(stream) = self.streams.get_mut(&viewer.stream) {
            stream.viewers.retain(|viewer| viewer != id);
            if let Some(thread) = viewer.thread {
                let ask = Ask::Remove;
                self.media[thread].send(media::Command::Viewer { stream: stream.id, viewer: viewer.number, ask });
                self.loads[thread] -= 1;
                stream.shards[thread] -= 1;
                if thread != stream.home && stream.shards[thread] == 0 {
                    self.media[stream.home].send(media::Command::Unsubscribe { stream: stream.id, thread });
                }
            }
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
            Request::Offer { process, offer, may_counter, reply } => {
                let answer = self.answer(&process, &offer, may_counter, now);
                let id = answer.as_ref().ok().map(|answer| answer.session.clone());
                if reply.send(answer).is_err()
                    && let Some(id) = id
                {
                    self.end_session(&id, "the player did not wait for its answer", now);
                }
            }
            Request::Patch { process, session, if_match, fragment, reply } => {
                let done = self.patch(&process, &session, if_match.as_deref(), &fragment, now);
                self.drive(&session, now);
                let _ = reply.send(done);
            }
            Request::Answer { process, session, if_match, answer, reply } => {
                let done = self.take_answer(&process, &session, if_match.as_deref(), &answer, now);
                self.drive(&session, now);
                let _ = reply.send(done);
            }
            Request::Find { process, session, reply } => {
                let viewer = self.viewers.get(&session).filter(|viewer| viewer.stream == process);
                let _ = reply.send(viewer.map(|viewer| viewer.session.opening()));
            }
            Request::Delete { process, session, reply } => {
                let there = self.viewers.get(&session).is_some_and(|viewer| viewer.stream == process);
                let _ = reply.send(there && self.end_session(&session, "the player said goodbye", now));
            }
            Request::Overview { reply } => {
                let _ = reply.send(self.overview(now));
            }
        }
    }

    fn overview(&self, now: Instant) -> Overview {
        let viewing = |(id, viewer): (&String, &WhepViewer)| Viewing {
            session: short(id).to_owned(),
            process: viewer.stream.clone(),
            remote: viewer.remote,
            local: viewer.local,
            age: now.saturating_duration_since(viewer.since),
            sent: viewer.traffic(),
        };
        let mut sent = self.gone;
        self.viewers.values().for_each(|viewer| sent += viewer.traffic());
        Overview {
            viewings: self.viewers.iter().map(viewing).collect(),
            connected: self.streams.iter().map(|(name, stream)| (name.clone(), stream.connected)).collect(),
            sent,
            jumps: JumpReason::ALL.map(|reason| (reason.word(), self.totals.jumps(reason))).to_vec(),
            max_viewers: self.max_viewers,
        }
    }

    fn patch(
        &mut self,
        process: &str,
        id: &str,
        if_match: Option<&str>,
        fragment: &str,
        now: Instant,
    ) -> Result<Option<Restart>, Refusal> {
        let viewer = self.viewers.get_mut(id).filter(|viewer| viewer.stream == process);
        let viewer = viewer.ok_or(Refusal::UnknownSession)?;
        let former = viewer.session.local_ufrag().to_owned();
        let restart = viewer.session.handle_fragment(if_match, fragment, now)?;
        if restart.is_some() {
            // Checks of the ICE session before are not answered any more, by the engine neither.
            self.by_ufrag.remove(&former);
            self.by_ufrag.insert(viewer.session.local_ufrag().to_owned(), id.to_owned());
            tracing::info!(session = short(id), "viewer restarts ICE");
        }
        Ok(restart)
    }

    /// Takes the answer to a counter-offer. One that takes nothing ends the session.
    fn take_answer(
        &mut self,
        process: &str,
        id: &str,
        if_match: Option<&str>,
        answer: &str,
        now: Instant,
    ) -> Result<(), Refusal> {
        let viewer = self.viewers.get_mut(id).filter(|viewer| viewer.stream == process);
        let viewer = viewer.ok_or(Refusal::UnknownSession)?;
        let taken = viewer.session.handle_answer(if_match, answer, now);
        if matches!(taken, Err(Refusal::NothingTaken(_))) {
            self.end_session(id, "the player can play nothing of the counter-offer", now);
        }
        taken
    }

    fn answer(&mut self, process: &str, offer: &str, may_counter: bool, now: Instant) -> Result<Answer, Refusal> {
        if self.draining {
            return Err(Refusal::Draining);
        }
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
        self.numbers += 1;
        let (session, sdp) = match Session::answer(&self.settings, &media, offer, self.numbers, now) {
            Err(Refusal::NoCommonCodec(why)) if may_counter => {
                Session::offer(&self.settings, &media, &why, self.numbers, now)?
            }
            answered => answered?,
        };
        let opening = session.opening();
        if opening == Opening::CounterOffer {
            self.make_room_for_counter_offer(process, limit.div_ceil(2), now);
        }
        let id = uuid::Uuid::new_v4().simple().to_string();
        let etag = session.etag().to_owned();
        self.by_ufrag.insert(session.local_ufrag().to_owned(), id.clone());
        let viewer = WhepViewer {
            stream: process.to_owned(),
            session,
            number: self.numbers,
            thread: None,
            sent: Vec::new(),
            local: None,
            remote: None,
            since: now,
            next_report: now,
            due: Some(now),
            lossy_since: None,
        };
        self.viewers.insert(id.clone(), viewer);
        if let Some(stream) = self.streams.get_mut(process) {
            stream.viewers.push(id.clone());
        }
        self.tell_viewers(process.to_owned());
        if opening == Opening::CounterOffer {
            tracing::info!(session = short(&id), stream = process, "no codec in common, a counter-offer is made");
        }
        Ok(Answer { session: id, opening, sdp, etag })
    }

    /// Lets counter-offers that wait for their answer have so many of a stream's places; the oldest ends. So a player that
    /// does not know them, and offers again and again, keeps nobody out.
    fn make_room_for_counter_offer(&mut self, process: &str, most: usize, now: Instant) {
        let waiting = |viewer: &WhepViewer| viewer.stream == process && viewer.session.waits_for_answer();
        let mut waiting: Vec<(u64, String)> = self
            .viewers
            .iter()
            .filter(|(_, viewer)| waiting(viewer))
            .map(|(id, viewer)| (viewer.number, id.clone()))
            .collect();
        waiting.sort();
        let over = (waiting.len() + 1).saturating_sub(most);
        for (_, id) in waiting.into_iter().take(over) {
            self.end_session(&id, "newer counter-offers of this stream wait", now);
        }
    }
}

impl WhepViewer {
    /// What it was sent.
    fn traffic(&self) -> Traffic {
        let mut traffic = Traffic::default();
        for (_, _, sent) in &self.sent {
            let Sent { packets, octets, resent, timestamp_shift: _ } = &**sent;
            traffic += Traffic {
                packets: packets.load(Ordering::Relaxed),
                octets: octets.load(Ordering::Relaxed),
                resent: resent.load(Ordering::Relaxed),
            };
        }
        traffic
    }

    /// Takes the fraction that a report says was lost; whether it was too much for too long.
    fn has_lost_too_much(&mut self, fraction: u8, now: Instant) -> bool {
        if fraction < HEAVY_LOSS {
            self.lossy_since = None;
            return false;
        }
        let since = *self.lossy_since.get_or_insert(now);
        now.saturating_duration_since(since) >= HEAVY_LOSS_TIME && self.lossy_since.take().is_some()
    }
}

/// How to send to the viewer of a session, which knows it by this address; `None` where that stands for a connection that
/// is gone, or another session's.
fn path(tcp: Option<&Tcp>, session: &str, remote: SocketAddr, local: Option<IpAddr>) -> Option<Path> {
    if !whep::is_alias(&remote) {
        return Some(Path::Udp(remote, local));
    }
    tcp?.connection(remote.port(), session).cloned().map(Path::Tcp)
}

/// What a log shows of a session's id, which opens the session to whoever knows it whole.
fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}
