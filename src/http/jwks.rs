//! Tokens of another issuer: its public keys, a JWKS (RFC 7517), are read from a file or a URL and kept up to date.
//!
//! A [`Keeper`] reads the keys again when they are due, and at once when a token names a key that is not known, though
//! never more often than [`MIN_INTERVAL`]. Where they cannot be read, the last ones stay. [`Jwks`] verifies with what
//! the keeper has.

mod keys;
mod read;

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, Validation, decode_header};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use self::keys::{KeySet, Missing};
use self::read::{Document, Reader};
use super::token::{Invalid, LEEWAY, Scope, unreadable};

pub use self::keys::Malformed;
pub use self::read::{NoRoots, Source};

/// A key that is not known makes the keys read again, once in this time.
const MIN_INTERVAL: Duration = Duration::from_secs(5);
/// Keys that could not be read are asked for again after this.
const RETRY: Duration = Duration::from_secs(30);
/// Keys at a URL are read again after the time that the answer says, within these bounds, else after the upper one.
const FRESH: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(60 * 60));
/// A file is read again this often.
const FILE_INTERVAL: Duration = Duration::from_secs(2);
/// A request waits this long for keys that are being read.
const PATIENCE: Duration = Duration::from_secs(6);
/// Requests that wait for keys; more are refused at once.
const MAX_WAITING: usize = 64;

/// Whose tokens are taken, and how they have to be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the keys are.
    pub source: Source,
    /// What may stand in `iss`.
    pub issuers: Vec<String>,
    /// What may stand in `aud`.
    pub audiences: Vec<String>,
    /// What tokens may be signed with, of RS256, ES256 and EdDSA.
    pub algorithms: Vec<Algorithm>,
}

/// Verifies tokens of the other issuer.
#[derive(Clone, Debug)]
pub struct Jwks {
    algorithms: Arc<[Algorithm]>,
    validation: Arc<Validation>,
    keys: watch::Receiver<Option<Arc<KeySet>>>,
    ask: mpsc::Sender<oneshot::Sender<()>>,
}

/// Reads the keys for a [`Jwks`], for as long as it runs.
#[derive(Debug)]
pub struct Keeper {
    reader: Reader,
    algorithms: Arc<[Algorithm]>,
    keys: watch::Sender<Option<Arc<KeySet>>>,
    asked: mpsc::Receiver<oneshot::Sender<()>>,
    last: Vec<u8>,
    complaint: String,
}

impl Jwks {
    /// The two halves. The error is about an `https:` URL on a machine that trusts nobody.
    pub fn new(settings: Settings) -> Result<(Self, Keeper), NoRoots> {
        let Settings { source, issuers, audiences, algorithms } = settings;
        let validation = validation(&issuers, &audiences);
        let algorithms: Arc<[Algorithm]> = algorithms.into();
        let (keys, shown) = watch::channel(None);
        let (ask, asked) = mpsc::channel(MAX_WAITING);
        let reader = Reader::new(source)?;
        let keeper =
            Keeper { reader, algorithms: algorithms.clone(), keys, asked, last: Vec::new(), complaint: String::new() };
        Ok((Self { algorithms, validation: Arc::new(validation), keys: shown, ask }, keeper))
    }

    /// With the keys of this text, which nobody reads again.
    pub fn fixed(
        text: &str,
        issuers: &[String],
        audiences: &[String],
        algorithms: &[Algorithm],
    ) -> Result<Self, Malformed> {
        let keys = KeySet::parse(text.as_bytes(), algorithms)?;
        let (_, keys) = watch::channel(Some(Arc::new(keys)));
        // Nobody takes questions at the other end, so none is waited for.
        let (ask, _) = mpsc::channel(1);
        Ok(Self { algorithms: algorithms.into(), validation: Arc::new(validation(issuers, audiences)), keys, ask })
    }

    /// Whether a token says that it is signed as those of the other issuer are.
    pub fn is_for(&self, token: &str) -> bool {
        decode_header(token).is_ok_and(|header| self.algorithms.contains(&header.alg))
    }

