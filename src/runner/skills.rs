//! Asks FFmpeg what it can do.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::child::{Child, Seen};
use super::spawner::{Purpose, SpawnError, Spawner};
use crate::plan::{
    Plan, Secret,
    skills::{self, Device, Skills},
};

/// FFmpeg answers at once; something else may stand in its place.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known of the skills of FFmpeg.
#[derive(Clone, Debug, Default)]
pub enum Known {
    /// Nobody has asked.
    #[default]
    NotAsked,
    /// FFmpeg is asked for the first time.
    Asked,
    /// What it answered; `None` where it cannot be asked.
    Answered(Option<Arc<Skills>>),
}

/// Why FFmpeg cannot be asked what it can do.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It cannot be started.
    #[error(transparent)]
    Start(#[from] SpawnError),
    /// The operating system gives no handle on it.
    #[error("FFmpeg was started and cannot be watched: {0}")]
    Watch(#[from] io::Error),
    /// It says nothing, or does not end.
    #[error("FFmpeg did not answer within {} s", PATIENCE.as_secs())]
    Silent,
}

/// Asks, and tells everybody.
pub async fn load(spawner: Arc<Spawner>, known: Arc<watch::Sender<Known>>) -> Result<Arc<Skills>, AskError> {
    let answer = timeout(PATIENCE, ask(&spawner)).await.unwrap_or(Err(AskError::Silent)).map(Arc::new);
    known.send_modify(|known| match (&answer, &known) {
        // What was known before holds where it cannot be asked now.
        (Err(_), Known::Answered(Some(_))) => {}
        _ => *known = Known::Answered(answer.as_ref().ok().cloned()),
    });
    answer
}

/// What a process needs and FFmpeg has not; waits for the first answer.
pub async fn lacks(known: &watch::Sender<Known>, plan: &Plan, legs: &[Secret]) -> Vec<skills::Lack> {
    let mut receiver = known.subscribe();
    let answered = receiver.wait_for(|known| !matches!(known, Known::Asked)).await;
    match answered.as_deref() {
        Ok(Known::Answered(Some(skills))) => skills.lacks(plan, legs),
        _ => Vec::new(),
    }
}

async fn ask(spawner: &Spawner) -> Result<Skills, AskError> {
    let list = |flag| list(spawner, flag);
    let lists = tokio::try_join!(
        list("-version"),
        list("-filters"),
        list("-hwaccels"),
        list("-codecs"),
        list("-formats"),
        list("-devices"),
        list("-protocols"),
    );
    let (version, filters, hwaccels, codecs, formats, devices, protocols) = lists?;
    let mut skills = Skills {
        build: skills::read_version(&version),
        filters: skills::read_filters(&filters),
        hwaccels: skills::read_hwaccels(&hwaccels),
        ..Skills::default()
    };
    skills.read_codecs(&codecs);
    skills.read_formats(&formats);
    skills.read_devices(&devices);
    skills.read_protocols(&protocols);
    let found = tokio::task::spawn_blocking(find).await.unwrap_or_default();
    for (kinds, sound) in [(&mut skills.sources, &found.capture), (&mut skills.sinks, &found.playback)] {
        for kind in kinds {
            kind.devices = match kind.id.split(',').next().unwrap_or_default() {
                "alsa" => sound.clone(),
                "video4linux2" | "v4l2" => found.videos.clone(),
                "fbdev" => found.framebuffers.clone(),
                _ => Vec::new(),
            };
        }
    }
    Ok(skills)
}

async fn list(spawner: &Spawner, flag: &str) -> Result<String, AskError> {
    let mut child = Child::new(spawner.spawn(Purpose::Probe, vec![Secret::new(flag)]).await?)?;
    let mut text = String::new();
    loop {
        match child.next().await {
            Seen::Output(lines) => lines.iter().for_each(|line| text.extend([line, "\n"])),
            Seen::Ended(_) => return Ok(text),
            Seen::Log(_) | Seen::Report(_) => {}
        }
    }
}

/// Devices of this machine.
#[derive(Default)]
struct Found {
    capture: Vec<Device>,
    playback: Vec<Device>,
    videos: Vec<Device>,
    framebuffers: Vec<Device>,
}

fn find() -> Found {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (cards, pcm) = (skills::read_cards(&read("/proc/asound/cards")), read("/proc/asound/pcm"));
    let videos: Vec<(String, String, String)> = std::fs::read_dir("/sys/class/video4linux")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| {
            let name = std::fs::read_to_string(entry.path().join("name")).unwrap_or_default();
            let bus = std::fs::read_link(entry.path().join("device")).unwrap_or_default();
            let bus = bus.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (entry.file_name().to_string_lossy().into_owned(), name, bus)
        })
        .collect();
    let videos = videos.iter().map(|(file, name, bus)| (file.as_str(), name.as_str(), bus.as_str()));
    Found {
        capture: skills::read_sound(&pcm, &cards, "capture"),
        playback: skills::read_sound(&pcm, &cards, "playback"),
        videos: skills::read_videos(videos.filter(|(file, ..)| file.starts_with("video"))),
        framebuffers: skills::read_framebuffers(&read("/proc/fb")),
    }
}
