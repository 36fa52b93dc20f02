//! What opens the TURN servers, from the configuration.

use std::time::Duration;

use anyhow::{Context, ensure};

use crate::args;
use crate::http::TurnAuth;

/// The configured credentials or secret; `None` without.
pub fn turn_auth(config: &args::Turn) -> anyhow::Result<Option<TurnAuth>> {
    let args::Turn {
        webrtc_turn_username,
        webrtc_turn_password,
        webrtc_turn_secret,
        webrtc_turn_secret_file,
        webrtc_turn_lifetime,
    } = config;
    if let (Some(username), Some(password)) = (webrtc_turn_username, webrtc_turn_password) {
        return Ok(Some(TurnAuth::Fixed { username: username.clone(), password: password.clone() }));
    }
    let secret = match webrtc_turn_secret_file {
        Some(file) => {
            let name = "CORE_WEBRTC_TURN_SECRET_FILE";
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("{} of {name} cannot be read", file.display()))?;
            let secret = text.trim_end_matches(['\r', '\n']).to_owned();
            ensure!(!secret.is_empty(), "{} of {name} is empty", file.display());
            Some(secret)
        }
        None => webrtc_turn_secret.clone(),
    };
    let lifetime = Duration::from_secs(*webrtc_turn_lifetime);
    Ok(secret.map(|secret| TurnAuth::Shared { secret, lifetime }))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn config(secret_file: PathBuf) -> args::Turn {
        args::Turn {
            webrtc_turn_username: None,
            webrtc_turn_password: None,
            webrtc_turn_secret: None,
            webrtc_turn_secret_file: Some(secret_file),
            webrtc_turn_lifetime: 60,
        }
    }

    #[test]
    fn a_secret_is_read_from_its_file_without_the_end_of_the_line() {
        let file = tempfile::NamedTempFile::new().expect("a file can be made");
        std::fs::write(file.path(), "north wind\n").expect("it can be written");
        let auth = turn_auth(&config(file.path().into())).expect("it is read");
        assert!(matches!(auth, Some(TurnAuth::Shared { secret, .. }) if secret == "north wind"));
    }

    #[test]
    fn a_file_without_a_secret_stops_the_start_with_its_name() {
        let file = tempfile::NamedTempFile::new().expect("a file can be made");
        for path in [file.path().to_owned(), "/no/such/file".into()] {
            let error = turn_auth(&config(path.clone())).expect_err("there is no secret").to_string();
            assert!(error.contains(&path.display().to_string()), "{error}");
        }
    }
}
