//! What FFmpeg says of its progress.

use std::time::Duration;

use super::{Progress, Qualities};

/// Figures of one report; what FFmpeg did not say (`N/A`) is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Block {
    /// Video frames.
    pub frame: Option<u64>,
    /// Frames a second.
    pub fps: Option<f64>,
    /// Quantizer of the first picture that is encoded; -1 where all are copied.
    pub q: Option<f64>,
    /// Bits a second.
    pub bitrate: Option<f64>,
    /// Octets written.
    pub size: Option<u64>,
    /// Media time written, in microseconds; negative where timestamps begin before zero.
    pub time: Option<i64>,
    /// Media time over wall-clock time.
    pub speed: Option<f64>,
    /// Dropped frames.
    pub drop: Option<u64>,
    /// Duplicated frames.
    pub dup: Option<u64>,
}

impl Block {
    /// Takes the figures of a later report over. Whether frames, size or time moved, which is what being alive means.
    pub fn update(&mut self, later: &Self) -> bool {
        fn moved<T: PartialEq + Default + Copy>(now: &mut Option<T>, later: Option<T>) -> bool {
            let moved = later.is_some_and(|later| later != now.unwrap_or_default());
            *now = later.or(*now);
            moved
        }
        let frame = moved(&mut self.frame, later.frame);
        let size = moved(&mut self.size, later.size);
        let time = moved(&mut self.time, later.time);
        self.q = later.q.or(self.q);
        self.drop = later.drop.or(self.drop);
        self.dup = later.dup.or(self.dup);
        (self.fps, self.bitrate, self.speed) = (later.fps, later.bitrate, later.speed);
        frame || size || time
    }

    /// The figures as others see them.
    pub fn progress(&self) -> Progress {
        Progress {
            frame: self.frame.unwrap_or(0),
            fps: self.fps.unwrap_or(0.0),
            q: self.q,
            bitrate: self.bitrate,
            size_bytes: self.size.unwrap_or(0),
            time: Duration::from_micros(self.time.unwrap_or(0).try_into().unwrap_or(0)),
            speed: self.speed,
            drop: self.drop.unwrap_or(0),
            dup: self.dup.unwrap_or(0),
        }
    }
}

/// Reads what `-progress` writes: blocks of `key=value` lines, each ended by `progress=continue` or `progress=end`.
#[derive(Debug, Default)]
pub struct ProgressReport {
    block: Block,
    qualities: Qualities,
}

impl ProgressReport {
    /// The newest quantizer of every picture.
    pub fn qualities(&self) -> &Qualities {
        &self.qualities
    }

    /// Takes a line, and gives the block that it ends.
    pub fn handle_line(&mut self, line: &str) -> Option<Block> {
        let (key, value) = line.split_once('=')?;
        let (key, value) = (key.trim(), value.trim());
        match key {
            "frame" => self.block.frame = value.parse().ok(),
            "fps" => self.block.fps = number(value),
            "bitrate" => self.block.bitrate = bitrate(value),
            "total_size" => self.block.size = value.parse().ok(),
            // `out_time_ms` is in microseconds as well; FFmpeg before 4.1 writes no other.
            "out_time_us" | "out_time_ms" => self.block.time = value.parse().ok().filter(|&time| is_time(time)),
            "speed" => self.block.speed = speed(value),
            "drop_frames" => self.block.drop = value.parse().ok(),
            "dup_frames" => self.block.dup = value.parse().ok(),
            "progress" => return Some(std::mem::take(&mut self.block)),
            _ => self.handle_quality(key, value),
        }
        None
    }

    /// `stream_0_1_q=17.0`, of output 0 and its stream 1.
    fn handle_quality(&mut self, key: &str, value: &str) {
        let place = key.strip_prefix("stream_").and_then(|rest| rest.strip_suffix("_q")?.split_once('_'));
        let place = place.and_then(|(output, stream)| Some((output.parse().ok()?, stream.parse().ok()?)));
        if let (Some(place), Some(q)) = (place, number(value)) {
            self.qualities.insert(place, q);
            self.block.q = self.block.q.filter(|before| *before >= 0.0).or(Some(q));
        }
    }
}

