//! The configuration as HTTP shows it: datarhei's paths, and no secret.

use std::path::Path;
use std::sync::Arc;

use clap::ValueEnum;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::credentials::Credentials;
use crate::args::{self, LogLevel};
use crate::core::Refusal;
use crate::http::{MASK, Setting};
use crate::plan::Expressions;
use crate::telemetry::Verbosity;

/// Path of the one setting that can change while the program runs.
const LOG_LEVEL: &str = "log.level";

/// What holds, and the way to what can change of it.
pub struct Settings {
    shown: watch::Sender<Arc<Vec<Setting>>>,
    verbosity: Verbosity,
}

impl Settings {
    /// What the program was started with.
    pub fn new(config: &args::Standalone, credentials: &Credentials, verbosity: Verbosity) -> Self {
        Self { shown: watch::Sender::new(Arc::new(settings(config, credentials))), verbosity }
    }

    /// Who wants to see what holds.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Vec<Setting>>> {
        self.shown.subscribe()
    }

    /// Lets a setting be so until the program ends.
    pub fn change(&self, path: &str, value: Value) -> Result<(), Refusal> {
        let refused = || Refusal::Refused(vec![format!("{path}: cannot be {value} while the program runs")]);
        let level = value.as_str().filter(|_| path == LOG_LEVEL).ok_or_else(refused)?;
        self.verbosity.set(LogLevel::from_str(level, false).map_err(|_| refused())?);
        tracing::info!(setting = path, %value, "a client changed the configuration");
        self.shown.send_modify(|shown| {
            let mut settings = Vec::clone(shown);
            settings
                .iter_mut()
                .filter(|setting| setting.path == path)
                .for_each(|setting| setting.value = value.clone());
            *shown = Arc::new(settings);
        });
        Ok(())
    }
}

