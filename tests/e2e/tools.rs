//! Players and their languages, which the tests fetch from their registries into a folder below target, once for each list
//! of versions.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A file beside the tests.
pub fn here(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e").join(file)
}

/// Python of an environment of its own with what `requirements.txt` names: aiortc, and Node.js with npm.
pub fn python() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        made_once("python", &["requirements.txt"], |folder| {
            run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder));
            let pip = ["-m", "pip", "install", "--quiet", "-r"];
            run(Command::new(folder.join("bin/python")).args(pip).arg(here("requirements.txt")));
        })
    });
    folder.join("bin/python")
}

/// The script of a page that plays with the players of `players/package.json`.
pub fn players() -> &'static str {
    static SCRIPT: OnceLock<String> = OnceLock::new();
    SCRIPT.get_or_init(|| {
        let files = ["players/package.json", "players/package-lock.json", "players/players.js"];
        let folder = made_once("players", &files, |folder| {
            std::fs::create_dir_all(folder).expect("it can be made");
            for file in files.map(here) {
                let name = file.file_name().expect("it is a file");
                std::fs::copy(&file, folder.join(name)).expect("it can be copied");
            }
            let bin = python().parent().expect("it is in a folder").to_owned();
            let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
            run(Command::new(bin.join("npm"))
                .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
                .current_dir(folder)
                .env("PATH", &path));
            run(Command::new(folder.join("node_modules/.bin/esbuild"))
                .args(["players.js", "--bundle", "--outfile=bundle.js"])
                .current_dir(folder)
                .env("PATH", &path));
        });
        std::fs::read_to_string(folder.join("bundle.js")).expect("it was made")
    })
}

/// A folder that is made anew where what it is made from has changed.
fn made_once(name: &str, from: &[&str], make: impl Fn(&Path)) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let stamp = folder.join("made-from");
    let text = |file: &&str| std::fs::read_to_string(here(file)).expect("it is there");
    let wanted: String = from.iter().map(text).collect();
    if !std::fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        make(&folder);
        std::fs::write(stamp, wanted).expect("it can be written");
    }
    folder
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
