//! How often somebody may do what costs something: a token bucket for each client address, in memory.
//!
//! Nobody is ever locked out for good: a bucket fills again.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Addresses with a bucket of their own; the others share one.
const MAX_BUCKETS: usize = 4096;

/// How often a client address may do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// In a row, 1 or more.
    pub burst: u32,
    /// In a minute, after a burst; 0 turns the limit off.
    pub per_minute: u32,
}

/// The limits of the surface, each for one client address (one IPv6 /64).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Logins with a wrong password.
    pub logins: Limit,
    /// POSTs of an offer.
    pub offers: Limit,
}

impl Default for Limits {
    /// Ten wrong passwords, then one every 3 s. As many offers as there are viewers by default, then 20 a second: a
    /// class behind one address may reload at once, and may ask every 2 s for a stream that has not begun.
    fn default() -> Self {
        Self { logins: Limit { burst: 10, per_minute: 20 }, offers: Limit { burst: 300, per_minute: 1200 } }
    }
}

impl Limit {
    /// After a burst, one more after this long.
    fn interval(self) -> Duration {
        Duration::from_secs(60) / self.per_minute.max(1)
    }
}

/// The buckets of one limit.
#[derive(Debug)]
pub struct Throttle {
    limit: Limit,
    buckets: HashMap<Source, Bucket>,
}

/// Who has a bucket: an IPv4 address, or an IPv6 network, since whoever has one address of it has them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// An address, or the first one of its network.
    Address(IpAddr),
    /// Everybody who has no bucket of his own.
    Others,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn filled(self, limit: Limit, now: Instant) -> Self {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() / limit.interval().as_secs_f64();
        Self { tokens: (self.tokens + gained).min(f64::from(limit.burst)), at: now }
    }
}

impl Throttle {
    /// Full buckets for everybody.
    pub fn new(limit: Limit) -> Self {
        Self { limit, buckets: HashMap::new() }
    }

    /// Takes the price of an attempt, before anything else is done for it, so that attempts side by side count too. The
    /// error is the time until the next one is possible.
    pub fn take(&mut self, address: Option<IpAddr>, now: Instant) -> Result<Source, Duration> {
        if self.limit.per_minute == 0 {
            return Ok(Source::Others);
        }
        let source = self.source(address, now);
        let full = Bucket { tokens: f64::from(self.limit.burst), at: now };
        let bucket = self.buckets.entry(source).or_insert(full);
        *bucket = bucket.filled(self.limit, now);
        if bucket.tokens < 1.0 {
            return Err(self.limit.interval().mul_f64(1.0 - bucket.tokens));
        }
        bucket.tokens -= 1.0;
        Ok(source)
    }

    /// Gives the price back: the attempt is not one that counts.
    pub fn give_back(&mut self, source: Source) {
        if let Some(bucket) = self.buckets.get_mut(&source) {
            bucket.tokens = (bucket.tokens + 1.0).min(f64::from(self.limit.burst));
        }
    }

    fn source(&mut self, address: Option<IpAddr>, now: Instant) -> Source {
        let Some(address) = address else { return Source::Others };
        let source = Source::Address(network(address));
        if !self.buckets.contains_key(&source) && self.buckets.len() >= MAX_BUCKETS {
            let (limit, burst) = (self.limit, f64::from(self.limit.burst));
            self.buckets.retain(|_, bucket| bucket.filled(limit, now).tokens < burst);
            if self.buckets.len() >= MAX_BUCKETS {
                return Source::Others;
            }
        }
        source
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(3);

    fn logins() -> Throttle {
        Throttle::new(Limits::default().logins)
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    /// Attempts until one is refused.
    fn exhaust(throttle: &mut Throttle, address: Option<IpAddr>, now: Instant) -> usize {
        (0..1000).take_while(|_| throttle.take(address, now).is_ok()).count()
    }

    #[test]
    fn wrong_passwords_are_limited_and_the_limit_ends_by_itself() {
        let (mut throttle, now) = (logins(), Instant::now());
        assert_eq!(exhaust(&mut throttle, address("192.0.2.1"), now), 10);
        assert_eq!(throttle.take(address("192.0.2.1"), now), Err(INTERVAL));
        assert!(throttle.take(address("192.0.2.1"), now + INTERVAL).is_ok());
        assert_eq!(exhaust(&mut throttle, address("192.0.2.1"), now + INTERVAL * 1000), 10);
    }

    #[test]
    fn a_right_password_costs_nothing() {
        let (mut throttle, now) = (logins(), Instant::now());
        for _ in 0..100 {
            let source = throttle.take(address("192.0.2.1"), now).expect("it is never refused");
            throttle.give_back(source);
        }
    }

    #[test]
    fn one_address_does_not_lock_out_another_and_an_ipv6_network_is_one() {
        let (mut throttle, now) = (logins(), Instant::now());
        exhaust(&mut throttle, address("192.0.2.1"), now);
        assert!(throttle.take(address("192.0.2.2"), now).is_ok());
        assert!(throttle.take(address("::ffff:192.0.2.1"), now).is_err(), "the same address");
        exhaust(&mut throttle, address("2001:db8::1"), now);
        assert!(throttle.take(address("2001:db8::2"), now).is_err(), "the same network");
        assert!(throttle.take(address("2001:db8:0:1::1"), now).is_ok());
    }

    #[test]
    fn memory_is_bounded_and_idle_buckets_make_room() {
        let (mut throttle, now) = (logins(), Instant::now());
        for number in 0..10_000_u32 {
            let _ = throttle.take(Some(std::net::Ipv4Addr::from_bits(number).into()), now);
        }
        assert!(throttle.buckets.len() <= MAX_BUCKETS + 1);
        assert!(throttle.take(address("203.0.113.1"), now).is_err(), "the shared bucket is empty");
        assert!(throttle.take(address("203.0.113.1"), now + INTERVAL).is_ok());
    }

    #[test]
    fn a_limit_of_nothing_a_minute_is_off() {
        let (mut throttle, now) = (Throttle::new(Limit { burst: 1, per_minute: 0 }), Instant::now());
        assert_eq!(exhaust(&mut throttle, address("192.0.2.1"), now), 1000);
        assert!(throttle.buckets.is_empty());
    }

    #[test]
    fn a_class_behind_one_address_joins_at_once() {
        let (mut throttle, now) = (Throttle::new(Limits::default().offers), Instant::now());
        assert_eq!(exhaust(&mut throttle, address("192.0.2.1"), now), 300);
        // Forty players who ask every 2 s, as Retry-After tells them, for a minute.
        let refused = (0..1200).filter(|ask| {
            throttle
                .take(address("192.0.2.1"), now + Duration::from_secs(2) + Duration::from_millis(50) * *ask)
                .is_err()
        });
        assert_eq!(refused.count(), 0);
    }
}
