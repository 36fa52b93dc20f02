//! One sender with its source and its viewers.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::client::{self, Conduct, Counted, Described, HANDSHAKE, Protection};
use crate::control::{Child, Cores};
use crate::machine;
use crate::parameters::{DRAIN, Shape};
use crate::senders::janus::Janus;
use crate::senders::{self, floor};
use crate::source::{self, Ports, Sent};

/// A sender, ready to be measured.
pub struct Rig {
    sender: Sender,
    source: Option<Child>,
    client: Child,
    streams: usize,
    viewers: usize,
}

enum Sender {
    Gateway(Child),
    Floor(Child),
    Plain(Child),
    Janus(Janus),
}

/// What one repetition gave.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    /// CPU time of the sender.
    pub cpu: Duration,
    /// How long it was.
    pub lasted: Duration,
    /// Packets that all viewers together should have.
    pub expected: u64,
    /// What came in this time.
    pub counted: Counted,
}

impl Slice {
    /// Microseconds of CPU for a packet of a viewer.
    pub fn per_packet(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.counted.packets.max(1) as f64
    }

    /// Packets that did not come.
    pub fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.counted.packets).max(self.counted.missing)
    }

    /// Cores that the sender used.
    pub fn cores(&self) -> f64 {
        self.cpu.as_secs_f64() / self.lasted.as_secs_f64()
    }
}

impl Rig {
    /// Our gateway, with so many streams.
    pub fn gateway(streams: usize, cores: Cores) -> Result<Self> {
        let mut child = Child::start("gateway", cores)?;
        let legs: Vec<Ports> = child.ask(&senders::Order::Open(streams))?;
        Self::fed(Sender::Gateway(child), legs, rest(cores))
    }

    /// The floor.
    pub fn floor() -> Result<Self> {
        let sender = Sender::Floor(Child::start("floor", Cores::All)?);
        Ok(Self { sender, source: None, client: Child::start("client", Cores::All)?, streams: 1, viewers: 0 })
    }

    /// Plain `webrtc`.
    pub fn plain() -> Result<Self> {
        let mut child = Child::start("plain", Cores::All)?;
        let legs: Vec<Ports> = child.ask(&senders::Order::Open(1))?;
        Self::fed(Sender::Plain(child), legs, Cores::All)
    }

    /// Janus; the error says what is missing.
    pub fn janus() -> Result<Self> {
        let janus = Janus::start()?;
        let legs = vec![janus.ports()];
        Self::fed(Sender::Janus(janus), legs, Cores::All)
    }

    fn fed(sender: Sender, legs: Vec<Ports>, cores: Cores) -> Result<Self> {
        let mut source = Child::start("source", cores)?;
        let streams = legs.len();
        source.ask::<()>(&source::Order::Legs(legs))?;
        Ok(Self { sender, source: Some(source), client: Child::start("client", cores)?, streams, viewers: 0 })
    }

    /// Connects viewers until there are so many, spread over the streams.
    pub fn grow(&mut self, to: usize, protection: Protection) -> Result<()> {
        if let Some(source) = &mut self.source {
            source.ask::<()>(&source::Order::Hum)?;
        }
        for viewer in self.viewers..to {
            self.connect(viewer % self.streams, protection)?;
        }
        self.viewers = self.viewers.max(to);
        let deadline = Instant::now() + HANDSHAKE;
        loop {
            let counted = self.count()?;
            if counted.connected == self.viewers {
                break;
            }
            ensure!(counted.failed == 0, "{} of {} viewers failed", counted.failed, self.viewers);
            let late = Instant::now() > deadline;
            ensure!(!late, "only {} of {} viewers connected", counted.connected, self.viewers);
            std::thread::sleep(Duration::from_millis(20));
        }
        if let Some(source) = &mut self.source {
            source.ask::<()>(&source::Order::Quiet)?;
        }
        Ok(())
    }

    fn connect(&mut self, stream: usize, protection: Protection) -> Result<()> {
        let client = &mut self.client;
        match &mut self.sender {
            Sender::Gateway(child) | Sender::Plain(child) => {
                let Described { viewer, sdp } = client.ask(&client::Order::Offer(protection))?;
                let sdp = child.ask(&senders::Order::Offer { stream, sdp })?;
                client.ask(&client::Order::Accept { viewer, sdp })
            }
            Sender::Janus(janus) => {
                let (handle, offer) = janus.watch()?;
                let described: Described = client.ask(&client::Order::Answer(offer))?;
                janus.answer(handle, &described.sdp)
            }
            Sender::Floor(child) => {
                let ports: Vec<u16> = client.ask(&client::Order::Sinks(1))?;
                child.ask(&floor::Order::Destinations(ports))
            }
        }
    }

