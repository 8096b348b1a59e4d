//! A set of levels: what every predicate on `level` comes down to.

use watchfire_model::Level;

/// Some of the eight levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LevelSet(u8);

impl LevelSet {
    /// Every level.
    pub const ALL: LevelSet = LevelSet(0xff);

    /// The levels for which `wanted` holds.
    pub fn of(wanted: impl Fn(Level) -> bool) -> LevelSet {
        LevelSet(Level::ALL.into_iter().filter(|level| wanted(*level)).fold(0, |bits, level| bits | 1 << level as u8))
    }

    /// Whether a level is among them.
    #[inline]
    pub fn contains(self, level: Level) -> bool {
        self.0 >> level as u8 & 1 == 1
    }

    /// A bit for each level, by its number.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Those that are there, least severe first.
    pub fn iter(self) -> impl Iterator<Item = Level> {
        Level::ALL.into_iter().filter(move |level| self.contains(*level))
    }
}

/// The predicate that this set is, without the field's name; it reads back to the same set.
impl std::fmt::Display for LevelSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let levels: Vec<Level> = self.iter().collect();
        let (first, last) = match levels.as_slice() {
            [] => return f.write_str("/^$/"),
            [level] => return write!(f, "{level}"),
            [first, .., last] => (*first, *last),
        };
        let gapless = levels.len() == usize::from(last as u8 - first as u8) + 1;
        match (gapless, first, last) {
            (true, Level::Trace, Level::Fatal) => f.write_str("*"),
            (true, _, Level::Fatal) => write!(f, ">={first}"),
            (true, Level::Trace, _) => write!(f, "<={last}"),
            (true, _, _) => write!(f, "[{first} TO {last}]"),
            (false, _, _) => {
                let names: Vec<&str> = levels.iter().map(|level| level.as_str()).collect();
                write!(f, "/^({})$/", names.join("|"))
            }
        }
    }
}
