//! The two rules of docs/architecture.md, checked from the source itself: pure rooms decide and IO rooms do, and IO rooms
//! never see each other. The table of rooms stands in that document and nowhere else.

mod rules;
mod tree;

use std::fs;
use std::path::Path;

use rules::{Table, violations};
use tree::Tree;

#[test]
fn the_rooms_keep_to_their_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = Table::parse(&fs::read_to_string(root.join("docs/architecture.md")).expect("the document is there"));
    let found = violations(&Tree::read(&root.join("src")), &table);
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// A house of four rooms. `words` and `ideas` are pure, `disk` and `wire` do IO.
const TABLE: &str = "
| room | kind | may use |
|---|---|---|
| `words` | pure | - |
| `ideas` | pure | `words` |
| `disk` | IO | `ideas` |
| `wire` | IO | `words`, `ideas` |
| `app` | top | all |
| `main` | top | all |
";

const HOUSE: [(&str, &str); 8] = [
    ("lib.rs", "pub mod app;\npub mod disk;\npub mod ideas;\npub mod wire;\npub mod words;\n"),
    ("main.rs", "use dragonfork::app;\nfn main() { app::run() }\n"),
    (
        "app.rs",
        "use crate::disk;\nuse crate::wire;\npub fn run() { disk::read(std::time::Instant::now()); wire::send() }\n",
    ),
    ("disk.rs", "use crate::ideas::Idea;\npub fn read() -> Idea { std::fs::read(\"x\"); Idea }\n"),
    ("wire.rs", "use crate::ideas::Idea;\nuse crate::words;\nuse std::net::UdpSocket;\n"),
    (
        "ideas.rs",
        "//! Not the same as [`crate::disk`].\nmod draft;\nuse crate::words::Word;\nuse std::net::{IpAddr, SocketAddr};\n\
         pub struct Idea;\n#[cfg(test)]\nmod tests { use super::*; use std::fs; use crate::disk; }\n",
    ),
    ("ideas/draft.rs", "use super::Idea;\nuse std::time::Instant;\nuse tokio::sync::{mpsc, oneshot};\n"),
    ("words.rs", "/* use crate::disk; */\npub struct Word;\nconst NAME: &str = \"std::fs::read\"; // crate::wire\n"),
];

/// What is found in the house after `changes` were made to it.
fn found_after(changes: &[(&str, &str)]) -> Vec<String> {
    found_with(TABLE, changes)
}

fn found_with(table: &str, changes: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, text) in HOUSE.iter().chain(changes) {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    violations(&Tree::read(folder.path()), &Table::parse(table))
}

#[test]
fn a_sound_house_has_no_violation() {
    assert_eq!(found_after(&[]), [] as [String; 0]);
}

#[test]
fn an_io_room_that_sees_another_is_found() {
    assert_eq!(
        found_after(&[("disk.rs", "use crate::ideas::Idea;\nuse crate::wire;\n")]),
        ["disk.rs:2: `disk` must not use `wire`"]
    );
}

#[test]
fn an_edge_without_a_use_line_is_found() {
    assert_eq!(
        found_after(&[("words.rs", "pub fn say() {\n    crate::disk::read();\n}\n")]),
        ["words.rs:2: `words` must not use `disk`"]
    );
    assert_eq!(
        found_after(&[("words.rs", "macro_rules! say { () => { $crate::disk::read() } }\n")]),
        ["words.rs:1: `words` must not use `disk`"]
    );
}

#[test]
fn an_edge_in_a_nested_file_is_found() {
    assert_eq!(
        found_after(&[("ideas/draft.rs", "use crate::app::run;\n")]),
        ["ideas/draft.rs:1: `ideas` must not use `app`"]
    );
}

#[test]
fn a_way_out_of_the_room_by_super_is_found() {
    let out = "goes out of the room by `super`; write `crate`";
    assert_eq!(
        found_after(&[("words.rs", "use super::disk;\n")]),
        [format!("words.rs:1: `super::disk` {out}"), "words.rs:1: `words` must not use `disk`".into()]
    );
    assert_eq!(
        found_after(&[("ideas/draft.rs", "mod inner { use super::super::super::words; }\n")]),
        [format!("ideas/draft.rs:1: `super::super::super::words` {out}")]
    );
}

#[test]
fn several_rooms_in_one_use_line_are_found() {
    assert_eq!(
        found_after(&[("wire.rs", "use crate::{ideas::Idea, words::Word};\n")]),
        ["wire.rs:1: one `use` line names `ideas` and `words`; write one line per room"]
    );
}

