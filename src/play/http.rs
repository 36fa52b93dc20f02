//! The HTTP side of WHEP: POST an offer, DELETE the session.

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;

use super::{Failure, Phase, Settings};

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of an answer that is no problem document is shown.
const SHOWN: usize = 300;

/// A WHEP endpoint whose name was resolved.
#[derive(Clone)]
pub struct Endpoint {
    url: Url,
    token: Option<String>,
    client: reqwest::Client,
    /// Addresses of its host.
    pub addresses: Vec<IpAddr>,
}

/// A session that was opened.
pub struct Session {
    location: Url,
    /// The SDP answer.
    pub answer: String,
}

/// The part of a problem document (RFC 9457) that is shown.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    reason: Option<String>,
    detail: Option<String>,
    title: Option<String>,
    message: Option<String>,
}

impl Endpoint {
    /// Reads the URL and resolves its host.
    pub async fn find(settings: &Settings) -> Result<Self, Failure> {
        let at_name = |message: String| Failure::new(Phase::Name, message);
        let url = Url::parse(&settings.url).map_err(|error| at_name(format!("the URL cannot be read: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(at_name(format!("the URL begins with {}:, not with http: or https:", url.scheme())));
        }
        let (host, port) = url.host_str().zip(url.port_or_known_default()).expect("http URLs have both");
        let found = tokio::net::lookup_host((host.trim_matches(['[', ']']), port)).await;
        let found = found.map_err(|error| at_name(format!("the host {host:?} cannot be resolved: {error}")))?;
        let addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build();
        let client = client.map_err(|error| Failure::new(Phase::Http, format!("no HTTP client: {}", chain(&error))))?;
        Ok(Self { url, token: settings.token.clone(), client, addresses })
    }

    /// POSTs an offer.
    pub async fn open(&self, offer: String) -> Result<Session, Failure> {
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/sdp").body(offer);
        let sent = self.authorized(request).send().await;
        let response = sent.map_err(|error| {
            let what = if error.is_connect() { "no connection to the server" } else { "no answer from the server" };
            Failure::new(Phase::Http, format!("{what}: {}", chain(&error.without_url())))
        })?;
        let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let location = location.and_then(|location| response.url().join(location).ok());
        if let Some(location) = location.clone().filter(|_| is_counter_offer(&response)) {
            return Err(self.decline(location, response).await);
        }
        if response.status() != StatusCode::CREATED {
            return Err(refusal(response).await);
        }
        let location =
            location.ok_or_else(|| Failure::new(Phase::Http, "the server answered 201 without a Location"))?;
        let answer = response.text().await;
        let answer = answer.map_err(|error| Failure::new(Phase::Http, format!("the answer broke off: {error}")))?;
        Ok(Session { location, answer })
    }

    /// Gives back the place that a counter-offer holds: what this player knows was in its own offer.
    async fn decline(&self, location: Url, response: Response) -> Failure {
        let status = response.status().as_u16();
        let offer = response.text().await.unwrap_or_default();
        // It ends by itself where this fails.
        let _ = self.close(&Session { location, answer: String::new() }).await;
        Failure::refused(status, None, &format!("the stream has {}", codecs(&offer).join(" and ")))
    }

    /// DELETEs a session; the status of the answer, where one came.
    pub async fn close(&self, session: &Session) -> Option<u16> {
        let request = self.client.delete(session.location.clone());
        self.authorized(request).send().await.ok().map(|response| response.status().as_u16())
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

/// Whether the server offers what the stream has, instead of an answer (draft-ietf-wish-whep).
fn is_counter_offer(response: &Response) -> bool {
    let media = response.headers().get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    response.status() == StatusCode::NOT_ACCEPTABLE && media.eq_ignore_ascii_case("application/sdp")
}

/// The first codec of each media description, with its parameters.
fn codecs(offer: &str) -> Vec<String> {
    let of_part = |part: &str| {
        let format = part.lines().next()?.split(' ').nth(3)?.to_owned();
        let value = |key: &str| {
            let line = part.lines().find_map(|line| line.strip_prefix(&format!("a={key}:{format} ")));
            line.map(|value| value.trim().to_owned())
        };
        let map = value("rtpmap")?;
        let name = map.split('/').next()?.to_owned();
        Some(value("fmtp").map_or_else(|| name.clone(), |parameters| format!("{name} ({parameters})")))
    };
    offer.split("\nm=").skip(1).filter_map(of_part).collect()
}

async fn refusal(response: Response) -> Failure {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap_or_default();
    match serde_json::from_str::<Problem>(&text) {
        Ok(Problem { reason, detail, title, message }) => {
            Failure::refused(status, reason, &detail.or(message).or(title).unwrap_or_default())
        }
        Err(_) => Failure::refused(status, None, &text.chars().take(SHOWN).collect::<String>()),
    }
}

/// An error with its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codecs_of_an_offer_are_its_first_ones_with_their_parameters() {
        let offer = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=rtpmap:96 H265/90000\r\na=fmtp:96 profile-id=2\r\n\
                     a=rtpmap:97 rtx/90000\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\n";
        assert_eq!(codecs(offer), ["H265 (profile-id=2)", "opus"]);
        assert!(codecs("hello").is_empty());
    }
}
