//! Python with what a list of requirements names.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Python of an environment of its own with what the list names, which is made once for each list. To be called once by
/// each program of tests for a name.
pub fn environment(name: &str, requirements: &Path) -> PathBuf {
    let wanted = std::fs::read_to_string(requirements).expect("it is there");
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (python, stamp) = (environment.join("bin/python"), environment.join("made-from"));
    if std::fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return python;
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment));
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "-r"]).arg(requirements));
    std::fs::write(stamp, wanted).expect("it can be written");
    python
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
