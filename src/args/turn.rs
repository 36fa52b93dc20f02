//! What opens the TURN servers of `CORE_WEBRTC_ICE_SERVERS`.

use std::path::PathBuf;

use clap::Args;

/// What opens the TURN servers: a name and a password, or a secret that is shared with them.
#[derive(Args)]
pub struct Turn {
    /// Name for the TURN servers, the same for every player.
    #[arg(long, env = "CORE_WEBRTC_TURN_USERNAME", value_parser = plain, requires = "webrtc_turn_password")]
    pub webrtc_turn_username: Option<String>,
    /// Password for the TURN servers, the same for every player.
    #[arg(long, env = "CORE_WEBRTC_TURN_PASSWORD", hide_env_values = true, value_parser = plain, requires = "webrtc_turn_username")]
    pub webrtc_turn_password: Option<String>,
    /// Secret that is shared with the TURN servers (coturn's `static-auth-secret`); each player gets credentials of its own.
    #[arg(
        long,
        env = "CORE_WEBRTC_TURN_SECRET",
        hide_env_values = true,
        value_parser = plain,
        conflicts_with_all = ["webrtc_turn_username", "webrtc_turn_secret_file"]
    )]
    pub webrtc_turn_secret: Option<String>,
    /// File that holds the shared secret.
    #[arg(long, env = "CORE_WEBRTC_TURN_SECRET_FILE", value_name = "FILE", conflicts_with = "webrtc_turn_username")]
    pub webrtc_turn_secret_file: Option<PathBuf>,
    /// Seconds for which a player's credentials from the shared secret are good.
    #[arg(long, env = "CORE_WEBRTC_TURN_LIFETIME", default_value_t = 86_400, value_parser = clap::value_parser!(u64).range(60..=31_536_000), value_name = "SECONDS")]
    pub webrtc_turn_lifetime: u64,
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turn").field("webrtc_turn_lifetime", &self.webrtc_turn_lifetime).finish_non_exhaustive()
    }
}

/// A text that can stand in a header.
fn plain(text: &str) -> Result<String, String> {
    if text.is_empty() || text.chars().any(|letter| !letter.is_ascii_graphic() && letter != ' ') {
        return Err("is empty or holds something else than printable ASCII".into());
    }
    Ok(text.to_owned())
}