    /// Reads an access token. Other than one of this server's own, it allows nothing that it does not name.
    pub async fn verify(&self, token: &str) -> Result<Scope, Invalid> {
        let header = decode_header(token).map_err(|error| unreadable(&error))?;
        if !self.algorithms.contains(&header.alg) {
            return Err(Invalid::Foreign("its algorithm is not taken here"));
        }
        let find = |keys: &Option<Arc<KeySet>>| match keys {
            Some(keys) => keys.find(header.kid.as_deref(), header.alg),
            None => Err(Missing::Unknown),
        };
        let mut found = find(&self.keys.borrow());
        if matches!(found, Err(Missing::Unknown)) {
            self.renew().await;
            found = find(&self.keys.borrow());
        }
        let has_keys = self.keys.borrow().is_some();
        let key = found.map_err(|missing| match missing {
            Missing::Unknown if !has_keys => Invalid::Foreign("the keys of its issuer cannot be read at the moment"),
            Missing::Unknown => Invalid::Foreign("its key is none of its issuer's"),
            Missing::Ambiguous => Invalid::Foreign("it does not say which of several keys it is signed with (kid)"),
            Missing::OtherAlgorithm => Invalid::Foreign("its algorithm is not that of its key"),
        })?;
        let mut validation = Validation::clone(&self.validation);
        validation.algorithms = vec![header.alg];
        keys::verify(token, &key, &validation)
    }

    /// Waits until the keys were read again, or need not be.
    async fn renew(&self) {
        let (done, renewed) = oneshot::channel();
        if self.ask.try_send(done).is_ok() {
            // The keeper drops its end when it is done.
            let _ = tokio::time::timeout(PATIENCE, renewed).await;
        }
    }
}

fn validation(issuers: &[String], audiences: &[String]) -> Validation {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    validation.set_issuer(issuers);
    validation.set_audience(audiences);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation
}

impl Keeper {
    /// Never ends.
    pub async fn run(mut self) {
        let mut waiting = Vec::new();
        loop {
            let due = self.renew().await;
            waiting.clear();
            let read_at = Instant::now();
            loop {
                tokio::select! {
                    () = tokio::time::sleep_until(read_at + due) => break,
                    Some(asked) = self.asked.recv() => {
                        if read_at.elapsed() >= MIN_INTERVAL.min(due) {
                            waiting.push(asked);
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Reads the keys, and says in how long they are due again.
    async fn renew(&mut self) -> Duration {
        let is_file = self.reader.is_file();
        let taken = match self.reader.read().await {
            Ok(Document { text, max_age }) => self.take(text).map(|()| max_age).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let due = match taken {
            Ok(max_age) => {
                self.complaint.clear();
                max_age.unwrap_or(FRESH.1).clamp(FRESH.0, FRESH.1)
            }
            Err(complaint) => {
                self.complain(complaint);
                RETRY
            }
        };
        if is_file { FILE_INTERVAL } else { due }
    }

    fn take(&mut self, text: Vec<u8>) -> Result<(), Malformed> {
        if text == self.last && self.complaint.is_empty() {
            return Ok(());
        }
        let keys = KeySet::parse(&text, &self.algorithms)?;
        let (usable, ignored) = (keys.len(), keys.ignored());
        if usable == 0 {
            tracing::warn!(jwks = %self.reader, ignored, "the JWKS has no usable key: its tokens are refused");
        } else {
            tracing::info!(jwks = %self.reader, usable, ignored, "the keys of the JWKS were read");
        }
        self.keys.send_replace(Some(Arc::new(keys)));
        self.last = text;
        Ok(())
    }

    /// Says once what is wrong, not each time that it is tried again.
    fn complain(&mut self, complaint: String) {
        if self.complaint != complaint {
            let kept = self.keys.borrow().as_ref().map_or(0, |keys| keys.len());
            tracing::warn!(jwks = %self.reader, error = complaint, kept, "the JWKS cannot be read; the last keys stay");
            self.complaint = complaint;
        }
    }
}
