//! `dragonfork token`: a token without asking the server.

use std::time::{Duration, SystemTime};

use super::credentials::{self, Credentials};
use super::keys::Keys;
use crate::args;
use crate::http::token::{Action, Grant, Purpose, Scope, Signer, Words};

/// Mints a token with the secret of the standalone program that has the same configuration, or with the key of an operator.
pub fn token(config: &args::Token) -> anyhow::Result<String> {
    let args::Token { credentials, signing_key, process, seconds } = config;
    let (signer, username) = match signing_key {
        Some(path) => {
            let username = credentials.api_auth_username.clone().unwrap_or_else(|| "admin".into());
            (Keys::load(Some(path), &credentials.db_dir)?.signer(), username)
        }
        None => {
            let credentials = credentials::load(credentials)?;
            (Signer::new(&credentials.jwt_secret)?, credentials.username)
        }
    };
    let scope = match process {
        Some(process) => Scope {
            process: Some(Words::One(process.clone())),
            action: Some(Words::One(Action::Play.word().to_owned())),
        },
        None => signer.everything(),
    };
    let lifetime = Duration::from_secs(*seconds);
    let grant = Grant { subject: &username, purpose: Purpose::Access, lifetime, scope };
    Ok(signer.mint(&grant, SystemTime::now()))
}

/// Mints an access token for the one who may log in.
pub fn mint(credentials: &Credentials, lifetime: Duration, scope: Scope) -> anyhow::Result<String> {
    let grant = Grant { subject: &credentials.username, purpose: Purpose::Access, lifetime, scope };
    Ok(Signer::new(&credentials.jwt_secret)?.mint(&grant, SystemTime::now()))
}
