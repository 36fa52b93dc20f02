//! The keys of a JWKS, and what is verified with one of them.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;
use serde_json::Value;

use super::super::token::{Invalid, Purpose, Scope, unreadable};

/// The keys that tokens may be signed with.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
    ignored: usize,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    decoding: DecodingKey,
}

/// Why there is no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// There is none of that name.
    Unknown,
    /// It names none, and there are several.
    Ambiguous,
    /// The key of that name is for something else.
    OtherAlgorithm,
}

/// The document is no JWKS.
#[derive(Debug, thiserror::Error)]
#[error("it is no JWKS, a JSON object with \"keys\": line {line} column {column}")]
pub struct Malformed {
    line: usize,
    column: usize,
}

impl KeySet {
    /// Reads a JWKS. Keys of other kinds and for other purposes are ignored (RFC 7517 section 5), secrets too: who may
    /// read the set could sign with them.
    pub fn parse(text: &[u8], allowed: &[Algorithm]) -> Result<Self, Malformed> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let Document { keys } =
            serde_json::from_slice(text).map_err(|error| Malformed { line: error.line(), column: error.column() })?;
        let all = keys.len();
        let keys: Vec<Key> = keys.into_iter().filter_map(|key| usable(key, allowed)).collect();
        Ok(Self { ignored: all - keys.len(), keys })
    }

    /// Keys that tokens may be signed with.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Keys that are of no use here.
    pub fn ignored(&self) -> usize {
        self.ignored
    }

    /// The key of this name, or the only one for this algorithm.
    pub fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<DecodingKey, Missing> {
        let fitting = |key: &&Key| key.algorithm == algorithm && (id.is_none() || key.id.as_deref() == id);
        let mut found = self.keys.iter().filter(fitting);
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(Missing::Ambiguous),
            (Some(key), None) => Ok(key.decoding.clone()),
            (None, _) if id.is_some() && self.keys.iter().any(|key| key.id.as_deref() == id) => {
                Err(Missing::OtherAlgorithm)
            }
            (None, _) => Err(Missing::Unknown),
        }
    }
}

fn usable(key: Value, allowed: &[Algorithm]) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(key).ok()?;
    let common = &jwk.common;
    let signs = common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    let verifies = common.key_operations.as_ref().is_none_or(|words| words.contains(&KeyOperations::Verify));
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    let is_for = common.key_algorithm.is_none_or(|algorithm| algorithm == named);
    if !(signs && verifies && is_for && allowed.contains(&algorithm)) {
        return None;
    }
    let decoding = DecodingKey::from_jwk(&jwk).ok()?;
    Some(Key { id: jwk.common.key_id, algorithm, decoding })
}

/// What other issuers write, as far as it matters here.
#[derive(Deserialize)]
struct Claims {
    /// What datarhei's tokens are for.
    usefor: Option<Purpose>,
    /// What Keycloak's tokens are.
    typ: Option<String>,
    /// What Cognito's tokens are.
    token_use: Option<String>,
    #[serde(flatten)]
    scope: Scope,
}

/// Reads an access token that is signed with this key.
pub fn verify(token: &str, key: &DecodingKey, validation: &Validation) -> Result<Scope, Invalid> {
    let claims = decode::<Claims>(token, key, validation).map_err(|error| unreadable(&error))?.claims;
    let Claims { usefor, typ, token_use, scope } = claims;
    let is = |word: &str| [&typ, &token_use].into_iter().flatten().any(|written| written.eq_ignore_ascii_case(word));
    if usefor == Some(Purpose::Refresh) || is("refresh") || is("offline") {
        return Err(Invalid::Purpose(Purpose::Refresh));
    }
    if is("id") {
        return Err(Invalid::Foreign("it is an ID token, and no access token"));
    }
    Ok(scope.named())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ALL: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

    fn ed(id: &str) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" })
    }

    fn set(keys: &[Value], allowed: &[Algorithm]) -> KeySet {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes(), allowed).expect("it is one")
    }

    #[test]
    fn a_key_is_found_by_its_name_or_because_it_is_the_only_one() {
        let one = set(&[ed("a")], &ALL);
        assert!(one.find(Some("a"), Algorithm::EdDSA).is_ok() && one.find(None, Algorithm::EdDSA).is_ok());
        assert_eq!(one.find(Some("b"), Algorithm::EdDSA).err(), Some(Missing::Unknown));
        assert_eq!(one.find(Some("a"), Algorithm::RS256).err(), Some(Missing::OtherAlgorithm));
        let two = set(&[ed("a"), ed("b")], &ALL);
        assert!(two.find(Some("b"), Algorithm::EdDSA).is_ok());
        assert_eq!(two.find(None, Algorithm::EdDSA).err(), Some(Missing::Ambiguous));
    }

    #[test]
    fn what_is_no_key_for_tokens_is_ignored_and_the_rest_is_used() {
        let with = |name: &str, value: Value| {
            let mut key = ed("x");
            key[name] = value;
            key
        };
        let strange = [
            json!({ "kty": "oct", "kid": "x", "k": "c2VjcmV0", "alg": "HS256" }),
            json!({ "kty": "future", "kid": "x" }),
            json!({ "kty": "EC", "crv": "P-521", "kid": "x", "x": "AA", "y": "AA" }),
            json!("rubbish"),
            with("use", json!("enc")),
            with("key_ops", json!(["sign"])),
            with("alg", json!("ES256")),
            with("crv", json!("X25519")),
            with("x", json!("*")),
        ];
        let mut keys = strange.to_vec();
        keys.push(ed("good"));
        let set = set(&keys, &ALL);
        assert_eq!((set.len(), set.ignored()), (1, strange.len()));
        assert!(set.find(Some("good"), Algorithm::EdDSA).is_ok());
    }

    #[test]
    fn only_algorithms_that_are_allowed_have_keys() {
        assert_eq!(set(&[ed("a")], &[Algorithm::RS256]).len(), 0);
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in ["", "{", "[]", "{}", r#"{"keys": 1}"#] {
            assert!(KeySet::parse(text.as_bytes(), &ALL).is_err(), "{text}");
        }
    }
}
