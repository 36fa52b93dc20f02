//! The key pair that the operator signs tokens with: from a file, else made at the first start and remembered.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use crate::http::token::{Grant, ISSUER, KeyPair, Purpose, Scope, Signer, Words};
use crate::source::{self, Place};

/// Name of the file within the directory of what the program must remember.
const FILE: &str = "signing-key.pem";
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
/// `aud` of the tokens: whoever runs processes of the cluster.
pub const AUDIENCE: &str = "dragonfork-worker";
/// How long a token for a worker is good.
const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// The key pair.
pub struct Keys {
    /// PKCS#8, DER.
    private: Vec<u8>,
    /// Its name: the thumbprint of the public key (RFC 7638).
    id: String,
    public: String,
}

impl Keys {
    /// Reads the key pair from this file; without one from the directory, where it is made at the first start.
    pub fn load(file: Option<&Path>, directory: &Path) -> anyhow::Result<Self> {
        if let Some(file) = file {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("{} cannot be read (CORE_OPERATOR_SIGNING_KEY)", file.display()))?;
            return Self::parse(&text).with_context(|| format!("{} (CORE_OPERATOR_SIGNING_KEY)", file.display()));
        }
        let path = directory.join(FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).with_context(|| {
                format!("{} is damaged: mend it, or remove it to have a new one made", path.display())
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let text = make()?;
                source::place(directory, FILE, text.as_bytes(), Place::Any)
                    .with_context(|| format!("{} cannot be written (CORE_DB_DIR)", path.display()))?;
                Self::parse(&text)
            }
            Err(error) => Err(error).with_context(|| format!("{} cannot be read (CORE_DB_DIR)", path.display())),
        }
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let body = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(body, _)| body);
        let body = body.context("it is no PEM with a PRIVATE KEY: make one with openssl genpkey -algorithm ED25519")?;
        let body: String = body.split_whitespace().collect();
        let private = STANDARD.decode(body).context("its base64 is damaged")?;
        let pair = Ed25519KeyPair::from_pkcs8(&private)
            .map_err(|error| anyhow::anyhow!("it is no Ed25519 key in PKCS#8 form ({error})"))?;
        let public = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let thumbprint = digest(&SHA256, format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{public}"}}"#).as_bytes());
        Ok(Self { private, id: URL_SAFE_NO_PAD.encode(thumbprint), public })
    }

    /// The public key, as a JWKS (RFC 7517, RFC 8037).
    pub fn jwks(&self) -> String {
        let key =
            json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.id, "x": self.public});
        json!({ "keys": [key] }).to_string()
    }

    /// What makes and verifies tokens with it.
    pub fn signer(&self) -> Signer {
        let Self { private, id, public } = self;
        Signer::of_key(&KeyPair { private, public, id, issuer: ISSUER, audience: AUDIENCE })
            .expect("the key was one of Ed25519 when it was read")
    }

    /// What makes tokens that open the worker of one process.
    pub fn mint(&self) -> Arc<dyn Fn(&str) -> String + Send + Sync> {
        let signer = self.signer();
        Arc::new(move |process| {
            let actions = ["read", "play", "write"].map(str::to_owned).to_vec();
            let scope = Scope { process: Some(Words::One(process.to_owned())), action: Some(Words::Many(actions)) };
            let grant = Grant { subject: "operator", purpose: Purpose::Access, lifetime: LIFETIME, scope };
            signer.mint(&grant, SystemTime::now())
        })
    }
}

fn make() -> anyhow::Result<String> {
    let made = || Ed25519KeyPair::generate()?.to_pkcs8v1();
    let key = made().map_err(|_| anyhow::anyhow!("the system gives no random numbers for a key"))?;
    let body = STANDARD.encode(key.as_ref());
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    Ok(format!("{BEGIN}\n{}\n{END}\n", lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};

    use super::*;

    #[test]
    fn a_key_that_is_made_at_the_first_start_is_remembered_for_its_owner_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = Keys::load(None, directory.path()).expect("it is made");
        let second = Keys::load(None, directory.path()).expect("it is read");
        assert_eq!(first.jwks(), second.jwks());
        let path = directory.path().join(FILE);
        assert_eq!(std::fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
        let elsewhere = tempfile::tempdir().expect("a directory");
        let same = Keys::load(Some(&path), elsewhere.path()).expect("it is read");
        assert_eq!(same.jwks(), first.jwks());
        assert!(!elsewhere.path().join(FILE).exists());
    }

    #[test]
    fn a_token_is_verified_with_the_public_key_and_opens_one_process() {
        let directory = tempfile::tempdir().expect("a directory");
        let keys = Keys::load(None, directory.path()).expect("it is made");
        let token = keys.mint()("default.cam");
        let set: JwkSet = serde_json::from_str(&keys.jwks()).expect("it is a JWKS");
        let id = decode_header(&token).expect("it has a header").kid.expect("it names its key");
        let key = DecodingKey::from_jwk(set.find(&id).expect("the key is in the set")).expect("it is a key");
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        let claims = decode::<serde_json::Value>(&token, &key, &validation).expect("it is verified").claims;
        assert_eq!((&claims["sub"], &claims["process"]), (&"operator".into(), &"default.cam".into()));
        assert_eq!(claims["action"], json!(["read", "play", "write"]));
        keys.signer().verify(&token, Purpose::Access).expect("who makes it verifies it");
    }

    #[test]
    fn a_damaged_key_is_named_with_what_to_do() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join(FILE), "nothing").expect("written");
        let error = format!("{:#}", Keys::load(None, directory.path()).err().expect("it is damaged"));
        assert!(error.contains(FILE) && error.contains("remove it"), "{error}");
        let rsa = format!("{BEGIN}\nAAAA\n{END}\n");
        let error = format!("{:#}", Keys::parse(&rsa).err().expect("it is none"));
        assert!(error.contains("Ed25519"), "{error}");
    }
}