#[test]
fn a_second_use_line_of_one_room_is_found() {
    assert_eq!(
        found_after(&[("wire.rs", "use crate::words::Word;\nuse crate::words::Name;\n")]),
        ["wire.rs:2: a second `use` line of `words`; write one line per room"]
    );
}

#[test]
fn io_in_a_pure_room_is_found() {
    for (text, named) in [
        ("use std::fs;", "std::fs"),
        ("use std::{fmt, fs::File};", "std::fs::File"),
        ("fn f() { std::env::var(\"HOME\"); }", "std::env::var"),
        ("use std::process::Command;", "std::process::Command"),
        ("use std::thread;", "std::thread"),
        ("use std::net::{IpAddr, UdpSocket};", "std::net::UdpSocket"),
        ("use std::net;", "std::net"),
        ("use std::net::*;", "std::net::*"),
        ("fn f() { Instant::now(); }", "Instant::now"),
        ("fn f() { std::time::SystemTime::now(); }", "std::time::SystemTime::now"),
        ("fn f(at: Instant) { at.elapsed(); }", ".elapsed"),
        ("use tokio::net::UdpSocket;", "tokio::net::UdpSocket"),
        ("use tokio::sync::Mutex;", "tokio::sync::Mutex"),
        ("fn f() { tokio::spawn(async {}); }", "tokio::spawn"),
        ("use socket2::Socket;", "socket2::Socket"),
        ("fn f() { println!(\"x\"); }", "println!"),
    ] {
        assert_eq!(
            found_after(&[("words.rs", text)]),
            [format!("words.rs:1: the pure room `words` must not use `{named}`")],
            "{text}"
        );
    }
}

#[test]
fn io_behind_a_test_of_a_pure_room_is_found() {
    assert_eq!(
        found_after(&[("words.rs", "#[cfg(test)]\nmod tests { use std::fs; }\nuse std::env;\n")]),
        ["words.rs:3: the pure room `words` must not use `std::env`"]
    );
}

#[test]
fn a_file_that_no_module_declares_is_found() {
    assert_eq!(found_after(&[("ideas/lost.rs", "")]), ["ideas/lost.rs: no module declares this file"]);
    assert_eq!(found_after(&[("words/mod.rs", "")]), ["words/mod.rs: no module declares this file"]);
}

#[test]
fn a_file_of_tests_is_declared_and_free() {
    assert_eq!(
        found_after(&[
            ("words.rs", "#[cfg(test)]\nmod tests;\n"),
            ("words/tests.rs", "mod more;\nuse std::fs;\n"),
            ("words/tests/more.rs", "use std::env;\n"),
        ]),
        [] as [String; 0]
    );
}

#[test]
fn a_module_without_its_file_is_found() {
    assert_eq!(
        found_after(&[("words.rs", "#[path = \"../elsewhere.rs\"]\nmod hidden;\n")]),
        ["words/hidden.rs: a module declares this file, and it is not there"]
    );
}

#[test]
fn a_room_that_the_table_does_not_know_is_found() {
    let table = TABLE.replace("| `disk` | IO | `ideas` |\n", "");
    assert_eq!(found_with(&table, &[]), ["`disk` has no row in the table", "disk.rs:1: `disk` must not use `ideas`"]);
}

#[test]
fn a_row_without_a_room_is_found() {
    let table = format!("{TABLE}| `attic` | IO | - |\n");
    assert_eq!(found_with(&table, &[]), ["`attic` is in the table and is no module of the library"]);
}

#[test]
fn a_table_that_breaks_the_rules_itself_is_found() {
    let row = |room: &str, kind: &str, uses: &str| format!("| `{room}` | {kind} | {uses} |\n");
    let sees_io = TABLE.replace(&row("ideas", "pure", "`words`"), &row("ideas", "pure", "`words`, `disk`"));
    assert_eq!(found_with(&sees_io, &[]), ["the table lets `ideas` use `disk`, which is not pure"]);
    let sees_another = TABLE.replace(&row("disk", "IO", "`ideas`"), &row("disk", "IO", "`ideas`, `wire`"));
    assert_eq!(found_with(&sees_another, &[]), ["the table lets `disk` use `wire`, which is not pure"]);
    let circle = TABLE.replace(&row("words", "pure", "-"), &row("words", "pure", "`ideas`"));
    assert_eq!(found_with(&circle, &[]), ["the table has a circle through `ideas`, `words`"]);
}
