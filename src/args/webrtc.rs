//! The WebRTC gateway, be it in the program that runs FFmpeg or one of its own.

use std::net::SocketAddr;

use clap::{ArgAction, Args};

use super::{Turn, listen_address, viewers};

/// The WebRTC gateway and its WHEP endpoint.
#[derive(Debug, Args)]
pub struct Webrtc {
    /// Address of the one UDP port of all viewers.
    #[arg(long, env = "CORE_WEBRTC_ADDRESS", default_value = ":8189", value_parser = listen_address)]
    pub webrtc_address: SocketAddr,
    /// Seconds until names, or the addresses of this machine, are looked up again for the answers that follow.
    #[arg(long, env = "CORE_WEBRTC_ANNOUNCE_INTERVAL", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400), value_name = "SECONDS")]
    pub webrtc_announce_interval: u64,
    /// Serve viewers by TCP too, on the port of the same number, where their network lets no UDP through.
    #[arg(long, env = "CORE_WEBRTC_TCP", default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    pub webrtc_tcp: bool,
    /// ICE lite: only answer the checks of viewers and begin none; for a machine that every viewer can reach.
    #[arg(long, env = "CORE_WEBRTC_ICE_LITE", default_value_t = false, action = ArgAction::Set, value_name = "BOOL")]
    pub webrtc_ice_lite: bool,
    /// What opens the TURN servers.
    #[command(flatten)]
    pub turn: Turn,
    /// Viewers of all processes together.
    #[arg(long, env = "CORE_WEBRTC_MAX_VIEWERS", default_value_t = 256, value_parser = viewers(), value_name = "N")]
    pub webrtc_max_viewers: u32,
    /// Refuse a PATCH without If-Match (428), which some players send.
    #[arg(long, env = "CORE_WEBRTC_STRICT_ETAG", default_value_t = false, action = ArgAction::Set, value_name = "BOOL")]
    pub webrtc_strict_etag: bool,
    /// Make a counter-offer (406 with an SDP offer of what the stream has) where an offer has none of its codecs.
    #[arg(long, env = "CORE_WEBRTC_COUNTER_OFFER", default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    pub webrtc_counter_offer: bool,
}

/// The clients of HTTP, whoever they are.
#[derive(Debug, Args)]
pub struct Clients {
    /// Comma list of addresses and networks of proxies whose `X-Forwarded-For` is believed.
    #[arg(long, env = "CORE_API_TRUSTED_PROXIES", value_delimiter = ',', value_parser = super::access::network, value_name = "NETWORK,…")]
    pub api_trusted_proxies: Vec<ipnet::IpNet>,
    /// WHEP offers in a row from one client address (one IPv6 /64).
    #[arg(long, env = "CORE_WEBRTC_OFFER_BURST", default_value_t = 300, value_parser = super::access::times(1), value_name = "N")]
    pub webrtc_offer_burst: u32,
    /// WHEP offers in a minute from one client address after that; 0 turns the limit off.
    #[arg(long, env = "CORE_WEBRTC_OFFERS_PER_MINUTE", default_value_t = 1200, value_parser = super::access::times(0), value_name = "N")]
    pub webrtc_offers_per_minute: u32,
}
