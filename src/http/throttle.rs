//! How often somebody may give a wrong password: a token bucket for each address, in memory.
//!
//! Nobody is ever locked out for good: a bucket fills again, and a right password costs nothing.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Wrong passwords in a row.
const BURST: f64 = 10.0;
/// One more after this long.
const INTERVAL: Duration = Duration::from_secs(3);
/// Addresses with a bucket of their own; the others share one.
const MAX_BUCKETS: usize = 4096;

/// The buckets.
#[derive(Debug, Default)]
pub struct Throttle {
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
    fn filled(self, now: Instant) -> Self {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() / INTERVAL.as_secs_f64();
        Self { tokens: (self.tokens + gained).min(BURST), at: now }
    }
}

impl Throttle {
    /// Takes the price of an attempt, before the password is looked at, so that attempts side by side count too. The
    /// error is the time until the next one is possible.
    pub fn take(&mut self, address: Option<IpAddr>, now: Instant) -> Result<Source, Duration> {
        let source = self.source(address, now);
        let bucket = self.buckets.entry(source).or_insert(Bucket { tokens: BURST, at: now });
        *bucket = bucket.filled(now);
        if bucket.tokens < 1.0 {
            return Err(INTERVAL.mul_f64(1.0 - bucket.tokens));
        }
        bucket.tokens -= 1.0;
        Ok(source)
    }

    /// Gives the price back: the password was right.
    pub fn give_back(&mut self, source: Source) {
        if let Some(bucket) = self.buckets.get_mut(&source) {
            bucket.tokens = (bucket.tokens + 1.0).min(BURST);
        }
    }

    fn source(&mut self, address: Option<IpAddr>, now: Instant) -> Source {
        let Some(address) = address else { return Source::Others };
        let source = Source::Address(network(address));
        if !self.buckets.contains_key(&source) && self.buckets.len() >= MAX_BUCKETS {
            self.buckets.retain(|_, bucket| bucket.filled(now).tokens < BURST);
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

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    /// Attempts until one is refused.
    fn exhaust(throttle: &mut Throttle, address: Option<IpAddr>, now: Instant) -> usize {
        (0..1000).take_while(|_| throttle.take(address, now).is_ok()).count()
    }

    #[test]
    fn wrong_passwords_are_limited_and_the_limit_ends_by_itself() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        assert_eq!(exhaust(&mut throttle, address("192.0.2.1"), now), 10);
        assert_eq!(throttle.take(address("192.0.2.1"), now), Err(INTERVAL));
        assert!(throttle.take(address("192.0.2.1"), now + INTERVAL).is_ok());
        assert_eq!(exhaust(&mut throttle, address("192.0.2.1"), now + INTERVAL * 1000), 10);
    }

    #[test]
    fn a_right_password_costs_nothing() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..100 {
            let source = throttle.take(address("192.0.2.1"), now).expect("it is never refused");
            throttle.give_back(source);
        }
    }

    #[test]
    fn one_address_does_not_lock_out_another_and_an_ipv6_network_is_one() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        exhaust(&mut throttle, address("192.0.2.1"), now);
        assert!(throttle.take(address("192.0.2.2"), now).is_ok());
        assert!(throttle.take(address("::ffff:192.0.2.1"), now).is_err(), "the same address");
        exhaust(&mut throttle, address("2001:db8::1"), now);
        assert!(throttle.take(address("2001:db8::2"), now).is_err(), "the same network");
        assert!(throttle.take(address("2001:db8:0:1::1"), now).is_ok());
    }

    #[test]
    fn memory_is_bounded_and_idle_buckets_make_room() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for number in 0..10_000_u32 {
            let _ = throttle.take(Some(std::net::Ipv4Addr::from_bits(number).into()), now);
        }
        assert!(throttle.buckets.len() <= MAX_BUCKETS + 1);
        assert!(throttle.take(address("203.0.113.1"), now).is_err(), "the shared bucket is empty");
        assert!(throttle.take(address("203.0.113.1"), now + INTERVAL).is_ok());
    }
}
