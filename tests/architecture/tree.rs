//! A source tree as far as the rules ask: which files modules declare, and which paths each file names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

/// All files of a crate's `src`.
pub struct Tree {
    /// What modules declare and is there, from `lib.rs` and `main.rs` on.
    pub files: Vec<File>,
    /// Declared, and not there.
    pub missing: Vec<String>,
    /// There, and not declared.
    pub undeclared: Vec<String>,
}

/// One source file.
#[derive(Default)]
pub struct File {
    /// Path below `src`.
    pub path: String,
    /// Module path; empty for the roots.
    pub module: Vec<String>,
    /// What it names outside its tests, in the order of the text.
    pub names: Vec<Name>,
    /// Modules that it declares in other files, and whether for tests alone.
    modules: Vec<(Vec<String>, bool)>,
    statements: usize,
}

/// One path, macro or method that a file names.
pub struct Name {
    /// Line in the file.
    pub line: usize,
    /// `std`, `fs`, `read`; a macro ends with `!`, a method begins with `.`.
    pub segments: Vec<String>,
    /// Depth of the module in which it stands; a root's is 0.
    pub depth: usize,
    /// Number of the `use` statement that it is a leaf of, where it is one.
    pub statement: Option<usize>,
}

impl Tree {
    /// Reads the tree below `src`.
    pub fn read(src: &Path) -> Self {
        let mut tree = Self { files: Vec::new(), missing: Vec::new(), undeclared: Vec::new() };
        let mut declared = BTreeSet::new();
        let mut open = vec![("main.rs".to_owned(), Vec::new(), false), ("lib.rs".to_owned(), Vec::new(), false)];
        while let Some((path, module, is_test)) = open.pop() {
            declared.insert(path.clone());
            let Ok(text) = fs::read_to_string(src.join(&path)) else {
                tree.missing.push(path);
                continue;
            };
            let mut file = File::parse(path, module, &text);
            for (module, only_tests) in file.modules.drain(..) {
                open.push((format!("{}.rs", module.join("/")), module, is_test || only_tests));
            }
            if !is_test {
                tree.files.push(file);
            }
        }
        collect(src, "", &mut tree.undeclared);
        tree.undeclared.retain(|path| !declared.contains(path));
        tree.files.sort_by(|one, other| one.path.cmp(&other.path));
        tree
    }
}

/// Source files below `src`.
fn collect(src: &Path, below: &str, into: &mut Vec<String>) {
    for entry in fs::read_dir(src.join(below)).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read");
        let name = entry.file_name().into_string().expect("names are UTF-8");
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if entry.path().is_dir() {
            collect(src, &path, into);
        } else if path.ends_with(".rs") {
            into.push(path);
        }
    }
    into.sort();
}

impl File {
    fn parse(path: String, module: Vec<String>, text: &str) -> Self {
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut file = Self { path, module: module.clone(), ..Self::default() };
        file.walk(tokens, &module);
        file
    }

    /// Takes in what stands in `tokens`, which are in the module `within`.
    fn walk(&mut self, tokens: TokenStream, within: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut rest = tokens.as_slice();
        while let Some(token) = rest.first() {
            if let Some(tests) = test_item(rest) {
                if let Some((name, after)) = module_name(tests)
                    && is_punct(after.first(), ';')
                {
                    self.modules.push((joined(within, &name), true));
                }
                rest = &rest[rest.len() - after_item(tests).len()..];
            } else if is_ident(token, "use") {
                let end = rest.iter().position(|token| is_punct(Some(token), ';')).unwrap_or(rest.len());
                self.statements += 1;
                self.leaves(&rest[1..end], &[], within.len());
                rest = &rest[end..];
            } else if let Some((name, after)) = module_name(rest) {
                let inner = joined(within, &name);
                match after.first() {
                    Some(TokenTree::Group(body)) => self.walk(body.stream(), &inner),
                    _ => self.modules.push((inner, false)),
                }
                rest = &after[1..];
            } else if let TokenTree::Group(group) = token {
                self.walk(group.stream(), within);
                rest = &rest[1..];
            } else if let TokenTree::Ident(first) = token {
                let (segments, after) = path(rest);
                rest = after;
                if segments.len() > 1 {
                    self.name(first, segments, within.len(), None);
                } else if is_punct(rest.first(), '!') {
                    self.name(first, vec![format!("{first}!")], within.len(), None);
                }
            } else if let (true, Some(TokenTree::Ident(method))) = (is_punct(Some(token), '.'), rest.get(1)) {
                self.name(method, vec![format!(".{method}")], within.len(), None);
                rest = &rest[2..];
            } else {
                rest = &rest[1..];
            }
        }
    }

    /// Takes in the leaves of the tree of a `use` statement.
    fn leaves(&mut self, tokens: &[TokenTree], prefix: &[String], depth: usize) {
        for tree in tokens.split(|token| is_punct(Some(token), ',')) {
            let tree =
                tree.iter().position(|token| matches!(token, TokenTree::Ident(_))).map_or(tree, |at| &tree[at..]);
            let Some(TokenTree::Ident(first)) = tree.first() else { continue };
            let (mut segments, after) = path(tree);
            segments.splice(0..0, prefix.iter().cloned());
            match after.iter().find(|token| !is_punct(Some(token), ':')) {
                Some(TokenTree::Group(group)) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    self.leaves(&inner, &segments, depth);
                    continue;
                }
                Some(TokenTree::Punct(star)) if star.as_char() == '*' => segments.push("*".into()),
                _ => {}
            }
            self.name(first, segments, depth, Some(self.statements));
        }
    }

    fn name(&mut self, at: &Ident, segments: Vec<String>, depth: usize, statement: Option<usize>) {
        self.names.push(Name { line: at.span().start().line, segments, depth, statement });
    }
}

/// The tokens behind `#[cfg(test)]`, where that is what comes first.
fn test_item(tokens: &[TokenTree]) -> Option<&[TokenTree]> {
    let [hash, TokenTree::Group(attribute), item @ ..] = tokens else { return None };
    let is_test = attribute.delimiter() == Delimiter::Bracket
        && attribute.stream().to_string().replace(' ', "").starts_with("cfg(test)");
    (is_punct(Some(hash), '#') && is_test).then_some(item)
}

/// What comes behind an item: it ends with its first block or semicolon.
fn after_item(tokens: &[TokenTree]) -> &[TokenTree] {
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        token => is_punct(Some(token), ';'),
    };
    tokens.iter().position(ends).map_or(&[], |end| &tokens[end + 1..])
}

/// The name of a module that begins here, and what follows the name.
fn module_name(tokens: &[TokenTree]) -> Option<(String, &[TokenTree])> {
    let [word, TokenTree::Ident(name), after @ ..] = tokens else { return None };
    (is_ident(word, "mod") && !after.is_empty()).then(|| (name.to_string(), after))
}

/// A path that begins with the identifier at the front, and what follows it.
fn path(tokens: &[TokenTree]) -> (Vec<String>, &[TokenTree]) {
    let mut segments = Vec::new();
    let mut rest = tokens;
    while let Some(TokenTree::Ident(segment)) = rest.first() {
        segments.push(segment.to_string());
        rest = &rest[1..];
        match rest {
            [one, other, TokenTree::Ident(_), ..] if is_punct(Some(one), ':') && is_punct(Some(other), ':') => {
                rest = &rest[2..];
            }
            _ => break,
        }
    }
    (segments, rest)
}

fn joined(module: &[String], name: &str) -> Vec<String> {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

fn is_ident(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == word)
}

fn is_punct(token: Option<&TokenTree>, sign: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}
