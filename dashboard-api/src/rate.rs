//! Limits of how often: a token bucket for each key or address, in a table of bounded size.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Most buckets at a time. Past it, whoever has none yet shares one.
const BUCKETS_MAX: usize = 65_536;
/// Full tables are looked through for buckets that are full again at most this often.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Token buckets, one for each `K`.
///
/// A bucket is kept as the time at which it will be full again (GCRA): one that is full is like one that is not there.
#[derive(Debug)]
pub struct Buckets<K> {
    /// Time in which one token comes back.
    interval: Duration,
    /// Time in which an empty bucket fills.
    window: Duration,
    table: Mutex<Table<K>>,
}

#[derive(Debug)]
struct Table<K> {
    full_at: HashMap<K, Instant>,
    /// Of all that the table has no room for.
    shared: Option<Instant>,
    swept: Option<Instant>,
}

impl<K: Hash + Eq> Buckets<K> {
    /// Buckets that hold `burst` tokens and get one each `interval`.
    pub fn new(burst: u32, interval: Duration) -> Buckets<K> {
        let table = Table { full_at: HashMap::new(), shared: None, swept: None };
        Buckets { interval, window: interval.saturating_mul(burst.max(1)), table: Mutex::new(table) }
    }

    /// So many per second, as many at once.
    pub fn per_second(rate: u32) -> Buckets<K> {
        let rate = rate.max(1);
        Buckets::new(rate, Duration::from_secs(1) / rate)
    }

    /// Takes a token. Errors: there is none; after this time there is one.
    pub fn take(&self, key: K, now: Instant) -> Result<(), Duration> {
        let mut table = self.table.lock();
        let table = &mut *table;
        if !table.full_at.contains_key(&key) && table.full_at.len() >= BUCKETS_MAX {
            table.sweep(now);
            if table.full_at.len() >= BUCKETS_MAX {
                let taken = self.next(table.shared, now)?;
                table.shared = Some(taken);
                return Ok(());
            }
        }
        let taken = self.next(table.full_at.get(&key).copied(), now)?;
        table.full_at.insert(key, taken);
        Ok(())
    }

    /// Gives a token back that was taken in vain.
    pub fn give_back(&self, key: &K) {
        let mut table = self.table.lock();
        if let Some(full_at) = table.full_at.get_mut(key) {
            *full_at = full_at.checked_sub(self.interval).unwrap_or(*full_at);
        }
    }

    /// When a bucket will be full once a token is taken from it.
    fn next(&self, full_at: Option<Instant>, now: Instant) -> Result<Instant, Duration> {
        let full_at = full_at.map_or(now, |full_at| full_at.max(now)) + self.interval;
        let over = full_at.saturating_duration_since(now).saturating_sub(self.window);
        if over.is_zero() { Ok(full_at) } else { Err(over) }
    }
}

impl<K> Table<K> {
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < SWEEP_EVERY) {
            return;
        }
        self.swept = Some(now);
        self.full_at.retain(|_, full_at| *full_at > now);
    }
}

/// What counts as one address: an IPv4 address, or the /64 of an IPv6 one, which one customer has whole.
pub fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
    }
}

/// Whole seconds, at least one, for `Retry-After`.
pub fn whole_seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(u32::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills() {
        let buckets = Buckets::new(3, Duration::from_secs(2));
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        for _ in 0..3 {
            assert_eq!(buckets.take("a", begun), Ok(()));
        }
        assert_eq!(buckets.take("a", begun), Err(Duration::from_secs(2)));
        assert_eq!(buckets.take("b", begun), Ok(()));
        assert_eq!(buckets.take("a", at(1)), Err(Duration::from_secs(1)));
        assert_eq!(buckets.take("a", at(2)), Ok(()));
        assert_eq!(buckets.take("a", at(2)), Err(Duration::from_secs(2)));
        buckets.give_back(&"a");
        assert_eq!(buckets.take("a", at(2)), Ok(()));
        // However long it is left alone, it holds no more than at first.
        for _ in 0..3 {
            assert_eq!(buckets.take("a", at(1000)), Ok(()));
        }
        assert!(buckets.take("a", at(1000)).is_err());
    }

    #[test]
    fn the_table_is_bounded_and_makes_room_by_itself() {
        let buckets = Buckets::new(2, Duration::from_secs(1));
        let begun = Instant::now();
        for number in 0..BUCKETS_MAX {
            assert_eq!(buckets.take(number, begun), Ok(()));
        }
        // All others share one bucket.
        assert_eq!(buckets.take(BUCKETS_MAX, begun), Ok(()));
        assert_eq!(buckets.take(BUCKETS_MAX + 1, begun), Ok(()));
        assert!(buckets.take(BUCKETS_MAX + 2, begun).is_err());
        assert_eq!(buckets.table.lock().full_at.len(), BUCKETS_MAX);
        // Known ones keep theirs.
        assert_eq!(buckets.take(0, begun), Ok(()));
        let later = begun + Duration::from_secs(5);
        assert_eq!(buckets.take(BUCKETS_MAX + 2, later), Ok(()));
        assert_eq!(buckets.table.lock().full_at.len(), 1);
    }

    #[test]
    fn addresses_of_one_customer_are_one() {
        let of = |text: &str| neighbourhood(text.parse().expect("an address"));
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::from_millis(2001)), 3);
    }
}
