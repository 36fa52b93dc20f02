//! What manifests can refer to, from the configuration.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Parser;

use crate::args;
use crate::plan::{Access, AccessList, Memory, Rtmp, Secret, Srt, Surroundings};

/// What the configuration and the variables of the environment say. The password opens the memory filesystem where the
/// configuration has none.
pub fn surroundings(
    media: &args::Media,
    storage: &args::Storage,
    address: SocketAddr,
    password: &str,
    disk: PathBuf,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Surroundings {
    with_memory(media, memory(storage, address, password), disk, variables)
}

/// What the environment says to `standalone`.
pub fn of_environment() -> anyhow::Result<Surroundings> {
    let command =
        args::Command::try_parse_from(["dragonfork", "standalone"]).context("the environment of standalone")?;
    let args::Mode::Standalone(config) = command.mode else { bail!("the command line of standalone is another one") };
    let disk = std::path::absolute(&config.ffmpeg.storage_disk_dir).with_context(|| {
        format!("{} is no directory (CORE_STORAGE_DISK_DIR)", config.ffmpeg.storage_disk_dir.display())
    })?;
    let memory = Memory { address: config.address, login: None };
    Ok(with_memory(&config.media, memory, disk, std::env::vars_os()))
}

/// The same with a memory filesystem that is known already.
pub fn with_memory(
    media: &args::Media,
    memory: Memory,
    disk: PathBuf,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Surroundings {
    let args::Media {
        secrets_dir: _,
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
    let secret = |text: &Option<String>| text.as_ref().filter(|text| !text.is_empty()).map(Secret::new);
    Surroundings {
        disk,
        memory: Some(memory),
        rtmp: rtmp_address.as_ref().map(|server| Rtmp {
            server: server.clone(),
            app: rtmp_app.clone(),
            token: secret(rtmp_token),
        }),
        srt: srt_address.as_ref().map(|server| Srt {
            server: server.clone(),
            passphrase: secret(srt_passphrase),
            token: secret(srt_token),
        }),
        access: Access {
            inputs: AccessList {
                allow: ffmpeg_access_input_allow.clone().unwrap_or_default(),
                block: ffmpeg_access_input_block.clone().unwrap_or_default(),
            },
            outputs: AccessList {
                allow: ffmpeg_access_output_allow.clone().unwrap_or_default(),
                block: ffmpeg_access_output_block.clone().unwrap_or_default(),
            },
        },
        parameters: parameters(variables),
    }
}

/// Where FFmpeg reaches the memory filesystem.
fn memory(config: &args::Storage, address: SocketAddr, password: &str) -> Memory {
    let login = config.storage_memory_auth_enable.then(|| {
        let password = config.storage_memory_auth_password.as_deref().unwrap_or(password);
        (config.storage_memory_auth_username.clone(), Secret::new(password))
    });
    Memory { address, login }
}

/// `CORE_PARAM_KEY` is `$(KEY)`.
fn parameters(variables: impl Iterator<Item = (OsString, OsString)>) -> BTreeMap<String, Secret> {
    let parameter = |(name, value): (OsString, OsString)| {
        let name = name.to_str()?.strip_prefix(args::PARAMETER)?.to_owned();
        Some((name, Secret::new(value.into_string().ok()?)))
    };
    variables.filter_map(parameter).collect()
}
