//! The document of a JWKS, from a file or by HTTP.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::header::{ACCEPT, CACHE_CONTROL};
use axum::http::uri::Scheme;
use axum::http::{HeaderMap, Request, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::io::AsyncReadExt;

/// Octets of a JWKS at most.
const MAX_SIZE: usize = 256 * 1024;
/// Connection, request and answer together take no longer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where the keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In a file.
    File(PathBuf),
    /// At an `http:` or `https:` URL.
    Url(Uri),
}

/// What was read.
pub struct Document {
    /// The text.
    pub text: Vec<u8>,
    /// How long it may be kept, where the server says so.
    pub max_age: Option<Duration>,
}

/// No server can be known.
#[derive(Debug, thiserror::Error)]
#[error(
    "no root certificates are found for the JWKS at an https: URL; install ca-certificates or set SSL_CERT_FILE: {0}"
)]
pub struct NoRoots(#[from] io::Error);

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    File(#[from] io::Error),
    /// The server cannot be asked, or says too much.
    #[error("the server cannot be asked: {0}")]
    Http(String),
    /// The server has no keys.
    #[error("the server answers {0}; 200 is needed, and redirects are not followed")]
    Status(StatusCode),
    /// The server is slow.
    #[error("the server does not answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    /// There is too much.
    #[error("it has more than {MAX_SIZE} octets")]
    TooLarge,
}

type Https = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// Reads from one source. Shown, it is the source without the query of a URL.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the program has one")]
pub enum Reader {
    /// A file.
    File(PathBuf),
    /// A URL.
    Url(Uri, Https),
}

impl Reader {
    /// A reader of this source.
    pub fn new(source: Source) -> Result<Self, NoRoots> {
        match source {
            Source::File(path) => Ok(Self::File(path)),
            Source::Url(url) => {
                let client = client(&url)?;
                Ok(Self::Url(url, client))
            }
        }
    }

    /// Whether it reads a file.
    pub fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Reads the document as it is now.
    pub async fn read(&self) -> Result<Document, ReadError> {
        match self {
            Self::File(path) => {
                let mut text = Vec::new();
                let file = tokio::fs::File::open(path).await?;
                file.take(MAX_SIZE as u64 + 1).read_to_end(&mut text).await?;
                if text.len() > MAX_SIZE { Err(ReadError::TooLarge) } else { Ok(Document { text, max_age: None }) }
            }
            Self::Url(url, client) => {
                tokio::time::timeout(TIMEOUT, fetch(client, url)).await.unwrap_or(Err(ReadError::Timeout))
            }
        }
    }
}

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Url(url, _) => {
                let (scheme, host) =
                    (url.scheme_str().unwrap_or_default(), url.authority().map_or("", |at| at.as_str()));
                write!(f, "{scheme}://{host}{}", url.path())
            }
        }
    }
}

fn client(url: &Uri) -> Result<Https, NoRoots> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let connector = HttpsConnectorBuilder::new();
    let connector = if url.scheme() == Some(&Scheme::HTTPS) {
        connector.with_provider_and_native_roots(provider)?.https_only()
    } else {
        // Nobody is trusted, since no connection is encrypted.
        let tls = rustls::ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .expect("the provider has ciphers for every version of TLS")
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        connector.with_tls_config(tls).https_or_http()
    };
    // It asks about once an hour, so no connection is worth keeping.
    Ok(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector.enable_http1().build()))
}

async fn fetch(client: &Https, url: &Uri) -> Result<Document, ReadError> {
    let request = Request::get(url.clone())
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .body(Empty::new())
        .expect("the URL and the header are well-formed");
    let response = client.request(request).await.map_err(|error| ReadError::Http(chain(&error)))?;
    if response.status() != StatusCode::OK {
        return Err(ReadError::Status(response.status()));
    }
    let max_age = max_age(response.headers());
    let body = Limited::new(response.into_body(), MAX_SIZE).collect().await.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            ReadError::TooLarge
        } else {
            ReadError::Http(chain(&*error))
        }
    })?;
    Ok(Document { text: body.to_bytes().into(), max_age })
}

/// An error with its causes, which say what really is wrong.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// How long an answer may be kept (RFC 9111 section 5.2.2).
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    let mut age = None;
    for directive in lines.flat_map(|line| line.split(',')).map(|directive| directive.trim().to_ascii_lowercase()) {
        if directive == "no-store" || directive == "no-cache" {
            return Some(Duration::ZERO);
        }
        let seconds = directive.strip_prefix("max-age=").and_then(|seconds| seconds.trim_matches('"').parse().ok());
        age = age.or(seconds.map(Duration::from_secs));
    }
    age
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_how_long_it_may_be_kept() {
        let age = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, text.parse().expect("a header"));
            max_age(&headers).map(|age| age.as_secs())
        };
        assert_eq!(age("public, max-age=600, must-revalidate"), Some(600));
        assert_eq!(age("Max-Age=\"60\""), Some(60));
        assert_eq!(age("max-age=600, no-cache"), Some(0));
        assert_eq!(age("no-store"), Some(0));
        assert_eq!(age("public"), None);
        assert_eq!(age("max-age=soon"), None);
    }

    #[test]
    fn a_source_is_shown_without_its_query() {
        let url = Source::Url("http://127.0.0.1:1/keys?key=hidden".parse().expect("a URL"));
        assert_eq!(Reader::new(url).expect("it needs no roots").to_string(), "http://127.0.0.1:1/keys");
    }
}
