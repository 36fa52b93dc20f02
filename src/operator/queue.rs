//! What is to be done when: each key once, never twice at a time, and as early as somebody asked for.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::key::Key;

/// What comes in quick succession is done once.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// Keys, each with the time at which it is due.
#[derive(Default)]
pub struct Queue {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    due: BTreeMap<(Instant, u64), Key>,
    at: HashMap<Key, (Instant, u64)>,
    /// Those under way, with the time at which each is due again.
    busy: HashMap<Key, Option<Instant>>,
    counter: u64,
}

impl Inner {
    fn add(&mut self, key: Key, at: Instant) {
        if let Some(again) = self.busy.get_mut(&key) {
            *again = Some(again.map_or(at, |before| before.min(at)));
            return;
        }
        match self.at.get(&key) {
            Some((before, _)) if *before <= at => return,
            Some(place) => drop(self.due.remove(place)),
            None => {}
        }
        self.counter += 1;
        let place = (at, self.counter);
        self.due.insert(place, key.clone());
        self.at.insert(key, place);
    }
}

impl Queue {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be done in a moment, together with what else comes until then.
    pub fn soon(&self, key: Key) {
        self.after(key, DEBOUNCE);
    }

    /// To be done after this time, unless it is due earlier.
    pub fn after(&self, key: Key, delay: Duration) {
        self.inner().add(key, Instant::now() + delay);
        self.changed.notify_one();
    }

    /// The next key that is due, and how long it has been.
    pub async fn next(&self) -> (Key, Duration) {
        loop {
            let changed = self.changed.notified();
            let first = {
                let mut inner = self.inner();
                let now = Instant::now();
                match inner.due.first_key_value() {
                    Some((place, _)) if place.0 <= now => {
                        let (place, key) = inner.due.pop_first().expect("there is a first");
                        inner.at.remove(&key);
                        inner.busy.insert(key.clone(), None);
                        return (key, now - place.0);
                    }
                    Some((place, _)) => Some(place.0),
                    None => None,
                }
            };
            match first {
                Some(at) => tokio::select! { () = tokio::time::sleep_until(at) => {}, () = changed => {} },
                None => changed.await,
            }
        }
    }

    /// It was done; to be done again after this time, and earlier where somebody asked for that meanwhile.
    pub fn done(&self, key: Key, again: Option<Duration>) {
        let mut inner = self.inner();
        let asked = inner.busy.remove(&key).flatten();
        for at in again.map(|delay| Instant::now() + delay).into_iter().chain(asked) {
            inner.add(key.clone(), at);
        }
        drop(inner);
        self.changed.notify_one();
    }

    /// How many are due, and how many are under way.
    pub fn depth(&self) -> (usize, usize) {
        let inner = self.inner();
        let now = Instant::now();
        (inner.due.range(..=(now, u64::MAX)).count(), inner.busy.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("n", name)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_for_twice_is_done_once_and_at_the_earlier_time() {
        let (queue, start) = (Queue::default(), Instant::now());
        queue.after(key("a"), Duration::from_secs(9));
        queue.after(key("a"), Duration::from_secs(2));
        queue.after(key("a"), Duration::from_secs(5));
        assert_eq!(queue.next().await.0, key("a"));
        assert_eq!(start.elapsed().as_secs(), 2);
        queue.done(key("a"), None);
        let more = tokio::time::timeout(Duration::from_secs(60), queue.next()).await;
        assert!(more.is_err(), "{more:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_under_way_is_not_given_out_again_before_it_is_done() {
        let queue = Queue::default();
        queue.soon(key("a"));
        queue.next().await;
        queue.soon(key("a"));
        queue.soon(key("b"));
        assert_eq!(queue.next().await.0, key("b"));
        assert!(tokio::time::timeout(Duration::from_secs(60), queue.next()).await.is_err());
        assert_eq!(queue.depth(), (0, 2));
        queue.done(key("a"), Some(Duration::from_secs(100)));
        assert_eq!(queue.next().await.0, key("a"), "what was asked for meanwhile does not wait");
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_while_somebody_waits_is_given_to_them() {
        let queue = std::sync::Arc::new(Queue::default());
        queue.after(key("late"), Duration::from_secs(100));
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next().await.0 }
        });
        tokio::task::yield_now().await;
        queue.soon(key("early"));
        assert_eq!(waiting.await.expect("it ends"), key("early"));
    }
}
