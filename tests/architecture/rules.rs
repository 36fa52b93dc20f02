//! The rules, on what [`Tree`] reads.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{File, Name, Tree};

/// Parts of the standard library that are IO as a whole.
const IO_MODULES: [&str; 6] = ["env", "fs", "net", "os", "process", "thread"];
/// What of `std::net` is a plain value.
const ADDRESSES: [&str; 7] =
    ["AddrParseError", "IpAddr", "Ipv4Addr", "Ipv6Addr", "SocketAddr", "SocketAddrV4", "SocketAddrV6"];
/// What of tokio is a plain channel.
const CHANNELS: [&str; 4] = ["broadcast", "mpsc", "oneshot", "watch"];
/// Crates that are IO as a whole.
const IO_CRATES: [&str; 9] =
    ["axum", "if_addrs", "libc", "mio", "notify", "quinn_udp", "rustix", "socket2", "tower_http"];
/// Macros that write.
const IO_MACROS: [&str; 5] = ["dbg!", "eprint!", "eprintln!", "print!", "println!"];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Pure,
    Io,
    Top,
}

/// The rooms, and what each may use.
pub struct Table(BTreeMap<String, (Kind, BTreeSet<String>)>);

impl Table {
    /// Reads the rows ``| `room` | pure, IO or top | `what`, `it`, `may use` | ...`` of a document.
    pub fn parse(document: &str) -> Self {
        let mut rows = BTreeMap::new();
        for line in document.lines() {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let [_, room, kind, uses, ..] = cells[..] else { continue };
            let kind = match kind {
                "pure" => Kind::Pure,
                "IO" => Kind::Io,
                "top" => Kind::Top,
                _ => continue,
            };
            let uses = uses.split(',').filter_map(|used| quoted(used.trim())).collect();
            rows.extend(quoted(room).map(|room| (room, (kind, uses))));
        }
        assert!(!rows.is_empty(), "the document has no table of rooms");
        Self(rows)
    }

    fn is_pure(&self, room: &str) -> bool {
        self.0.get(room).is_some_and(|(kind, _)| *kind == Kind::Pure)
    }

    fn allows(&self, room: &str, used: &str) -> bool {
        self.0.get(room).is_some_and(|(kind, uses)| *kind == Kind::Top || uses.contains(used))
    }

    /// Where the table itself breaks the rules.
    fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (room, (kind, uses)) in &self.0 {
            for used in uses.iter().filter(|used| *kind != Kind::Top && !self.is_pure(used)) {
                found.push(format!("the table lets `{room}` use `{used}`, which is not pure"));
            }
        }
        let mut open: BTreeMap<_, _> = self.0.iter().filter(|(room, _)| self.is_pure(room)).collect();
        while let Some(room) = open
            .iter()
            .find(|(_, (_, uses))| uses.iter().all(|used| !open.contains_key(used)))
            .map(|(room, _)| (*room).clone())
        {
            open.remove(&room);
        }
        if !open.is_empty() {
            found.push(format!("the table has a circle through {}", list(open.into_keys())));
        }
        found
    }
}

fn quoted(cell: &str) -> Option<String> {
    cell.strip_prefix('`')?.strip_suffix('`').map(str::to_owned)
}

fn list(words: impl IntoIterator<Item = impl std::fmt::Display>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// Everything in the tree that the rules forbid, and where the table itself breaks them.
pub fn violations(tree: &Tree, table: &Table) -> Vec<String> {
    let rooms: BTreeSet<&str> = tree.files.iter().filter_map(|file| file.module.first()).map(String::as_str).collect();
    let mut found = table.violations();
    found.extend(tree.missing.iter().map(|path| format!("{path}: a module declares this file, and it is not there")));
    found.extend(tree.undeclared.iter().map(|path| format!("{path}: no module declares this file")));
    let unknown = rooms.iter().filter(|room| !table.0.contains_key(**room));
    found.extend(unknown.map(|room| format!("`{room}` has no row in the table")));
    let empty = table.0.keys().filter(|room| *room != "main" && !rooms.contains(room.as_str()));
    found.extend(empty.map(|room| format!("`{room}` is in the table and is no module of the library")));
    for file in &tree.files {
        let room = match file.module.first() {
            Some(room) => room,
            None if file.path == "main.rs" => "main",
            None => continue,
        };
        edges(file, room, table, &mut found);
        if table.is_pure(room) {
            let io = file.names.iter().filter(|name| is_io(&name.segments));
            found.extend(io.map(|name| {
                let named = name.segments.join("::");
                format!("{}:{}: the pure room `{room}` must not use `{named}`", file.path, name.line)
            }));
        }
    }
    found
}

/// Edges that the table does not have, and edges that are hard to see.
fn edges(file: &File, room: &str, table: &Table, found: &mut Vec<String>) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut statements: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
    for name in &file.names {
        let at = format!("{}:{}", file.path, name.line);
        let Some((used, by_super)) = edge(name) else { continue };
        if by_super {
            let written = name.segments.join("::");
            found.push(format!("{at}: `{written}` goes out of the room by `super`; write `crate`"));
        }
        if used != room && !table.allows(room, used) {
            found.push(format!("{at}: `{room}` must not use `{used}`"));
        }
        let Some(statement) = name.statement else { continue };
        let rooms = statements.entry(statement).or_default();
        if rooms.insert(used) && rooms.len() == 2 {
            let both: Vec<String> = rooms.iter().map(|room| format!("`{room}`")).collect();
            found.push(format!("{at}: one `use` line names {}; write one line per room", both.join(" and ")));
        }
        if *seen.entry(used).or_insert(statement) != statement {
            found.push(format!("{at}: a second `use` line of `{used}`; write one line per room"));
        }
    }
}

/// The room that a path leads to, if it starts at the crate's root, and whether it gets there by `super`.
fn edge(name: &Name) -> Option<(&str, bool)> {
    let supers = name.segments.iter().take_while(|segment| *segment == "super").count();
    let by_super = supers > 0 && supers >= name.depth;
    let from_root = by_super || ["crate", "dragonfork"].contains(&name.segments[0].as_str());
    let used = name.segments.get(supers.max(1)).filter(|_| from_root)?;
    Some((used, by_super))
}

/// Whether a path, macro or method reads a clock, socket, file, process or environment.
fn is_io(segments: &[String]) -> bool {
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments[..] {
        ["std", "net", kind, ..] => !ADDRESSES.contains(&kind),
        ["std", module, ..] if IO_MODULES.contains(&module) => true,
        ["tokio", "sync", kind, ..] => !CHANNELS.contains(&kind),
        ["tokio", ..] | [.., _, "now"] | [".elapsed"] => true,
        [name, ..] => IO_CRATES.contains(&name) || IO_MACROS.contains(&name),
        [] => false,
    }
}