    /// Sends for a while and says what that cost.
    pub fn measure(&mut self, shape: &Shape, duration: Duration) -> Result<Slice> {
        let before = self.count()?;
        let (begin, cpu) = (Instant::now(), self.cpu()?);
        let sent = self.send(shape, duration)?;
        std::thread::sleep(DRAIN);
        let (lasted, cpu) = (begin.elapsed(), self.cpu()?.saturating_sub(cpu));
        let after = self.count()?;
        ensure!(after.failed == 0, "{} of {} viewers were lost", after.failed, self.viewers);
        let expected = (0..self.viewers).map(|viewer| sent[viewer % self.streams]).sum();
        let counted = Counted {
            packets: after.packets - before.packets,
            missing: after.missing - before.missing,
            dropped: after.dropped - before.dropped,
            opened: after.opened - before.opened,
            torn: after.torn - before.torn,
            ..after
        };
        Ok(Slice { cpu, lasted, expected, counted })
    }

    fn send(&mut self, shape: &Shape, duration: Duration) -> Result<Sent> {
        let (shape, milliseconds) = (*shape, duration.as_millis() as u64);
        match (&mut self.source, &mut self.sender) {
            (Some(source), _) => source.ask(&source::Order::Run { shape, milliseconds }),
            (None, Sender::Floor(child)) => child.ask(&floor::Order::Run { shape, milliseconds }),
            (None, _) => bail!("only the floor makes its own media"),
        }
    }

    /// What has come so far.
    pub fn count(&mut self) -> Result<Counted> {
        self.client.ask(&client::Order::Count)
    }

    fn process(&self) -> u32 {
        match &self.sender {
            Sender::Gateway(child) | Sender::Floor(child) | Sender::Plain(child) => child.id(),
            Sender::Janus(janus) => janus.id(),
        }
    }

    fn cpu(&self) -> Result<Duration> {
        machine::cpu(self.process())
    }

    /// Octets that the sender has resident.
    pub fn resident(&self) -> Result<u64> {
        machine::resident(self.process())
    }

    /// Opens every packet of every viewer from now on.
    pub fn open_all(&mut self) -> Result<()> {
        self.client.ask(&client::Order::OpenAll)
    }

    /// Viewers take runs unsplit from now on.
    pub fn take_runs(&mut self) -> Result<()> {
        self.client.ask(&client::Order::TakeRuns)
    }

    /// Viewers send no receiver reports from now on.
    pub fn no_reports(&mut self) -> Result<()> {
        self.client.ask(&client::Order::NoReports)
    }

    /// Looks at delays from now on.
    pub fn watch_delays(&mut self) -> Result<()> {
        self.client.ask(&client::Order::Delays)
    }

    /// What the first viewer does from now on.
    pub fn first_viewer(&mut self, conduct: Conduct) -> Result<()> {
        self.client.ask(&client::Order::First(conduct))
    }

    /// The delays since the last time, in microseconds.
    pub fn take_delays(&mut self) -> Result<Vec<u32>> {
        self.client.ask(&client::Order::TakeDelays)
    }

    /// Counts the gateway's allocations from now on.
    pub fn count_allocations(&mut self) -> Result<()> {
        self.gateway_child()?.ask(&senders::Order::CountAllocations)
    }

    /// The gateway's allocations so far, for each thread by name.
    pub fn allocations(&mut self) -> Result<Vec<(String, u64)>> {
        self.gateway_child()?.ask(&senders::Order::Allocations)
    }

    fn gateway_child(&mut self) -> Result<&mut Child> {
        match &mut self.sender {
            Sender::Gateway(child) => Ok(child),
            _ => bail!("allocations are counted in the gateway alone"),
        }
    }
}

/// Where everything else runs while a sender has its cores.
fn rest(sender: Cores) -> Cores {
    match sender {
        Cores::First => Cores::Others,
        cores => cores,
    }
}