/// The figures of a line such as `frame= 26 fps= 26 q=17.0 size= 21kB time=00:00:00.84 bitrate= 205.9kbits/s`, which
/// FFmpeg writes into its log with `-stats`; `None` for any other line.
pub fn stats_line(line: &str) -> Option<Block> {
    let line = match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((_, rest)) => rest,
        None => line,
    };
    let is_stats = ["frame=", "size=", "Lsize="].iter().any(|start| line.starts_with(start));
    if !is_stats || !line.contains(" time=") || !line.contains(" bitrate=") {
        return None;
    }
    let mut block = Block::default();
    let mut rest = line;
    while let Some((key, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let (value, next) = after.split_once(' ').unwrap_or((after, ""));
        match key.trim() {
            "frame" => block.frame = value.parse().ok(),
            "fps" => block.fps = number(value),
            "q" => block.q = block.q.or(number(value)),
            "size" | "Lsize" => block.size = kibibytes(value),
            "time" => block.time = clock(value),
            "bitrate" => block.bitrate = bitrate(value),
            "speed" => block.speed = speed(value),
            "drop" => block.drop = value.parse().ok(),
            "dup" => block.dup = value.parse().ok(),
            _ => {}
        }
        rest = next;
    }
    Some(block)
}

/// FFmpeg prints its "no time yet" as a huge negative number; what really begins before zero does so by seconds.
fn is_time(microseconds: i64) -> bool {
    const DAY: i64 = 86_400_000_000;
    microseconds > -DAY
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

fn bitrate(text: &str) -> Option<f64> {
    Some(number(text.strip_suffix("kbits/s")?)? * 1000.0)
}

fn speed(text: &str) -> Option<f64> {
    number(text.strip_suffix('x')?)
}

fn kibibytes(text: &str) -> Option<u64> {
    // FFmpeg 7 changed the unit's name, not its size.
    let digits = text.strip_suffix("kB").or_else(|| text.strip_suffix("KiB"))?;
    digits.parse::<u64>().ok()?.checked_mul(1024)
}

/// `00:03:58.44` in microseconds.
fn clock(text: &str) -> Option<i64> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let mut parts = text.splitn(3, ':');
    let hours: i64 = parts.next()?.parse().ok()?;
    let minutes: i64 = parts.next()?.parse().ok()?;
    let seconds = number(parts.next()?)?;
    let whole = hours.checked_mul(60)?.checked_add(minutes)?.checked_mul(60_000_000)?;
    whole.checked_add((seconds * 1e6).round() as i64)?.checked_mul(sign).filter(|&time| is_time(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(text: &str) -> Vec<Block> {
        let mut report = ProgressReport::default();
        text.lines().filter_map(|line| report.handle_line(line)).collect()
    }

    #[test]
    fn a_block_of_ffmpeg_5_is_read() {
        let blocks = blocks(
            "frame=26\nfps=25.38\nstream_0_0_q=0.0\nbitrate= 205.9kbits/s\ntotal_size=21504\nout_time_us=840000\n\
             out_time_ms=840000\nout_time=00:00:00.840000\ndup_frames=2\ndrop_frames=1\nspeed=0.833x\nprogress=continue\n",
        );
        let expected = Progress {
            frame: 26,
            fps: 25.38,
            q: Some(0.0),
            bitrate: Some(205_900.0),
            size_bytes: 21_504,
            time: Duration::from_millis(840),
            speed: Some(0.833),
            drop: 1,
            dup: 2,
        };
        assert_eq!(blocks.iter().map(Block::progress).collect::<Vec<_>>(), [expected]);
    }

    #[test]
    fn c145_an_audio_only_block_has_no_frames_and_is_alive() {
        let blocks = blocks(
            "bitrate=  86.4kbits/s\ntotal_size=10528\nout_time_us=975244\nout_time_ms=975244\n\
             out_time=00:00:00.975244\ndup_frames=0\ndrop_frames=0\nspeed=0.961x\nprogress=continue\n",
        );
        let [block] = blocks[..] else { panic!("one block, not {blocks:?}") };
        assert_eq!((block.size, block.time, block.frame, block.fps), (Some(10_528), Some(975_244), None, None));
        assert!(Block::default().update(&block));
    }

    #[test]
    fn what_ffmpeg_does_not_know_is_absent_and_keeps_what_was_known() {
        let mut known = blocks("frame=9\ntotal_size=100\nout_time_us=5\nprogress=continue")[0];
        let unknown = blocks("bitrate=N/A\ntotal_size=N/A\nout_time_us=N/A\nspeed=N/A\nprogress=continue")[0];
        assert_eq!(unknown, Block::default());
        assert!(!known.update(&unknown));
        assert_eq!((known.frame, known.size, known.time), (Some(9), Some(100), Some(5)));
    }

    #[test]
    fn times_before_zero_are_shown_as_zero() {
        for time in ["-21333", "-9223372036854775807"] {
            let block = blocks(&format!("out_time_us={time}\nprogress=end"))[0];
            assert_eq!(block.progress().time, Duration::ZERO);
        }
        assert!(!Block::default().update(&blocks("out_time_us=-9223372036854775807\nprogress=continue")[0]));
    }

    #[test]
    fn c134_equal_figures_are_no_sign_of_life_and_any_of_three_is() {
        let mut last = Block { frame: Some(1), size: Some(2), time: Some(3), ..Block::default() };
        assert!(!last.clone().update(&Block { fps: Some(25.0), speed: Some(1.0), ..last }));
        for later in [
            Block { frame: Some(2), ..Block::default() },
            Block { size: Some(3), ..Block::default() },
            Block { time: Some(4), ..Block::default() },
        ] {
            assert!(last.update(&later));
            assert!(!last.update(&later));
        }
    }

    #[test]
    fn a_report_without_anything_written_is_no_sign_of_life() {
        let first = blocks("frame=0\nfps=0.0\ntotal_size=0\nout_time_us=N/A\nprogress=continue")[0];
        assert!(!Block::default().update(&first));
    }

    #[test]
    fn c117_a_stats_line_is_read() {
        let line = "frame= 5968 fps= 25 q=19.4 size=443kB time=00:03:58.44 bitrate=5632kbits/s speed=0.999x skip=9733 \
                    drop=3522 dup=87463";
        let block = stats_line(line).expect("a stats line");
        assert_eq!((block.frame, block.size, block.time), (Some(5968), Some(453_632), Some(238_440_000)));
        assert_eq!((block.speed, block.drop, block.dup), (Some(0.999), Some(3522), Some(87_463)));
    }

    #[test]
    fn c118_a_last_stats_line_without_size_is_read() {
        let line = "frame=   58 fps= 25 q=-1.0 Lsize=N/A time=00:00:02.32 bitrate=N/A speed=0.999x";
        let block = stats_line(line).expect("a stats line");
        assert_eq!((block.frame, block.time, block.speed), (Some(58), Some(2_320_000), Some(0.999)));
        assert_eq!((block.size, block.bitrate), (None, None));
    }

    #[test]
    fn c119_a_stats_line_with_a_level_before_it_is_read() {
        let line = "[info] frame=   26 fps= 26 q=17.0 size=      21kB time=00:00:00.84 bitrate= 205.9kbits/s \
                    speed=0.833x    ";
        let block = stats_line(line).expect("a stats line");
        assert_eq!((block.frame, block.size, block.bitrate), (Some(26), Some(21_504), Some(205_900.0)));
    }

    #[test]
    fn c120_a_stats_line_of_sound_alone_is_read() {
        let line = "size=      10kB time=00:00:00.97 bitrate=  86.4kbits/s speed=0.961x    ";
        let block = stats_line(line).expect("a stats line");
        assert_eq!((block.frame, block.size, block.time), (None, Some(10_240), Some(970_000)));
    }

    #[test]
    fn c121_the_units_name_of_ffmpeg_7_is_known() {
        let line = "frame=   26 fps= 26 q=17.0 Lsize=      10KiB time=00:00:00.84 bitrate= 205.9kbits/s speed=0.833x";
        assert_eq!(stats_line(line).and_then(|block| block.size), Some(10_240));
    }

    #[test]
    fn c122_times_before_zero_or_unknown_do_no_harm() {
        let read = |time| stats_line(&format!("size= 1kB time={time} bitrate=N/A")).expect("a stats line").time;
        assert_eq!(read("-00:00:00.02"), Some(-20_000));
        for time in ["-577014:32:22.77", "N/A", "", ":", "::", "99999999999999:00:00", "a:b:c", "00:00:1e999"] {
            assert_eq!(read(time), None, "{time:?}");
        }
    }

    #[test]
    fn other_lines_are_no_stats() {
        for line in ["frame=1", "Input #0, flv, from 'x':", "[info] size=3 of it", "", "["] {
            assert_eq!(stats_line(line), None, "{line:?}");
        }
    }
}
