//! How far a destination has come: which samples of the log, and which running totals, are settled.

/// A place in all that is sent. Samples of the log and running totals are counted each by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// The next sample of the log: number of its record, and which of its samples.
    pub(crate) log: (u64, u32),
    /// The last running total: its time in milliseconds, and the number of its series.
    pub(crate) totals: (i64, u64),
}

impl Place {
    /// Takes over what another place is further.
    pub(crate) fn reach(&mut self, other: Place) {
        self.log = self.log.max(other.log);
        self.totals = self.totals.max(other.totals);
    }

    /// The least of some places, each half by itself.
    pub(crate) fn least(places: &[Place]) -> Place {
        let log = places.iter().map(|place| place.log).min().unwrap_or_default();
        let totals = places.iter().map(|place| place.totals).min().unwrap_or_default();
        Place { log, totals }
    }

    fn greatest(places: &[Place]) -> Place {
        let mut all = Place::default();
        places.iter().for_each(|place| all.reach(*place));
        all
    }
}

/// The shard of a series. It depends on nothing but the two numbers, also after a restart.
pub(crate) fn shard_of(series: u64, shards: usize) -> usize {
    let mixed = series.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    (mixed % shards.max(1) as u64) as usize
}

/// What is settled. Shards settle at their own pace, and when there become more or fewer of them, the sets before say which
/// samples of the stretch that is read again are settled already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// A set of places by shard for each number of shards that there was; the last one is that of now. Never empty, nor is
    /// any of them.
    sets: Vec<Vec<Place>>,
}

impl Settled {
    /// Nothing behind a place is.
    pub(crate) fn upto(place: Place, shards: usize) -> Settled {
        Settled { sets: vec![vec![place; shards.max(1)]] }
    }

    /// Of sets that were read back; `None` if there is none, or an empty one.
    pub(crate) fn of(sets: Vec<Vec<Place>>) -> Option<Settled> {
        (!sets.is_empty() && sets.iter().all(|set| !set.is_empty())).then_some(Settled { sets })
    }

    pub(crate) fn sets(&self) -> &[Vec<Place>] {
        &self.sets
    }

    /// The places of the shards of now.
    pub(crate) fn shards(&self) -> &[Place] {
        self.sets.last().map(Vec::as_slice).unwrap_or_default()
    }

    /// A shard has come so far.
    pub(crate) fn reach(&mut self, shard: usize, place: Place) {
        if let Some(have) = self.sets.last_mut().and_then(|set| set.get_mut(shard)) {
            have.reach(place);
        }
    }

    /// Everything before it is settled, in all shards.
    pub(crate) fn frontier(&self) -> Place {
        Place::least(self.shards())
    }

    /// From now on there are so many shards. What is not settled is to be read again from the frontier.
    pub(crate) fn reshard(&mut self, shards: usize) {
        let frontier = self.frontier();
        if self.shards().len() != shards.max(1) {
            self.sets.push(vec![frontier; shards.max(1)]);
        }
        self.forget();
    }

    /// Lets sets go that say nothing any more.
    pub(crate) fn forget(&mut self) {
        let frontier = self.frontier();
        let now = self.sets.len().saturating_sub(1);
        let mut number = 0;
        self.sets.retain(|set| {
            number += 1;
            let greatest = Place::greatest(set);
            number > now || greatest.log > frontier.log || greatest.totals > frontier.totals
        });
    }

    /// Whether a sample of the log is settled.
    pub(crate) fn has_sample(&self, series: u64, at: (u64, u32)) -> bool {
        self.sets.iter().any(|set| set.get(shard_of(series, set.len())).is_some_and(|place| at < place.log))
    }

    /// Whether a running total is.
    pub(crate) fn has_total(&self, series: u64, at: i64) -> bool {
        self.sets
            .iter()
            .any(|set| set.get(shard_of(series, set.len())).is_some_and(|place| (at, series) <= place.totals))
    }
}

/// Requests that were under way when we ended: nobody knows which of them were taken. Each was taken as a whole or not at
/// all, and a receiver that has a part of a request may refuse the rest with it; so what is in one of them is not to be mixed
/// with anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UnderWay {
    /// For each time that we ended, by shard, how far its request went; the oldest first.
    sets: Vec<Vec<Place>>,
}

/// Ends that are remembered while nothing gets any further.
const ENDS_MAX: usize = 64;

impl UnderWay {
    /// Of sets that were read back.
    pub(crate) fn of(sets: Vec<Vec<Place>>) -> UnderWay {
        UnderWay { sets }
    }

    pub(crate) fn sets(&self) -> &[Vec<Place>] {
        &self.sets
    }

