//! The script: when the database slows down, when it refuses connections, when all is well again.

/// What state the shop is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// All is well.
    Calm,
    /// Queries take a second and more.
    SlowDatabase,
    /// Most connections to the database are refused.
    RefusedConnections,
}

impl Phase {
    /// What a person is told when it begins.
    pub const fn announcement(self) -> &'static str {
        match self {
            Phase::Calm => "all is well again",
            Phase::SlowDatabase => "the database slows down",
            Phase::RefusedConnections => "the database refuses connections",
        }
    }
}

/// An incident that comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// From one incident to the next, milliseconds.
    pub cycle_ms: i64,
    /// When in a cycle the database slows down.
    pub slow_from_ms: i64,
    /// When it begins to refuse connections.
    pub refused_from_ms: i64,
    /// When all is well again.
    pub until_ms: i64,
}

impl Script {
    /// What happens while somebody watches: every five minutes, the first time after twenty seconds.
    pub const LIVE: Script =
        Script { cycle_ms: 300_000, slow_from_ms: 20_000, refused_from_ms: 50_000, until_ms: 95_000 };
    /// What has happened before: once in ninety minutes.
    pub const HISTORY: Script =
        Script { cycle_ms: 5_400_000, slow_from_ms: 2_400_000, refused_from_ms: 2_700_000, until_ms: 3_000_000 };

    /// The same so many times faster; 0 counts as 1.
    pub fn faster(self, speed: u32) -> Script {
        let speed = i64::from(speed.max(1));
        Script {
            cycle_ms: self.cycle_ms / speed,
            slow_from_ms: self.slow_from_ms / speed,
            refused_from_ms: self.refused_from_ms / speed,
            until_ms: self.until_ms / speed,
        }
    }

    /// The phase so long after the beginning of the first cycle.
    pub fn phase(&self, since_ms: i64) -> Phase {
        let at = since_ms.rem_euclid(self.cycle_ms);
        if at < self.slow_from_ms || at >= self.until_ms {
            Phase::Calm
        } else if at < self.refused_from_ms {
            Phase::SlowDatabase
        } else {
            Phase::RefusedConnections
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_follow_the_script_and_come_back() {
        for cycle in 0..3 {
            for (at, phase) in [
                (0, Phase::Calm),
                (19_999, Phase::Calm),
                (20_000, Phase::SlowDatabase),
                (50_000, Phase::RefusedConnections),
                (94_999, Phase::RefusedConnections),
                (95_000, Phase::Calm),
                (299_999, Phase::Calm),
            ] {
                assert_eq!(Script::LIVE.phase(cycle * 300_000 + at), phase, "{cycle} {at}");
            }
        }
    }
}
