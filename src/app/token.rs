//! `dragonfork token`: a token without asking the server.

use std::time::{Duration, SystemTime};

use super::credentials::{self, Credentials};
use crate::args;
use crate::http::token::{Action, Grant, Purpose, Scope, Signer, Words};

/// Mints a token with the secret of the standalone program that has the same configuration.
pub fn token(config: &args::Token) -> anyhow::Result<String> {
    let args::Token { credentials, process, seconds } = config;
    let credentials = credentials::load(credentials)?;
    let scope = match process {
        Some(process) => Scope {
            process: Some(Words::One(process.clone())),
            action: Some(Words::One(Action::Play.word().to_owned())),
        },
        None => Scope::default(),
    };
    mint(&credentials, Duration::from_secs(*seconds), scope)
}

/// Mints an access token for the one who may log in.
pub fn mint(credentials: &Credentials, lifetime: Duration, scope: Scope) -> anyhow::Result<String> {
    let grant = Grant { subject: &credentials.username, purpose: Purpose::Access, lifetime, scope };
    Ok(Signer::new(&credentials.jwt_secret)?.mint(&grant, SystemTime::now()))
}
