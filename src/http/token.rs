//! JSON Web Tokens: minted for a login or offline, and verified on every request (RFC 7519, RFC 8725).
//!
//! The claims are datarhei's (`iss`, `sub`, `usefor`, `iat`, `exp`, `exi`, `jti`). A playback token carries two more:
//! `process`, the ids or patterns that it is good for, and `action`, what it allows there. Without them a token allows
//! everything.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

/// `iss` of every token.
pub const ISSUER: &str = "dragonfork";
/// Life of an access token that a login gives.
pub const ACCESS_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// Life of a refresh token that a login gives.
pub const REFRESH_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// A secret has at least this many octets; whoever has a token can try shorter ones one by one.
pub const MIN_SECRET: usize = 16;

/// Seconds that the clocks of two machines may differ.
pub(super) const LEEWAY: u64 = 60;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Requests.
    Access,
    /// Getting another access token, and nothing else.
    Refresh,
}

/// What somebody wants to do with a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Watch it by WHEP.
    Play,
    /// Send media to it.
    Publish,
    /// See what it is and how it is.
    Read,
    /// Change it.
    Write,
}

impl Action {
    /// The word in the `action` claim.
    pub fn word(self) -> &'static str {
        match self {
            Self::Play => "play",
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// What a token is limited to; by default to nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Ids of processes; `*` stands for any run of characters. Absent: every process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Words>,
    /// Words of [`Action`]. Absent: every action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Words>,
}

/// One word or several, as both are usual in tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Words {
    /// One.
    One(String),
    /// Several, or none.
    Many(Vec<String>),
}

impl Words {
    fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(word) => std::slice::from_ref(word),
            Self::Many(words) => words,
        }
        .iter()
        .map(String::as_str)
    }
}

impl Scope {
    /// Whether this action is allowed on some process.
    pub fn allows(&self, action: Action) -> bool {
        self.action.as_ref().is_none_or(|words| words.iter().any(|word| word == action.word()))
    }

    /// Whether this action is allowed on this process.
    pub fn covers(&self, process: &str, action: Action) -> bool {
        self.allows(action)
            && self.process.as_ref().is_none_or(|words| words.iter().any(|pattern| matches(pattern, process)))
    }

    /// Whether this action is allowed on every process.
    pub fn covers_all(&self, action: Action) -> bool {
        self.allows(action) && self.process.as_ref().is_none_or(|words| words.iter().any(|pattern| pattern == "*"))
    }

    /// The same, with what is absent allowing nothing instead of everything.
    pub fn named(self) -> Self {
        let nothing = || Words::Many(Vec::new());
        Self { process: Some(self.process.unwrap_or_else(nothing)), action: Some(self.action.unwrap_or_else(nothing)) }
    }
}

/// Whether a text matches a pattern in which `*` stands for any run of characters.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((prefix, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(prefix) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let suffix = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match text.find(piece) {
            Some(at) => text = &text[at + piece.len()..],
            None => return false,
        }
    }
    text.ends_with(suffix)
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who made it.
    pub iss: String,
    /// Who has it.
    pub sub: String,
    /// What it is for.
    pub usefor: Purpose,
    /// When it was made, unix seconds.
    #[serde(default)]
    pub iat: u64,
    /// When it ends, unix seconds.
    pub exp: u64,
    /// How long it lives, seconds.
    #[serde(default)]
    pub exi: u64,
    /// Its own id.
    #[serde(default)]
    pub jti: String,
    /// What it is limited to.
    #[serde(flatten)]
    pub scope: Scope,
}

impl Claims {
    fn new(issuer: &str, grant: &Grant<'_>, now: SystemTime) -> Self {
        let Grant { subject, purpose, lifetime, scope } = grant;
        let iat = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let exi = lifetime.as_secs();
        Self {
            iss: issuer.to_owned(),
            sub: (*subject).to_owned(),
            usefor: *purpose,
            iat,
            exp: iat.saturating_add(exi),
            exi,
            jti: uuid::Uuid::new_v4().to_string(),
            scope: scope.clone(),
        }
    }
}

