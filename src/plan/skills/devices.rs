//! Devices that are there, as the kernel lists them.

/// One device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// What FFmpeg opens, such as `hw:1,0` or `/dev/video0`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where it is, such as a place on a bus; empty where nobody says.
    pub extra: String,
    /// `video` or `audio`.
    pub media: String,
}

/// Names of sound cards by number, from `/proc/asound/cards`.
pub fn read_cards(text: &str) -> Vec<(u32, String)> {
    let card = |line: &str| {
        let (number, rest) = line.trim_start().split_once(' ')?;
        let (_, name) = rest.split_once("]: ")?;
        Some((number.parse().ok()?, name.split_once(" - ").map_or(name, |(_, name)| name).trim().to_owned()))
    };
    text.lines().filter_map(card).collect()
}

/// Sound devices that record (`capture`) or play (`playback`), from `/proc/asound/pcm`.
pub fn read_sound(pcm: &str, cards: &[(u32, String)], way: &str) -> Vec<Device> {
    let device = |line: &str| {
        let mut parts = line.split(": ");
        let (card, number) = parts.next()?.split_once('-')?;
        let (card, number): (u32, u32) = (card.parse().ok()?, number.parse().ok()?);
        let name = parts.next()?.trim();
        parts.any(|part| part.starts_with(way)).then_some(())?;
        let card_name = cards.iter().find(|(known, _)| *known == card).map_or("", |(_, name)| name);
        Some(Device {
            id: format!("hw:{card},{number}"),
            name: name.to_owned(),
            extra: card_name.to_owned(),
            media: "audio".into(),
        })
    };
    pcm.lines().filter_map(device).collect()
}

/// Cameras: of each its file below `/dev`, its name and where it is.
pub fn read_videos<'a>(found: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>) -> Vec<Device> {
    let device = |(file, name, bus): (&str, &str, &str)| Device {
        id: format!("/dev/{file}"),
        name: name.trim().to_owned(),
        extra: bus.trim().to_owned(),
        media: "video".into(),
    };
    let mut devices: Vec<Device> = found.into_iter().map(device).collect();
    devices.sort_by(|one, other| (one.id.len(), &one.id).cmp(&(other.id.len(), &other.id)));
    devices
}

/// Framebuffers, from `/proc/fb`.
pub fn read_framebuffers(text: &str) -> Vec<Device> {
    let device = |line: &str| {
        let (number, name) = line.trim().split_once(' ')?;
        let number: u32 = number.parse().ok()?;
        Some(Device {
            id: format!("/dev/fb{number}"),
            name: name.trim().to_owned(),
            extra: String::new(),
            media: "video".into(),
        })
    };
    text.lines().filter_map(device).collect()
}
