//! The fixed header of an RTP packet, read in place (RFC 3550 section 5.1).

/// A datagram read as an RTP packet; payload without header extension and padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketView<'a> {
    /// Marker bit: the last packet of a video frame.
    pub marker: bool,
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence_number: u16,
    /// Media time in the codec's clock rate.
    pub timestamp: u32,
    /// Synchronization source.
    pub ssrc: u32,
    /// The payload.
    pub payload: &'a [u8],
}

/// Whether a datagram that shares its port with RTP is RTCP: its second octet is 192 to 223 (RFC 5761 section 4).
pub fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram.get(1), Some(192..=223))
}

impl<'a> PacketView<'a> {
    /// Reads a datagram; `None` where it is no RTP packet.
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        if datagram.len() < 12 || datagram[0] >> 6 != 2 || is_rtcp(datagram) {
            return None;
        }
        let mut start = 12 + 4 * usize::from(datagram[0] & 0x0f);
        if datagram[0] & 0x10 != 0 {
            let words = datagram.get(start + 2..start + 4)?;
            start += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
        }
        let padding = if datagram[0] & 0x20 != 0 { usize::from(*datagram.last()?) } else { 0 };
        let end = datagram.len().checked_sub(padding)?;
        Some(Self {
            marker: datagram[1] & 0x80 != 0,
            payload_type: datagram[1] & 0x7f,
            sequence_number: u16::from_be_bytes([datagram[2], datagram[3]]),
            timestamp: u32::from_be_bytes([datagram[4], datagram[5], datagram[6], datagram[7]]),
            ssrc: u32::from_be_bytes([datagram[8], datagram[9], datagram[10], datagram[11]]),
            payload: datagram.get(start..end)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(first: u8, rest: &[u8]) -> Vec<u8> {
        let mut datagram = vec![first, 0x80 | 102, 0x12, 0x34, 0, 0, 0, 9, 0, 0, 0, 7];
        datagram.extend_from_slice(rest);
        datagram
    }

    #[test]
    fn a_plain_packet_is_read() {
        let datagram = packet(0x80, b"abc");
        let view = PacketView::parse(&datagram).expect("it is RTP");
        assert_eq!(
            view,
            PacketView {
                marker: true,
                payload_type: 102,
                sequence_number: 0x1234,
                timestamp: 9,
                ssrc: 7,
                payload: b"abc"
            }
        );
    }

    #[test]
    fn contributing_sources_extension_and_padding_are_skipped() {
        let datagram = packet(0xb1, b"\0\0\0\x01\xbe\xde\0\x01ext.abc\0\0\x03");
        assert_eq!(PacketView::parse(&datagram).expect("it is RTP").payload, b"abc");
    }

    #[test]
    fn rtcp_and_torn_packets_are_refused() {
        assert!(PacketView::parse(&[0x80, 200, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0]).is_none());
        assert!(PacketView::parse(&packet(0x80, b"")[..11]).is_none());
        assert!(PacketView::parse(&packet(0x90, b"\xbe\xde\0\x05")).is_none(), "an extension longer than the packet");
        assert!(PacketView::parse(&packet(0xa0, b"abc\xff")).is_none(), "padding longer than the packet");
        assert!(PacketView::parse(&packet(0x40, b"abc")).is_none(), "version 1");
    }
}
