//! The figures: kept as JSON, shown as a table, and written into the documentation from that JSON.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// All that one run measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// `full` or `short`.
    pub mode: String,
    /// What it was measured on.
    pub machine: Machine,
    /// What was compared, with versions.
    pub software: Vec<String>,
    /// What was done, in words that hold the parameters.
    pub method: Vec<String>,
    /// What could not be measured, and why.
    pub left_out: Vec<String>,
    /// The figures, in the order in which they are shown.
    pub figures: Vec<Figure>,
}

/// One figure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figure {
    /// Its name, `group/what/...`.
    pub name: String,
    /// The heading that it is shown under.
    pub group: String,
    /// What it is, for people.
    pub what: String,
    /// Median of the repetitions.
    pub value: f64,
    /// Smallest of them.
    pub min: f64,
    /// Largest of them.
    pub max: f64,
    /// Number of them.
    pub repetitions: usize,
    /// Unit; empty for a ratio.
    pub unit: String,
    /// What was measured beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// What it must reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// What else is to be known about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Something that was measured in the same repetitions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reference {
    /// Its name.
    pub name: String,
    /// Median of its repetitions.
    pub value: f64,
}

/// What a figure must reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Target {
    fn is_reached(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }
}

impl Figure {
    /// A figure of some repetitions, of which there is at least one.
    pub fn new(group: &str, name: &str, what: impl Into<String>, unit: &str, samples: &[f64]) -> Self {
        Self {
            name: name.into(),
            group: group.into(),
            what: what.into(),
            value: median(samples),
            min: samples.iter().copied().fold(f64::INFINITY, f64::min),
            max: samples.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            repetitions: samples.len(),
            unit: unit.into(),
            reference: None,
            target: None,
            note: None,
        }
    }

    /// With what was measured beside it.
    pub fn beside(mut self, name: &str, samples: &[f64]) -> Self {
        self.reference = Some(Reference { name: name.into(), value: median(samples) });
        self
    }

    /// With what it must reach.
    pub fn target(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }

    /// With what else is to be known.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    fn cells(&self) -> [String; 5] {
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        let range = if self.repetitions > 1 {
            format!("{} to {} ({})", number(self.min), number(self.max), self.repetitions)
        } else {
            "once".into()
        };
        let beside = self.reference.as_ref();
        let beside = beside.map_or_else(String::new, |beside| format!("{} {}", beside.name, number(beside.value)));
        let target = match self.target {
            None => String::new(),
            Some(target) => {
                let (word, limit) = match target {
                    Target::AtMost(limit) => ("at most", limit),
                    Target::AtLeast(limit) => ("at least", limit),
                };
                let reached = if target.is_reached(self.value) { "reached" } else { "**not reached**" };
                format!("{word} {}: {reached}", number(limit))
            }
        };
        let what = match &self.note {
            None => self.what.clone(),
            Some(note) => format!("{} ({note})", self.what),
        };
        [what, format!("{}{unit}", number(self.value)), range, beside, target]
    }
}

