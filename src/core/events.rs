//! The last events of the program's own log, for those who ask over HTTP.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When, unix milliseconds.
    pub at: i64,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: &'static str,
    /// What happened.
    pub message: String,
    /// The rest, by name.
    pub fields: Map<String, Value>,
}

/// The last events; a clone shares them.
#[derive(Clone, Debug)]
pub struct Events {
    most: usize,
    events: Arc<Mutex<VecDeque<Event>>>,
}

impl Events {
    /// Keeps so many events.
    pub fn new(most: usize) -> Self {
        Self { most, events: Arc::default() }
    }

    /// Takes an event, and forgets the oldest where there are too many.
    pub fn push(&self, event: Event) {
        let mut events = self.events.lock().expect("nothing panics while it is held");
        events.push_back(event);
        while events.len() > self.most {
            events.pop_front();
        }
    }

    /// The events as they are now, oldest first.
    pub fn snapshot(&self) -> Vec<Event> {
        self.events.lock().expect("nothing panics while it is held").iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_events_stay() {
        let events = Events::new(2);
        for at in 0..5 {
            events.push(Event { at, level: "info", message: String::new(), fields: Map::new() });
        }
        assert_eq!(events.snapshot().iter().map(|event| event.at).collect::<Vec<_>>(), [3, 4]);
    }
}
