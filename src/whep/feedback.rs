//! Brings a viewer's RTCP out of the WebRTC engine, and reads it.
//!
//! The engine hands on what speaks first of a track that it knows. A browser's report may speak first of a retransmission
//! stream, which is the egress's own and no track of the engine, so what comes is taken before the engine judges it.

use std::collections::VecDeque;
use std::sync::mpsc::Sender;
use std::time::Instant;

use rtc::interceptor::{Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp;
use rtc::rtcp::extended_report::{DLRRReport, DLRRReportBlock, ExtendedReport, ReceiverReferenceTimeReportBlock};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

use super::session::Event;

/// Takes every RTCP packet that comes in out of the engine.
pub struct Deliver {
    heard: Sender<Vec<Box<dyn rtcp::Packet>>>,
    read: VecDeque<TaggedPacket>,
    write: VecDeque<TaggedPacket>,
}

impl Deliver {
    /// What comes goes to `heard`.
    pub fn new(heard: Sender<Vec<Box<dyn rtcp::Packet>>>) -> Self {
        Self { heard, read: VecDeque::new(), write: VecDeque::new() }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Deliver {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        match packet.message.packet {
            // A session that is gone hears nothing any more.
            Packet::Rtcp(packets) => drop(self.heard.send(packets)),
            _ => self.read.push_back(packet),
        }
        Ok(())
    }
    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.read.pop_front()
    }
    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        self.write.push_back(packet);
        Ok(())
    }
    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.write.pop_front()
    }
}

impl Interceptor for Deliver {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}

/// When a viewer sent a report, by its own clock (RFC 3611 section 4.4). It learns the round trip when that comes back,
/// and with it how long it has to wait before it asks for a lost packet again.
#[derive(Clone, Copy, Debug)]
pub struct ReferenceTime {
    /// SSRC of the receiver.
    ssrc: u32,
    /// Middle 32 bits of its NTP time.
    time: u32,
    /// When it came.
    at: Instant,
}

impl ReferenceTime {
    /// Reads it out of a packet that came at `now`.
    pub fn read(packet: &dyn rtcp::Packet, now: Instant) -> Option<Self> {
        let report = packet.as_any().downcast_ref::<ExtendedReport>()?;
        let mut blocks = report.reports.iter().map(|block| block.as_any());
        let block = blocks.find_map(|block| block.downcast_ref::<ReceiverReferenceTimeReportBlock>())?;
        Some(Self { ssrc: report.sender_ssrc, time: (block.ntp_timestamp >> 16) as u32, at: now })
    }

    /// Takes the place of an older one of the same receiver in `times`, which keeps the newest ones of two receivers: a
    /// picture's and a sound's.
    pub fn keep(self, times: &mut Vec<Self>) {
        times.retain(|time| time.ssrc != self.ssrc);
        times.truncate(1);
        times.insert(0, self);
    }

    /// What a sender says of them at `now` (RFC 3611 section 4.5); nothing where there are none.
    pub fn report(times: &[Self], ssrc: u32, now: Instant) -> Option<ExtendedReport> {
        let report = |time: &Self| DLRRReport {
            ssrc: time.ssrc,
            last_rr: time.time,
            dlrr: (now.saturating_duration_since(time.at).as_secs_f64() * 65536.0) as u32,
        };
        let reports: Vec<_> = times.iter().map(report).collect();
        let block = || Box::new(DLRRReportBlock { reports }) as Box<dyn rtcp::Packet>;
        (!times.is_empty()).then(|| ExtendedReport { sender_ssrc: ssrc, reports: vec![block()] })
    }
}

/// What a packet of a viewer asks for or tells; `None` where it is nothing that the egress acts on.
pub fn read_feedback(packet: &dyn rtcp::Packet) -> Option<Event> {
    use rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
    use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
    use rtcp::receiver_report::ReceiverReport;
    use rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
    let packet = packet.as_any();
    if let Some(nack) = packet.downcast_ref::<TransportLayerNack>() {
        let sequence_numbers = nack.nacks.iter().flat_map(|pair| pair.packet_list()).collect();
        return Some(Event::Lost { ssrc: nack.media_ssrc, sequence_numbers });
    }
    if let Some(report) = packet.downcast_ref::<ReceiverReport>() {
        return report.reports.iter().map(|report| report.fraction_lost).max().map(Event::FractionLost);
    }
    (packet.is::<PictureLossIndication>() || packet.is::<FullIntraRequest>()).then_some(Event::KeyframeWanted)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn reference(sender_ssrc: u32, ntp_timestamp: u64) -> ExtendedReport {
        ExtendedReport { sender_ssrc, reports: vec![Box::new(ReceiverReferenceTimeReportBlock { ntp_timestamp })] }
    }

    #[test]
    fn a_viewer_learns_when_its_newest_report_of_each_receiver_came() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut times = Vec::new();
        assert!(ReferenceTime::report(&times, 7, start).is_none());
        for (millis, ssrc) in [(0, 1), (0, 2), (1000, 3), (1250, 2)] {
            let report = reference(ssrc, 0x0102_0304_0506_0708 + (u64::from(ssrc) << 16));
            ReferenceTime::read(&report, at(millis)).expect("it holds a time").keep(&mut times);
        }
        let report = ReferenceTime::report(&times, 7, at(1500)).expect("there are times");
        let block = report.reports[0].as_any().downcast_ref::<DLRRReportBlock>().expect("what was asked for");
        let reports: Vec<_> = block.reports.iter().map(|report| (report.ssrc, report.last_rr, report.dlrr)).collect();
        assert_eq!(report.sender_ssrc, 7);
        assert_eq!(reports, [(2, 0x0304_0508, 16_384), (3, 0x0304_0509, 32_768)]);
    }
}