/// What a token is made of.
#[derive(Clone, Debug)]
pub struct Grant<'a> {
    /// Who gets it.
    pub subject: &'a str,
    /// What it is for.
    pub purpose: Purpose,
    /// How long it lives.
    pub lifetime: Duration,
    /// What it is limited to.
    pub scope: Scope,
}

/// Why a secret is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret for tokens has {0} octets; it needs at least {MIN_SECRET} (CORE_API_AUTH_JWT_SECRET)")]
pub struct ShortSecret(usize);

/// Why a token is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It is over.
    #[error("the token has expired")]
    Expired,
    /// It is for something else.
    #[error("this is a token for {}", match .0 { Purpose::Access => "requests, not for refreshing", Purpose::Refresh => "refreshing, not for requests" })]
    Purpose(Purpose),
    /// It is none of this server's.
    #[error("the token is not valid here: {0}")]
    Foreign(&'static str),
}

/// Makes tokens with one secret or key pair, and verifies those.
#[derive(Clone, Debug)]
pub struct Signer {
    header: Header,
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    issuer: String,
    audience: Option<String>,
}

/// An Ed25519 key pair (RFC 8037), and for whom its tokens are.
#[derive(Clone, Copy)]
pub struct KeyPair<'a> {
    /// The private key: PKCS#8, DER.
    pub private: &'a [u8],
    /// The public key, base64url.
    pub public: &'a str,
    /// The name that the public key is found by.
    pub id: &'a str,
    /// `iss` of the tokens.
    pub issuer: &'a str,
    /// `aud` of the tokens.
    pub audience: &'a str,
}

impl Signer {
    /// A signer with this secret (HS256).
    pub fn new(secret: &str) -> Result<Self, ShortSecret> {
        if secret.len() < MIN_SECRET {
            return Err(ShortSecret(secret.len()));
        }
        let mut validation = validation(Algorithm::HS256, ISSUER);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        Ok(Self {
            header: Header::new(Algorithm::HS256),
            encoding: EncodingKey::from_secret(secret.as_bytes()),
            decoding: DecodingKey::from_secret(secret.as_bytes()),
            validation,
            issuer: ISSUER.to_owned(),
            audience: None,
        })
    }

    /// A signer with this key pair, whose tokens are taken by everybody who has the public key. The error is about a key
    /// that is none of Ed25519.
    pub fn of_key(pair: &KeyPair<'_>) -> jsonwebtoken::errors::Result<Self> {
        let KeyPair { private, public, id, issuer, audience } = *pair;
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(id.to_owned());
        let mut validation = validation(Algorithm::EdDSA, issuer);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "iss", "sub", "aud"]);
        let signer = Self {
            header,
            encoding: EncodingKey::from_ed_der(private),
            decoding: DecodingKey::from_ed_components(public)?,
            validation,
            issuer: issuer.to_owned(),
            audience: Some(audience.to_owned()),
        };
        jsonwebtoken::encode(&signer.header, &serde_json::json!({}), &signer.encoding)?;
        Ok(signer)
    }

    /// A scope without limits. Who takes tokens of a key allows only what they name.
    pub fn everything(&self) -> Scope {
        if self.audience.is_none() {
            return Scope::default();
        }
        let actions =
            [Action::Play, Action::Publish, Action::Read, Action::Write].map(|action| action.word().to_owned());
        Scope { process: Some(Words::One("*".into())), action: Some(Words::Many(actions.into())) }
    }

    /// Makes a token.
    pub fn mint(&self, grant: &Grant<'_>, now: SystemTime) -> String {
        /// The claims, and for whom they are.
        #[derive(Serialize)]
        struct Signed<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            aud: Option<&'a str>,
            #[serde(flatten)]
            claims: Claims,
        }
        let claims = Claims::new(&self.issuer, grant, now);
        jsonwebtoken::encode(&self.header, &Signed { aud: self.audience.as_deref(), claims }, &self.encoding)
            .expect("the claims are plain JSON and the key was proven")
    }

    /// Reads a token that has to be for `purpose`.
    pub fn verify(&self, token: &str, purpose: Purpose) -> Result<Claims, Invalid> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation)
            .map_err(|error| match error.kind() {
                ErrorKind::InvalidAlgorithm if self.audience.is_none() => {
                    Invalid::Foreign("its algorithm is not HS256")
                }
                ErrorKind::InvalidAlgorithm => Invalid::Foreign("its algorithm is not EdDSA"),
                _ => unreadable(&error),
            })?
            .claims;
        if claims.usefor == purpose { Ok(claims) } else { Err(Invalid::Purpose(claims.usefor)) }
    }
}

