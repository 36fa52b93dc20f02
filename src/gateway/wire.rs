//! What a gateway and the program that runs FFmpeg say to each other where they are two: one JSON object a line.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::{Announcement, Event, OpenError};
use crate::plan::EgressPorts;
use crate::rtp::Codec;

/// Who does not take a line for so long is gone.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the gateway is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Order {
    /// Open the legs of a stream; the answer has the same number.
    Open {
        /// Of this order.
        number: u64,
        /// The stream.
        stream: String,
        /// Its cap.
        max_viewers: Option<usize>,
    },
    /// Change the cap of a stream.
    Configure {
        /// The stream.
        stream: String,
        /// Its cap.
        max_viewers: Option<usize>,
    },
    /// What FFmpeg will send.
    Expect {
        /// The stream.
        stream: String,
        /// The picture.
        video: Option<Codec>,
        /// The sound.
        audio: Option<Codec>,
    },
    /// Close the legs of a stream.
    Close {
        /// The stream.
        stream: String,
    },
    /// Tell viewers of other addresses.
    Announce(Announcement),
    /// The cap of streams that have none of their own.
    Limit(usize),
    /// Take no new viewers, or take them again.
    Drain(bool),
    /// Tell how everything is.
    Tell,
    /// Something between the two programs.
    Note(Note),
}

/// Something between the two programs that is nothing to the gateway. The newest of a topic is what holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// What it is about.
    pub topic: String,
    /// What it says.
    pub text: Value,
}

/// What the gateway tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Report {
    /// Legs were opened, or why not.
    Opened {
        /// Of the order.
        number: u64,
        /// The legs.
        ports: Result<EgressPorts, OpenError>,
    },
    /// What it tells everybody.
    Event(Event),
}

/// One connection.
pub struct Wire {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl Wire {
    /// Over a connected socket.
    pub fn new(stream: UnixStream) -> Self {
        use tokio::io::AsyncBufReadExt;
        let (reader, writer) = stream.into_split();
        Self { lines: BufReader::new(reader).lines(), writer }
    }

    /// The next thing that is said; `None` at the end. What cannot be read is left out, as by a program of another
    /// version. Nothing is lost where the future is dropped.
    pub async fn hear<T: for<'de> Deserialize<'de>>(&mut self) -> Option<T> {
        loop {
            let line = self.lines.next_line().await.ok().flatten()?;
            match serde_json::from_str(&line) {
                Ok(said) => return Some(said),
                Err(error) => tracing::warn!(%error, "a line of the control socket cannot be read"),
            }
        }
    }

    /// Says something; `false` where nobody takes it.
    pub async fn say(&mut self, said: &impl Serialize) -> bool {
        let mut line = serde_json::to_vec(said).expect("what is said is JSON");
        line.push(b'\n');
        matches!(tokio::time::timeout(PATIENCE, self.writer.write_all(&line)).await, Ok(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_said_is_heard_and_what_is_strange_is_left_out() {
        let (one, other) = UnixStream::pair().expect("a pair of sockets");
        let (mut one, mut other) = (Wire::new(one), Wire::new(other));
        let orders = [
            Order::Open { number: 1, stream: "cam".into(), max_viewers: Some(3) },
            Order::Expect { stream: "cam".into(), video: Some(Codec::H264), audio: None },
            Order::Announce(Announcement { names: Some(Vec::new()), port: Some(30_000) }),
            Order::Drain(true),
            Order::Note(Note { topic: "shown".into(), text: serde_json::json!({"a": "line\nbreak"}) }),
        ];
        assert!(one.say(&serde_json::json!({"Future": 1})).await);
        for order in &orders {
            assert!(one.say(order).await);
        }
        for order in orders {
            assert_eq!(other.hear::<Order>().await, Some(order));
        }
        let ports = Err(OpenError::Occupied("cam".into()));
        let opened = Report::Opened { number: 7, ports };
        assert!(other.say(&opened).await);
        assert_eq!(one.hear::<Report>().await, Some(opened));
        drop(other);
        assert_eq!(one.hear::<Report>().await, None);
    }
}
