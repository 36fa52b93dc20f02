//! Which output a TCP connection belongs to.

use std::net::{IpAddr, SocketAddr};

use super::{Io, Plan};

impl Plan {
    /// Whether outputs go to servers over TCP.
    pub fn sends_by_tcp(&self) -> bool {
        self.outputs.iter().any(|output| output.servers().next().is_some())
    }

    /// Names of the outputs that may go to this server over TCP: by its port, and its address where the manifest names
    /// one.
    pub fn outputs_to(&self, peer: SocketAddr) -> Vec<&str> {
        let goes_there = |output: &&Io| output.servers().any(|server| server.is(peer));
        self.outputs.iter().filter(goes_there).map(|output| output.id.as_str()).collect()
    }

    /// Whether words of FFmpeg name a server of an output, and none of an input.
    pub fn names_output(&self, words: &str) -> bool {
        let are_named = |sides: &[Io]| {
            let ways = sides.iter().flat_map(Io::ways);
            ways.into_iter().any(|way| authority(&way).is_some_and(|authority| words.contains(authority)))
        };
        are_named(&self.outputs) && !are_named(&self.inputs)
    }
}

impl Io {
    fn servers(&self) -> impl Iterator<Item = Server> {
        self.ways().into_iter().filter_map(|way| server(&way))
    }
}

/// A server as an address names it.
struct Server {
    host: String,
    port: u16,
}

impl Server {
    fn is(&self, peer: SocketAddr) -> bool {
        let address = self.host.parse::<IpAddr>().ok();
        self.port == peer.port() && address.is_none_or(|address| address == peer.ip())
    }
}

/// Host and port of a URL of any protocol, as they are written.
fn authority(address: &str) -> Option<&str> {
    place(address.split_once("://")?.1).filter(|place| !place.is_empty())
}

/// Host and port behind the scheme, without credentials.
fn place(rest: &str) -> Option<&str> {
    let authority = rest.split(['/', '?', '#']).next()?;
    Some(authority.rsplit_once('@').map_or(authority, |(_, place)| place))
}

/// The server of a URL whose protocol is on top of TCP.
fn server(address: &str) -> Option<Server> {
    let (schemes, rest) = address.split_once("://")?;
    let known = match schemes.rsplit(':').next()?.to_ascii_lowercase().as_str() {
        "rtmp" | "rtmpe" => Some(1935),
        "rtmps" | "rtmpts" | "https" => Some(443),
        "rtmpt" | "rtmpte" | "http" | "icecast" => Some(80),
        "rtsp" => Some(554),
        "rtsps" => Some(322),
        "ftp" => Some(21),
        "sftp" => Some(22),
        "tcp" | "tls" => None,
        _ => return None,
    };
    let place = place(rest)?;
    let (host, port) = match place.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (place, None),
    };
    Some(Server { host: host.trim_matches(['[', ']']).to_owned(), port: port.or(known)? })
}

#[cfg(test)]
mod tests {
    use super::super::tests::plan;

    fn names(address: &str, peer: &str) -> usize {
        let output = format!("- {{id: out, address: \"{address}\"}}");
        let plan = plan(&format!("  input: [{{id: in, address: x}}]\n  output:\n  {output}"));
        plan.outputs_to(peer.parse().expect("an address")).len()
    }

    #[test]
    fn words_of_ffmpeg_are_about_an_output_where_they_name_its_server_alone() {
        let output = "- {id: out, address: \"rtmp://u:p@live.example:1935/app/key\"}";
        let plan = plan(&format!("  input: [{{id: in, address: \"rtsp://cam:554/a\"}}]\n  output:\n  {output}"));
        assert!(plan.names_output("rtmp://live.example:1935/…: Connection refused"));
        assert!(!plan.names_output("rtsp://cam:554/a: Connection refused"));
        assert!(!plan.names_output("Connection refused"));
    }

    #[test]
    fn a_connection_belongs_to_the_outputs_that_go_to_its_port() {
        for (address, peer, expected) in [
            ("rtmp://live.example/app/key", "192.0.2.1:1935", 1),
            ("rtmps://u:p@live.example/app/key", "192.0.2.1:443", 1),
            ("rtmp://192.0.2.1/app/key", "192.0.2.1:1935", 1),
            ("rtmp://192.0.2.1/app/key", "192.0.2.2:1935", 0),
            ("tcp://[2001:db8::1]:9000?timeout=1", "[2001:db8::1]:9000", 1),
            ("tcp://host", "192.0.2.1:1935", 0),
            ("http://host:8080/a:b@c", "192.0.2.1:8080", 1),
            ("srt://192.0.2.1:6000", "192.0.2.1:6000", 0),
            ("film.mp4", "192.0.2.1:80", 0),
        ] {
            assert_eq!(names(address, peer), expected, "{address} {peer}");
        }
    }

    #[test]
    fn each_way_of_a_tee_counts() {
        let plan = plan(
            "  input: [{id: in, address: x}]\n  output:\n  - {id: out, options: [-f, tee], \
             address: '[f=flv]rtmp://a.example/l|[f=mpegts:onfail=ignore]tcp://b.example:7000'}",
        );
        assert!(plan.sends_by_tcp());
        for peer in ["192.0.2.1:1935", "192.0.2.1:7000"] {
            assert_eq!(plan.outputs_to(peer.parse().expect("an address")), ["out"]);
        }
    }
}
