//! Filter graphs: which filters of a graph open files and addresses.

use super::options::names_place;
use super::words::{WHITE, pairs, word};

/// Filters that are there to open something, by whatever name it is given.
const OPENERS: [&str; 12] = [
    "amovie",
    "asendcmd",
    "azmq",
    "frei0r",
    "frei0r_src",
    "ladspa",
    "lv2",
    "movie",
    "ocv",
    "openclsrc",
    "sendcmd",
    "zmq",
];

/// What of a graph opens something that is not among the addresses of a manifest. What cannot be read is FFmpeg's to
/// refuse.
pub fn check(graph: &str) -> Result<(), String> {
    let mut rest = graph.trim_start_matches(WHITE);
    if rest.starts_with("sws_flags=") {
        rest = rest.split_once(';').map_or("", |(_, rest)| rest);
    }
    while !rest.is_empty() {
        rest = behind_labels(rest);
        let (name, behind) = word(rest, &['=', ',', ';', '[']);
        let (arguments, behind) = match behind.strip_prefix('=') {
            Some(arguments) => word(arguments, &['[', ']', ',', ';']),
            None => (String::new(), behind),
        };
        check_filter(name.split('@').next().unwrap_or_default(), &arguments)?;
        rest = behind_labels(behind);
        rest = match rest.chars().next() {
            Some(',' | ';') => &rest[1..],
            // FFmpeg refuses it.
            Some(_) => rest.split_once([',', ';']).map_or("", |(_, rest)| rest),
            None => "",
        };
    }
    Ok(())
}

fn behind_labels(text: &str) -> &str {
    let mut rest = text.trim_start_matches(WHITE);
    while let Some(label) = rest.strip_prefix('[') {
        rest = label.split_once(']').map_or("", |(_, rest)| rest).trim_start_matches(WHITE);
    }
    rest
}

fn check_filter(name: &str, arguments: &str) -> Result<(), String> {
    if OPENERS.contains(&name) {
        return Err(format!("the filter {name} opens what access lists cannot be asked about"));
    }
    let (options, _) = pairs(arguments, &[]);
    for (option, value) in options {
        // The only text that a filter shows.
        if option != "text" && names_place(&value) {
            return Err(format!(
                "the filter {name} is given an address or a path, which access lists cannot be asked about"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphs_that_compute_are_let_through() {
        for graph in [
            "",
            "null",
            "testsrc=size=1280x720:rate=25",
            "crop=trunc(iw/2)*2:trunc(ih/2)*2",
            "[0:v]scale=640:-2[a];[1:a]aresample=async=1[b]",
            "drawtext=font=sans:text='see https\\://example.org/':x=(w - tw) / 2:y=h/2",
            "drawtext=text='%{localtime\\:%H\\\\\\:%M}',format=yuv420p [out0]; aevalsrc=exprs='0.2*sin(2*PI*t)' [out1]",
            "setpts=PTS/1.1,fps=30000/1001",
            "sws_flags=bicubic;[in]split[a][b];[a][b]overlay=x='(W - w)/2':y=0",
            "drawtext=fontfile=font.ttf:text=x",
        ] {
            assert_eq!(check(graph), Ok(()), "{graph}");
        }
    }

    #[test]
    fn filters_that_open_something_are_found_however_they_are_written() {
        for graph in [
            "movie=/etc/passwd",
            "movie=film.mp4[a];[0:v][a]overlay",
            "null,amovie=x",
            "[0:v] null [a] ; movie@b=film.mp4 [c]",
            r"mo\vie=film.mp4",
            "'movie'=film.mp4",
            "sws_flags=bicubic;movie=x",
            "null,\n movie = x",
            "subtitles=/etc/passwd",
            r"subtitles=http\://example.org/x",
            "subtitles=filename='/etc/passwd'",
            "drawtext=textfile=/etc/passwd",
            "drawtext=text=x:textfile=../secret",
            "lut3d=/etc/passwd",
            "metadata=print:file=/etc/x",
            "metadata=mode=print:file='/etc/x'",
            r"ass=concat\:/etc/a",
            "sendcmd=f=x",
            "ladspa=f=x",
        ] {
            let error = check(graph).expect_err(graph);
            assert!(error.contains("access lists") && !error.contains("/etc"), "{error}");
        }
    }
}
