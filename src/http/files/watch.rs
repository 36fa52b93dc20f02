//! Counting who watches by HLS, and the octets that go out to them.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::Method;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};

use super::Watch;
use crate::files::{Kind, Name};
use crate::sessions::{Look, Now, Tally, references};

/// Of a `User-Agent` this much tells players apart.
const MAX_AGENT: usize = 256;

/// A request that counts.
pub struct Watched<'a> {
    watch: &'a Watch,
    look: Look,
    /// The path of the file on this server.
    path: Name,
}

impl<'a> Watched<'a> {
    /// `None` where the client does not count: it asks for a head alone, or its address is ignored or not known.
    pub fn new(watch: &'a Watch, client: Option<IpAddr>, kind: Kind, name: &Name, request: &Parts) -> Option<Self> {
        let address = client?;
        if request.method != Method::GET || watch.ignored.iter().any(|network| network.contains(&address)) {
            return None;
        }
        let agent = request.headers.get(USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        let agent = agent.unwrap_or_default().chars().take(MAX_AGENT).collect();
        let path = Name::parse(&format!("{}{name}", kind.mount().trim_end_matches('/')))?;
        Some(Self { watch, look: Look { address, agent }, path })
    }

    /// The client gets this playlist.
    pub fn playlist(self, text: &str) -> Option<Counted> {
        let mut sessions = self.watch.sessions.lock().expect("nothing panics while it is held");
        sessions.handle_playlist(self.look, &self.path, references(text), now()).map(Counted)
    }

    /// The client gets the file from this octet on.
    pub fn load(self, from: u64) -> Option<Counted> {
        let mut sessions = self.watch.sessions.lock().expect("nothing panics while it is held");
        sessions.handle_load(self.look, &self.path, from, now()).map(Counted)
    }
}

fn now() -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Now { instant: Instant::now(), unix }
}

/// Stands in the extensions of a response whose octets count.
#[derive(Clone)]
pub struct Counted(Arc<Tally>);

/// Counts the octets of responses as they go out, compressed where they are.
pub async fn count(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Counted>() {
        Some(Counted(tally)) => response.map(|body| Body::new(Counting { body, tally })),
        None => response,
    }
}

struct Counting {
    body: Body,
    tally: Arc<Tally>,
}

impl HttpBody for Counting {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(octets) = frame.data_ref()
        {
            self.tally.sent.fetch_add(octets.len() as u64, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
