//! Brings a viewer's RTCP out of the WebRTC engine, and reads it.
//!
//! The engine hands on what speaks first of a track that it knows. A browser's report may speak first of a retransmission
//! stream, which is the egress's own and no track of the engine, so what comes is taken before the engine judges it.

use std::collections::VecDeque;
use std::sync::mpsc::Sender;
use std::time::Instant;

use rtc::interceptor::{Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp;
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
