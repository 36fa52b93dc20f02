//! A gateway and its WHEP endpoint, from the configuration.

use std::time::Duration;

use crate::args;
use crate::gateway;
use crate::http;

/// The gateway that is wanted, with every address of this machine; with fixed ports for the legs where they are given.
pub fn of_args(config: &args::Webrtc, max_viewers_per_stream: u32, leg_port: Option<u16>) -> gateway::Config {
    gateway::Config {
        bind: config.webrtc_address,
        announce: Vec::new(),
        leg_port,
        announce_interval: Duration::from_secs(config.webrtc_announce_interval),
        ice_lite: config.webrtc_ice_lite,
        tcp: config.webrtc_tcp,
        max_viewers: config.webrtc_max_viewers as usize,
        max_viewers_per_stream: max_viewers_per_stream as usize,
    }
}

/// How often a client may offer.
pub fn offers(config: &args::Clients) -> http::Limit {
    http::Limit { burst: config.webrtc_offer_burst, per_minute: config.webrtc_offers_per_minute }
}