fn settings(config: &args::Standalone, credentials: &Credentials) -> Vec<Setting> {
    let args::Standalone {
        manifests,
        address,
        api_auth_enable,
        credentials: args::Credentials { db_dir, api_auth_username: _, api_auth_password: _, api_auth_jwt_secret: _ },
        access,
        clients,
        api_read_only,
        metrics_enable_prometheus,
        metrics_auth,
        ffmpeg: args::Ffmpeg { ffmpeg_binary, ffmpeg_log_max_lines, ffmpeg_log_max_history, storage_disk_dir },
        media,
        storage,
        webrtc_enable,
        webrtc,
        webrtc_announce,
        webrtc_ice_servers,
        webrtc_max_viewers_per_stream,
        logging: args::Logging { log_level, log_format, log_max_lines },
    } = config;
    let args::Webrtc {
        webrtc_address,
        webrtc_announce_interval,
        webrtc_tcp,
        webrtc_ice_lite,
        turn: _, // It holds what opens the relays.
        webrtc_max_viewers,
        webrtc_strict_etag,
        webrtc_counter_offer,
    } = webrtc;
    let mut rows = vec![
        ("id", "CORE_ID", json!(credentials.id)),
        ("address", "CORE_ADDRESS", json!(address.to_string())),
        ("manifests.dir", "CORE_MANIFESTS_DIR", path(manifests)),
        (LOG_LEVEL, "CORE_LOG_LEVEL", word(log_level)),
        ("log.format", "CORE_LOG_FORMAT", word(log_format)),
        ("log.max_lines", "CORE_LOG_MAX_LINES", json!(log_max_lines)),
        ("db.dir", "CORE_DB_DIR", path(db_dir)),
        ("api.read_only", "CORE_API_READ_ONLY", json!(api_read_only)),
        ("api.auth.enable", "CORE_API_AUTH_ENABLE", json!(api_auth_enable)),
        ("api.auth.username", "CORE_API_AUTH_USERNAME", json!(credentials.username)),
        ("api.auth.password", "CORE_API_AUTH_PASSWORD", json!(MASK)),
        ("api.auth.jwt.secret", "CORE_API_AUTH_JWT_SECRET", json!(MASK)),
        ("metrics.enable_prometheus", "CORE_METRICS_ENABLE_PROMETHEUS", json!(metrics_enable_prometheus)),
        ("metrics.auth", "CORE_METRICS_AUTH", json!(metrics_auth)),
        ("storage.disk.dir", "CORE_STORAGE_DISK_DIR", path(storage_disk_dir)),
        ("ffmpeg.binary", "CORE_FFMPEG_BINARY", path(ffmpeg_binary)),
        ("ffmpeg.log.max_lines", "CORE_FFMPEG_LOG_MAX_LINES", json!(ffmpeg_log_max_lines)),
        ("ffmpeg.log.max_history", "CORE_FFMPEG_LOG_MAX_HISTORY", json!(ffmpeg_log_max_history)),
        ("webrtc.enable", "CORE_WEBRTC_ENABLE", json!(webrtc_enable)),
        ("webrtc.address", "CORE_WEBRTC_ADDRESS", json!(webrtc_address.to_string())),
        ("webrtc.announce", "CORE_WEBRTC_ANNOUNCE", json!(webrtc_announce)),
        ("webrtc.announce_interval", "CORE_WEBRTC_ANNOUNCE_INTERVAL", json!(webrtc_announce_interval)),
        ("webrtc.tcp", "CORE_WEBRTC_TCP", json!(webrtc_tcp)),
        ("webrtc.ice_lite", "CORE_WEBRTC_ICE_LITE", json!(webrtc_ice_lite)),
        ("webrtc.ice_servers", "CORE_WEBRTC_ICE_SERVERS", json!(webrtc_ice_servers)),
        ("webrtc.max_viewers", "CORE_WEBRTC_MAX_VIEWERS", json!(webrtc_max_viewers)),
        ("webrtc.max_viewers_per_stream", "CORE_WEBRTC_MAX_VIEWERS_PER_STREAM", json!(webrtc_max_viewers_per_stream)),
        ("webrtc.strict_etag", "CORE_WEBRTC_STRICT_ETAG", json!(webrtc_strict_etag)),
        ("webrtc.counter_offer", "CORE_WEBRTC_COUNTER_OFFER", json!(webrtc_counter_offer)),
    ];
    rows.extend(limits(access, clients));
    rows.extend(files(storage));
    rows.extend(outside(media));
    let is_set = |variable: &str| std::env::var_os(variable).is_some();
    let setting = |(path, variable, value): Row| Setting {
        path,
        value,
        is_override: is_set(variable),
        choices: if path == LOG_LEVEL { LogLevel::value_variants().iter().map(word).collect() } else { Vec::new() },
    };
    rows.into_iter().map(setting).collect()
}

type Row = (&'static str, &'static str, Value);

fn limits(access: &args::Access, clients: &args::Clients) -> [Row; 5] {
    let args::Access {
        // Whose tokens are taken too is no setting of datarhei's.
        api_auth_jwks: _,
        api_auth_jwks_issuer: _,
        api_auth_jwks_audience: _,
        api_auth_jwks_algorithms: _,
        api_login_burst,
        api_logins_per_minute,
    } = access;
    let args::Clients { api_trusted_proxies, webrtc_offer_burst, webrtc_offers_per_minute } = clients;
    let proxies: Vec<String> = api_trusted_proxies.iter().map(ToString::to_string).collect();
    [
        ("api.login_burst", "CORE_API_LOGIN_BURST", json!(api_login_burst)),
        ("api.logins_per_minute", "CORE_API_LOGINS_PER_MINUTE", json!(api_logins_per_minute)),
        ("api.trusted_proxies", "CORE_API_TRUSTED_PROXIES", json!(proxies)),
        ("webrtc.offer_burst", "CORE_WEBRTC_OFFER_BURST", json!(webrtc_offer_burst)),
        ("webrtc.offers_per_minute", "CORE_WEBRTC_OFFERS_PER_MINUTE", json!(webrtc_offers_per_minute)),
    ]
}