    /// With the requests of now, and without those that are settled or a part of earlier ones.
    pub(crate) fn with(&self, now: Vec<Place>, settled: &Settled) -> UnderWay {
        let frontier = settled.frontier();
        let goes_on = |place: &Place| place.log > frontier.log || place.totals > frontier.totals;
        let mut sets: Vec<Vec<Place>> = Vec::new();
        for set in self.sets.iter().chain([&now]) {
            let is_part = |of: &Vec<Place>| {
                let within = |(place, of): (&Place, &Place)| place.log <= of.log && place.totals <= of.totals;
                of.len() == set.len() && set.iter().zip(of).all(within)
            };
            if set.iter().any(goes_on) && !sets.iter().any(is_part) {
                sets.push(set.clone());
            }
        }
        sets.drain(..sets.len().saturating_sub(ENDS_MAX));
        UnderWay { sets }
    }

    /// Which of the requests a sample of the log was in first; a number of its own if in none.
    pub(crate) fn of_sample(&self, series: u64, at: (u64, u32)) -> usize {
        self.first(series, |place| at < place.log)
    }

    /// The same of a running total.
    pub(crate) fn of_total(&self, series: u64, at: i64) -> usize {
        self.first(series, |place| (at, series) <= place.totals)
    }

    fn first(&self, series: u64, within: impl Fn(&Place) -> bool) -> usize {
        let is_in = |set: &Vec<Place>| set.get(shard_of(series, set.len())).is_some_and(&within);
        self.sets.iter().position(is_in).unwrap_or(self.sets.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(record: u64, sample: u32) -> Place {
        Place { log: (record, sample), totals: (0, 0) }
    }

    /// A series of a shard.
    fn of_shard(shard: usize, shards: usize) -> u64 {
        (1..).find(|series| shard_of(*series, shards) == shard).expect("there is one")
    }

    #[test]
    fn each_shard_settles_by_itself() {
        let mut settled = Settled::upto(log(5, 0), 2);
        let (first, second) = (of_shard(0, 2), of_shard(1, 2));
        settled.reach(0, log(9, 3));
        assert!(settled.has_sample(first, (9, 2)) && !settled.has_sample(first, (9, 3)));
        assert!(settled.has_sample(second, (4, 9)) && !settled.has_sample(second, (5, 0)));
        assert_eq!(settled.frontier(), log(5, 0));
        settled.reach(1, Place { log: (7, 1), totals: (60_000, 3) });
        assert_eq!(settled.frontier(), Place { log: (7, 1), totals: (0, 0) });
        let third = (second..).find(|series| shard_of(*series, 2) == 1 && *series > 3).expect("there is one");
        assert!(settled.has_total(third, 59_999) && !settled.has_total(third, 60_000));
    }

    #[test]
    fn requests_under_way_are_told_apart_until_they_are_settled() {
        let (first, second) = (of_shard(0, 2), of_shard(1, 2));
        let settled = Settled::upto(log(5, 0), 2);
        let once = UnderWay::default().with(vec![log(7, 0), log(5, 0)], &settled);
        // It was a part of the same request the next time, too, and got further in the other shard.
        let twice = once.with(vec![log(6, 0), log(5, 0)], &settled).with(vec![log(6, 0), log(9, 0)], &settled);
        assert_eq!(twice.sets().len(), 2);
        assert_eq!([5, 6, 7].map(|record| twice.of_sample(first, (record, 0))), [0, 0, 2]);
        assert_eq!([5, 8, 9].map(|record| twice.of_sample(second, (record, 0))), [1, 1, 2]);
        assert_eq!(twice.with(Vec::new(), &Settled::upto(log(7, 0), 2)).sets().len(), 1);
        assert_eq!(twice.with(Vec::new(), &Settled::upto(log(9, 0), 2)), UnderWay::default());
        let totals = UnderWay::of(vec![vec![Place { log: (5, 0), totals: (60_000, 3) }]]);
        assert_eq!([(3, 60_000), (4, 60_000), (4, 59_000)].map(|(series, at)| totals.of_total(series, at)), [0, 1, 0]);
    }

    #[test]
    fn what_was_settled_by_other_shards_stays_settled_until_it_is_passed() {
        let mut settled = Settled::upto(log(5, 0), 2);
        let (first, second) = (of_shard(0, 2), of_shard(1, 2));
        settled.reach(0, log(9, 0));
        settled.reshard(3);
        assert_eq!(settled.sets().len(), 2);
        assert_eq!(settled.frontier(), log(5, 0));
        assert!(settled.has_sample(first, (8, 0)) && !settled.has_sample(second, (8, 0)));
        (0..3).for_each(|shard| settled.reach(shard, log(9, 0)));
        settled.forget();
        assert_eq!(settled.sets().len(), 1);
        settled.reshard(3);
        assert_eq!(settled, Settled::upto(log(9, 0), 3));
    }
}