fn validation(algorithm: Algorithm, issuer: &str) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    validation.set_issuer(&[issuer]);
    validation
}

/// What is wrong with a token, in words for who sent it.
pub(super) fn unreadable(error: &jsonwebtoken::errors::Error) -> Invalid {
    match error.kind() {
        ErrorKind::ExpiredSignature => Invalid::Expired,
        ErrorKind::ImmatureSignature => Invalid::Foreign("it is not valid yet"),
        ErrorKind::InvalidSignature => Invalid::Foreign("its signature is of another secret or key"),
        ErrorKind::InvalidAlgorithm => Invalid::Foreign("its algorithm is not taken here"),
        ErrorKind::InvalidIssuer => Invalid::Foreign("it has another issuer"),
        ErrorKind::InvalidAudience => Invalid::Foreign("it is for another audience"),
        ErrorKind::MissingRequiredClaim(_) => Invalid::Foreign("it lacks a claim that is needed: exp, iss, sub or aud"),
        _ => Invalid::Foreign("it cannot be read"),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;

    const SECRET: &str = "a secret of some length";

    fn signer() -> Signer {
        Signer::new(SECRET).expect("it is long enough")
    }

    fn grant(purpose: Purpose, lifetime: u64) -> Grant<'static> {
        Grant { subject: "admin", purpose, lifetime: Duration::from_secs(lifetime), scope: Scope::default() }
    }

    fn scope(process: &[&str], action: &[&str]) -> Scope {
        let words = |words: &[&str]| Some(Words::Many(words.iter().map(|word| (*word).to_owned()).collect()));
        Scope { process: words(process), action: words(action) }
    }

    fn signed(header: &Header, claims: &serde_json::Value) -> String {
        jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(SECRET.as_bytes())).expect("it is JSON")
    }

    fn in_an_hour() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() + 3600
    }

    #[test]
    fn a_minted_token_has_datarheis_claims_and_no_others() {
        let token = signer().mint(&grant(Purpose::Access, 600), SystemTime::now());
        let payload = token.split('.').nth(1).expect("three parts");
        let payload = URL_SAFE_NO_PAD.decode(payload).expect("base64");
        let claims: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&payload).expect("JSON");
        let names: Vec<&str> = claims.keys().map(String::as_str).collect();
        assert_eq!(names, ["iss", "sub", "usefor", "iat", "exp", "exi", "jti"]);
        assert_eq!(
            (&claims["sub"], &claims["usefor"], &claims["exi"]),
            (&json!("admin"), &json!("access"), &json!(600))
        );
        assert_eq!(claims["exp"].as_u64(), claims["iat"].as_u64().map(|iat| iat + 600));
    }

    #[test]
    fn a_token_is_good_for_its_purpose_only() {
        let mint = |purpose| signer().mint(&grant(purpose, 600), SystemTime::now());
        let (access, refresh) = (mint(Purpose::Access), mint(Purpose::Refresh));
        assert_eq!(signer().verify(&access, Purpose::Access).map(|claims| claims.sub), Ok("admin".into()));
        assert_eq!(signer().verify(&refresh, Purpose::Access), Err(Invalid::Purpose(Purpose::Refresh)));
        assert_eq!(signer().verify(&access, Purpose::Refresh), Err(Invalid::Purpose(Purpose::Access)));
    }

    #[test]
    fn a_clock_may_differ_by_a_minute_and_no_more() {
        let minted = |age: u64| {
            let token = signer().mint(&grant(Purpose::Access, 10), SystemTime::now() - Duration::from_secs(age));
            signer().verify(&token, Purpose::Access).map(|_| ())
        };
        assert_eq!(minted(50), Ok(()));
        assert_eq!(minted(100), Err(Invalid::Expired));
    }

    #[test]
    fn a_token_of_another_secret_algorithm_or_issuer_is_foreign() {
        let other = Signer::new("another secret of some length").expect("it is long enough");
        let token = other.mint(&grant(Purpose::Access, 600), SystemTime::now());
        assert!(
            matches!(signer().verify(&token, Purpose::Access), Err(Invalid::Foreign(why)) if why.contains("secret"))
        );

        let good = json!({"iss": ISSUER, "sub": "admin", "usefor": "access", "exp": in_an_hour()});
        assert!(signer().verify(&signed(&Header::new(Algorithm::HS256), &good), Purpose::Access).is_ok());
        let hs512 = signed(&Header::new(Algorithm::HS512), &good);
        assert!(
            matches!(signer().verify(&hs512, Purpose::Access), Err(Invalid::Foreign(why)) if why.contains("HS256"))
        );
        let payload = URL_SAFE_NO_PAD.encode(good.to_string());
        let none = format!("{}.{payload}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#));
        assert!(matches!(signer().verify(&none, Purpose::Access), Err(Invalid::Foreign(_))));

        for (name, value) in [
            ("iss", json!("somebody")),
            ("iss", json!(null)),
            ("exp", json!(null)),
            ("usefor", json!("other")),
            ("aud", json!("elsewhere")),
            ("nbf", json!(in_an_hour())),
        ] {
            let mut bad = good.clone();
            bad[name] = value;
            let token = signed(&Header::new(Algorithm::HS256), &bad);
            assert!(matches!(signer().verify(&token, Purpose::Access), Err(Invalid::Foreign(_))), "{bad}");
        }
        for text in ["", ".", "a.b.c", "Bearer x"] {
            assert!(matches!(signer().verify(text, Purpose::Access), Err(Invalid::Foreign(_))), "{text:?}");
        }
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert_eq!(Signer::new("secret").map(|_| ()), Err(ShortSecret(6)));
    }

    #[test]
    fn a_secret_is_never_shown() {
        assert!(!format!("{:?}", signer()).contains(SECRET));
    }

    #[test]
    fn a_scope_covers_what_it_names() {
        assert!(Scope::default().covers("cam", Action::Write) && Scope::default().covers_all(Action::Read));
        let cameras = scope(&["studio.*", "door"], &["play", "read"]);
        assert!(cameras.covers("studio.cam-1", Action::Play) && cameras.covers("door", Action::Read));
        assert!(!cameras.covers("door", Action::Write) && !cameras.covers("doors", Action::Play));
        assert!(cameras.allows(Action::Read) && !cameras.covers_all(Action::Read));
        let nothing = scope(&[], &[]);
        assert!(!nothing.covers("cam", Action::Play) && !nothing.allows(Action::Play));
    }

    #[test]
    fn what_a_scope_has_to_name_is_nothing_where_it_does_not() {
        assert!(!Scope::default().named().allows(Action::Play));
        let half: Scope = serde_json::from_str(r#"{"action": "play"}"#).expect("it is read");
        assert!(half.covers("cam", Action::Play) && !half.named().covers("cam", Action::Play));
        let all = scope(&["*"], &["read"]).named();
        assert!(all.covers("cam", Action::Read) && all.covers_all(Action::Read) && !all.covers_all(Action::Write));
    }

    #[test]
    fn a_scope_is_one_word_or_several_in_a_token() {
        let one: Scope = serde_json::from_str(r#"{"process": "cam", "action": "play"}"#).expect("it is read");
        let many: Scope = serde_json::from_str(r#"{"process": ["cam"], "action": ["play"]}"#).expect("it is read");
        for scope in [one, many] {
            assert!(scope.covers("cam", Action::Play) && !scope.covers("cam", Action::Read));
            let token = signer().mint(&Grant { scope: scope.clone(), ..grant(Purpose::Access, 60) }, SystemTime::now());
            assert_eq!(signer().verify(&token, Purpose::Access).expect("it is ours").scope, scope);
        }
    }

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        for (pattern, text, expected) in [
            ("*", "anything", true),
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*a", "a", false),
            ("a*ab", "aab", true),
            ("", "a", false),
            ("a", "ab", false),
            ("*b*", "abc", true),
            ("*bb*", "abc", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