fn outside(media: &args::Media) -> [Row; 11] {
    let args::Media {
        secrets_dir,
        rtmp_address,
        rtmp_app,
        rtmp_token,
        srt_address,
        srt_passphrase,
        srt_token,
        ffmpeg_access_input_allow,
        ffmpeg_access_input_block,
        ffmpeg_access_output_allow,
        ffmpeg_access_output_block,
    } = media;
    let masked = |secret: &Option<String>| json!(secret.as_ref().map_or("", |_| MASK));
    let list = |list: &Option<Expressions>| json!(list.iter().flat_map(Expressions::texts).collect::<Vec<_>>());
    [
        ("secrets.dir", "CORE_SECRETS_DIR", path(secrets_dir)),
        ("rtmp.address", "CORE_RTMP_ADDRESS", json!(rtmp_address.as_deref().unwrap_or_default())),
        ("rtmp.app", "CORE_RTMP_APP", json!(rtmp_app)),
        ("rtmp.token", "CORE_RTMP_TOKEN", masked(rtmp_token)),
        ("srt.address", "CORE_SRT_ADDRESS", json!(srt_address.as_deref().unwrap_or_default())),
        ("srt.passphrase", "CORE_SRT_PASSPHRASE", masked(srt_passphrase)),
        ("srt.token", "CORE_SRT_TOKEN", masked(srt_token)),
        ("ffmpeg.access.input.allow", "CORE_FFMPEG_ACCESS_INPUT_ALLOW", list(ffmpeg_access_input_allow)),
        ("ffmpeg.access.input.block", "CORE_FFMPEG_ACCESS_INPUT_BLOCK", list(ffmpeg_access_input_block)),
        ("ffmpeg.access.output.allow", "CORE_FFMPEG_ACCESS_OUTPUT_ALLOW", list(ffmpeg_access_output_allow)),
        ("ffmpeg.access.output.block", "CORE_FFMPEG_ACCESS_OUTPUT_BLOCK", list(ffmpeg_access_output_block)),
    ]
}

fn files(storage: &args::Storage) -> [Row; 10] {
    let args::Storage {
        storage_disk_max_size_mbytes,
        storage_memory_max_size_mbytes,
        storage_memory_purge,
        storage_memory_auth_enable,
        storage_memory_auth_username,
        storage_memory_auth_password: _,
        storage_cors_origins,
        sessions_enable,
        sessions_ip_ignorelist,
        sessions_session_timeout_sec,
    } = storage;
    let origins: Vec<String> = storage_cors_origins.iter().map(ToString::to_string).collect();
    let ignored: Vec<String> =
        sessions_ip_ignorelist.iter().filter_map(|ignored| ignored.0).map(|network| network.to_string()).collect();
    [
        ("storage.disk.max_size_mbytes", "CORE_STORAGE_DISK_MAX_SIZE_MBYTES", json!(storage_disk_max_size_mbytes)),
        (
            "storage.memory.max_size_mbytes",
            "CORE_STORAGE_MEMORY_MAX_SIZE_MBYTES",
            json!(storage_memory_max_size_mbytes),
        ),
        ("storage.memory.purge", "CORE_STORAGE_MEMORY_PURGE", json!(storage_memory_purge)),
        ("storage.memory.auth.enable", "CORE_STORAGE_MEMORY_AUTH_ENABLE", json!(storage_memory_auth_enable)),
        ("storage.memory.auth.username", "CORE_STORAGE_MEMORY_AUTH_USERNAME", json!(storage_memory_auth_username)),
        ("storage.memory.auth.password", "CORE_STORAGE_MEMORY_AUTH_PASSWORD", json!(MASK)),
        ("storage.cors.origins", "CORE_STORAGE_CORS_ORIGINS", json!(origins)),
        ("sessions.enable", "CORE_SESSIONS_ENABLE", json!(sessions_enable)),
        ("sessions.ip_ignorelist", "CORE_SESSIONS_IP_IGNORELIST", json!(ignored)),
        ("sessions.session_timeout_sec", "CORE_SESSIONS_SESSION_TIMEOUT_SEC", json!(sessions_session_timeout_sec)),
    ]
}

fn path(path: &Path) -> Value {
    json!(path.display().to_string())
}

/// The word of the command line for a value.
fn word(value: &impl ValueEnum) -> Value {
    json!(value.to_possible_value().map(|value| value.get_name().to_owned()))
}
