//! A stand-in for FFmpeg that does what FFmpeg cannot be made to do. It needs nothing but the standard library, and
//! `fake.rs` compiles it where a test needs it.
//!
//! It is told what to do by the address of its first input that begins with `fake:`, in words that commas separate, one
//! after the other; after the last word it exits with 0. An interrupt ends it with 255, as FFmpeg ends.
//!
//! | word | what it does |
//! |---|---|
//! | `ignore-int` | ignores interrupts |
//! | `slow-int=MS` | takes its time to end when it is interrupted |
//! | `prelude` | reports an input of three streams and an output of two |
//! | `frames=N` | reports progress N times, ten times a second |
//! | `progress` | reports progress for ever |
//! | `say=TEXT` | writes a line |
//! | `burst=N` | writes N lines at once |
//! | `no-newline` | writes a text without an end of line |
//! | `split` | writes `grün` in two parts, within its third letter |
//! | `wait=MS` | does nothing for a while |
//! | `silent` | does nothing for ever |
//! | `spin` | uses a core for ever |
//! | `memory=MIB` | uses memory |
//! | `exit=CODE` | exits |
//! | `die` | is killed |

use std::fs::File;
use std::io::{Write, stderr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const INTERRUPT: i32 = 2;
const IGNORE: usize = 1;
const SIGNAL_OF_DEATH: i32 = 9;

static SLOWNESS: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
    fn usleep(microseconds: u32) -> i32;
    fn raise(number: i32) -> i32;
    fn _exit(code: i32) -> !;
}

extern "C" fn end(_: i32) {
    for _ in 0..SLOWNESS.load(Ordering::Relaxed) {
        // SAFETY: allowed in a handler of signals.
        unsafe { usleep(1000) };
    }
    // SAFETY: allowed in a handler of signals.
    unsafe { _exit(255) }
}

fn main() {
    // SAFETY: the handler makes nothing but calls that are allowed in one.
    unsafe { signal(INTERRUPT, end as extern "C" fn(i32) as usize) };
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.last().map(String::as_str) {
        Some("-version") => return println!("ffmpeg version 5.1.9-fake Copyright (c) nobody"),
        Some("-filters" | "-hwaccels" | "-codecs" | "-formats" | "-devices" | "-protocols") => return,
        _ => {}
    }
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let told = arguments.windows(2).find_map(|pair| match pair {
        [option, address] if option == "-i" => address.strip_prefix("fake:"),
        _ => None,
    });
    let descriptor = |number: &str| File::options().append(true).open(format!("/dev/fd/{number}")).ok();
    let report = std::env::var("FFREPORT").unwrap_or_default();
    let mut fake = Fake {
        progress: after("-progress").and_then(|target| descriptor(target.strip_prefix("pipe:")?)),
        report: report.strip_prefix("file=/dev/fd/").and_then(|rest| descriptor(rest.split_once(':')?.0)),
        frame: 0,
    };
    told.unwrap_or("silent").split(',').for_each(|word| fake.obey(word));
}

struct Fake {
    progress: Option<File>,
    report: Option<File>,
    frame: u64,
}

impl Fake {
    fn obey(&mut self, word: &str) {
        let (word, value) = word.split_once('=').unwrap_or((word, ""));
        let number: u32 = value.parse().unwrap_or_default();
        match word {
            // SAFETY: it sets no handler.
            "ignore-int" => drop(unsafe { signal(INTERRUPT, IGNORE) }),
            "slow-int" => SLOWNESS.store(number, Ordering::Relaxed),
            "prelude" => PRELUDE.lines().for_each(|line| self.log(line)),
            "frames" => (0..number).for_each(|_| self.advance()),
            "progress" => loop {
                self.advance();
            },
            "say" => self.log(value),
            "burst" => {
                let lines: String = (0..number).map(|line| format!("line {line}\n")).collect();
                write(&mut stderr(), lines.as_bytes());
            }
            "no-newline" => write(&mut stderr(), b"no end"),
            "split" => {
                write(&mut stderr(), b"gr\xc3");
                pause(100);
                write(&mut stderr(), b"\xbcn\n");
            }
            "wait" => pause(number),
            "silent" => loop {
                pause(100_000);
            },
            "spin" => loop {
                std::hint::spin_loop();
            },
            "memory" => std::mem::forget(std::hint::black_box(vec![1_u8; (number as usize) << 20])),
            "exit" => std::process::exit(number.try_into().unwrap_or_default()),
            // SAFETY: it ends here.
            "die" => drop(unsafe { raise(SIGNAL_OF_DEATH) }),
            _ => {
                self.log(&format!("{word}: the stand-in knows no such word"));
                std::process::exit(1);
            }
        }
    }

    /// A line of the log, which stands in the report too.
    fn log(&mut self, line: &str) {
        let line = format!("{line}\n");
        write(&mut stderr(), line.as_bytes());
        if let Some(report) = &mut self.report {
            write(report, line.as_bytes());
        }
    }

    fn advance(&mut self) {
        self.frame += 1;
        let frame = self.frame;
        let block = format!(
            "frame={frame}\nfps=25.00\nstream_0_0_q=17.0\nbitrate= 100.0kbits/s\ntotal_size={}\nout_time_us={}\n\
             dup_frames=1\ndrop_frames=2\nspeed=1.01x\nprogress=continue\n",
            frame * 1000,
            frame * 40_000,
        );
        if let Some(progress) = &mut self.progress {
            write(progress, block.as_bytes());
        }
        pause(100);
    }
}

fn pause(milliseconds: u32) {
    std::thread::sleep(Duration::from_millis(milliseconds.into()));
}

/// Where nobody reads any more there is nobody to tell.
fn write(target: &mut impl Write, octets: &[u8]) {
    let _ = target.write_all(octets).and_then(|()| target.flush());
}

const PRELUDE: &str = "\
Input #0, lavfi, from 'testsrc=size=1280x720:rate=25':
  Duration: N/A, start: 0.000000, bitrate: N/A
  Stream #0:0: Video: rawvideo (RGB[24] / 0x18424752), rgb24, 1280x720 [SAR 1:1 DAR 16:9], 25 fps, 25 tbr, 25 tbn
  Stream #0:1(eng): Audio: pcm_u8, 44100 Hz, stereo, u8, 705 kb/s
  Stream #0:2: Audio: pcm_s16le, 48000 Hz, mono, s16, 768 kb/s
Stream mapping:
  Stream #0:0 -> #0:0 (rawvideo (native) -> h264 (libx264))
  Stream #0:1 -> #0:1 (copy)
Output #0, hls, to '/dev/null':
  Stream #0:0: Video: h264, yuv444p(tv, progressive), 1280x720 [SAR 1:1 DAR 16:9], q=2-31, 25 fps, 90k tbn
  Stream #0:1(eng): Audio: pcm_u8, 44100 Hz, stereo, u8, 705 kb/s
Press [q] to stop, [?] for help";