/// A count with its noun: `1 viewer`, `10 viewers`.
pub fn count(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// The middle one, or the mean of the two in the middle.
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// The value that so many of a hundred are not above.
pub fn percentile(samples: &mut [u32], percent: usize) -> f64 {
    samples.sort_unstable();
    let at = (samples.len() * percent).div_ceil(100).saturating_sub(1);
    samples.get(at).map_or(f64::NAN, |value| f64::from(*value))
}

fn number(value: f64) -> String {
    let digits = match value.abs() {
        large if large >= 100.0 => 0,
        large if large >= 10.0 => 1,
        large if large >= 0.1 => 2,
        _ => 4,
    };
    let text = format!("{value:.digits$}");
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What the operator's part of the page stands between.
const BEGIN: &str = "<!-- Written by `make bench-operator` from target/bench/operator.json. -->";
const END: &str = "<!-- The end of the operator's part. -->";

/// A page with this as its operator's part.
pub fn with_operator(page: &str, section: &str) -> String {
    let before = page.split_once(BEGIN).map_or(page, |(before, _)| before).trim_end();
    let after = page.split_once(END).map_or("", |(_, after)| after.trim());
    let mut text = format!("{before}\n\n{BEGIN}\n\n{}\n\n{END}\n", section.trim());
    if !after.is_empty() {
        text.push_str(&format!("\n{after}\n"));
    }
    text
}

/// The operator's part of a page, where it has one.
pub fn operator_of(page: &str) -> Option<&str> {
    Some(page.split_once(BEGIN)?.1.split_once(END)?.0.trim())
}

const HEADINGS: [&str; 5] = ["What", "Median", "From, to (repetitions)", "Beside it", "Target"];

impl Report {
    /// Writes it as JSON.
    pub fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
    }

    /// Reads what [`Self::write`] wrote.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no report", path.display()))
    }

    fn groups(&self) -> Vec<(&str, Vec<&Figure>)> {
        let mut groups: Vec<(&str, Vec<&Figure>)> = Vec::new();
        for figure in &self.figures {
            match groups.iter_mut().find(|(group, _)| *group == figure.group) {
                Some((_, figures)) => figures.push(figure),
                None => groups.push((&figure.group, vec![figure])),
            }
        }
        groups
    }

    /// The table for a terminal.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for (group, figures) in self.groups() {
            let rows: Vec<[String; 5]> = figures.iter().map(|figure| figure.cells()).collect();
            let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            let _ = writeln!(text, "\n{group}");
            for row in &rows {
                let cells = row.iter().enumerate().map(|(at, cell)| format!("{cell:<width$}", width = width(at)));
                let _ = writeln!(text, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
            }
        }
        for reason in &self.left_out {
            let _ = writeln!(text, "\nLeft out: {reason}");
        }
        text
    }

    /// The page of the documentation.
    pub fn page(&self) -> String {
        let mut text = String::from(
            "# Performance\n\n<!-- Written by `make bench` from target/bench/egress.json. Change benches/egress, not this \
             file. -->\n\n`make bench` measures what WebRTC viewers cost, beside others, in one run and with real \
             handshakes (ICE, DTLS, SRTP),\nand writes this page. `BENCH_SHORT=1 make bench` takes a short look and \
             leaves the page as it is. The same figures are in\n`target/bench/egress.json` for programs.\n\n",
        );
        self.describe_machine(&mut text);
        self.describe_figures(&mut text);
        text
    }

    /// A part of a page, with a machine of its own.
    pub fn section(&self) -> String {
        let mut text = String::new();
        let page = {
            self.describe_machine(&mut text);
            self.describe_figures(&mut text);
            text
        };
        page.replace("\n## ", "\n### ")
            .replace("## Machine", "## The operator\n\n### Machine of the operator's figures")
    }

    fn describe_figures(&self, text: &mut String) {
        let list = |text: &mut String, heading: &str, lines: &[String]| {
            if !lines.is_empty() {
                let _ = writeln!(text, "## {heading}\n");
                lines.iter().for_each(|line| text.push_str(&format!("- {line}\n")));
                text.push('\n');
            }
        };
        list(text, "What was compared", &self.software);
        for (group, figures) in self.groups() {
            let _ = writeln!(text, "## {group}\n\n| {} |\n|---|---|---|---|---|", HEADINGS.join(" | "));
            for figure in figures {
                let _ = writeln!(text, "| {} |", figure.cells().join(" | "));
            }
            text.push('\n');
        }
        list(text, "What was left out", &self.left_out);
        list(text, "How it was measured", &self.method);
        text.truncate(text.trim_end().len());
        text.push('\n');
    }

    fn describe_machine(&self, text: &mut String) {
        let machine = &self.machine;
        let _ = write!(
            text,
            "## Machine\n\n| | |\n|---|---|\n| Processor | {} |\n| Cores | {} |\n| Kernel | {} |\n| Memory | {} MiB |\n\
             | Used by others meanwhile | {} of a core |\n| Taken by the hypervisor meanwhile | {} of a core |\n\n",
            machine.cpu,
            machine.cores,
            machine.kernel,
            machine.memory_mib,
            number(machine.others),
            number(machine.stolen)
        );
    }
}
