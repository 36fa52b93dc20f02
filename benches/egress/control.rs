//! The processes of the benchmark: each plays a role, takes orders as lines of JSON and answers each with one.
//!
//! A role ends when its orders end, so none outlives the benchmark.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The longest that an order may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Cores that a process may run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cores {
    /// Every core.
    All,
    /// The first one alone.
    First,
    /// All but the first one.
    Others,
}

#[derive(Serialize, Deserialize)]
enum Outcome<T> {
    Done(T),
    Failed(String),
}

/// A process that plays a role.
pub struct Child {
    role: &'static str,
    process: std::process::Child,
    orders: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Child {
    /// Starts this program again, in a role.
    pub fn start(role: &'static str, cores: Cores) -> Result<Self> {
        let program = std::env::current_exe().context("where this program is")?;
        let cores = match cores {
            Cores::All => "all",
            Cores::First => "first",
            Cores::Others => "others",
        };
        let mut process = Command::new(program)
            .args([role, cores])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start the {role}"))?;
        let orders = process.stdin.take();
        let stdout = process.stdout.take().context("its output is piped")?;
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { role, process, orders, answers })
    }

    /// Gives an order and waits for its answer.
    pub fn ask<T: DeserializeOwned>(&mut self, order: &impl Serialize) -> Result<T> {
        let orders = self.orders.as_mut().context("orders are open until the end")?;
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        orders.write_all(&line).with_context(|| format!("the {} takes no order", self.role))?;
        let answer = self.answers.recv_timeout(PATIENCE).map_err(|_| anyhow!("the {} does not answer", self.role))?;
        match serde_json::from_str(&answer).with_context(|| format!("the {} said {answer:?}", self.role))? {
            Outcome::Done(answer) => Ok(answer),
            Outcome::Failed(why) => bail!("the {} failed: {why}", self.role),
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.orders = None;
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The orders that come; the process ends with them.
pub fn orders<T: DeserializeOwned + Send + 'static>() -> Receiver<T> {
    let (sender, orders) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            match serde_json::from_str(&line) {
                Ok(order) => {
                    if sender.send(order).is_err() {
                        break;
                    }
                }
                Err(error) => answer::<()>(&Err(anyhow!("{line:?} is no order: {error}"))),
            }
        }
        std::process::exit(0);
    });
    orders
}

/// Answers an order.
pub fn answer<T: Serialize>(answer: &Result<T>) {
    let outcome = match answer {
        Ok(answer) => Outcome::Done(answer),
        Err(error) => Outcome::Failed(format!("{error:#}")),
    };
    let line = serde_json::to_string(&outcome).expect("answers are plain data");
    println!("{line}");
}

/// Keeps this process, and all threads that it will have, on some cores. Nothing to do where there is one core.
pub fn stay_on(cores: &str) -> Result<()> {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let chosen = match cores {
        "first" if count > 1 => 0..1,
        "others" if count > 1 => 1..count,
        _ => return Ok(()),
    };
    // SAFETY: the set is plain data, and the call reads as many octets of it as it has.
    let done = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        chosen.for_each(|core| libc::CPU_SET(core, &mut set));
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    if done != 0 { Err(std::io::Error::last_os_error()).context("choose cores") } else { Ok(()) }
}
