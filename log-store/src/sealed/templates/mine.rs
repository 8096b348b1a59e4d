//! Finding the templates of a column: equal fixed parts with variables in equal places are one template.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::TEMPLATES_MAX;
use super::split::{Cut, Variables};

/// Skeletons that are followed while texts come in; further ones are of no template.
const SKELETONS_MAX: usize = 4 * TEMPLATES_MAX;
/// A template of fewer texts does not pay.
const ROWS_MIN: u32 = 6;
/// Of the first so many texts, at most a share may begin a skeleton.
const PROBE: usize = 4096;
/// Stands for "no template".
const NONE: u32 = u32::MAX;

/// The templates of a column, by frequency, and the texts of each.
#[derive(Debug)]
pub(crate) struct Mined<'t> {
    pub templates: Vec<Skeleton<'t>>,
    /// Texts of no template, ascending.
    pub plain: Vec<u32>,
}

/// A template: its fixed parts, and where its variables stand.
#[derive(Debug)]
pub(crate) struct Skeleton<'t> {
    pub fixed: Vec<u8>,
    pub cuts: Vec<u16>,
    /// Numbers of its texts, ascending.
    pub numbers: Vec<u32>,
    /// These texts.
    pub texts: Vec<&'t [u8]>,
    /// Where the variables stand in them, text by text.
    spans: Vec<(u16, u16)>,
}

impl<'t> Skeleton<'t> {
    /// The values of a variable, by text.
    pub fn values(&self, slot: usize) -> impl Iterator<Item = &'t [u8]> + '_ {
        let spans = self.spans.iter().skip(slot).step_by(self.cuts.len().max(1));
        let span = |(start, end): &(u16, u16)| usize::from(*start)..usize::from(*end);
        self.texts.iter().zip(spans).map(move |(text, at)| text.get(span(at)).unwrap_or_default())
    }
}

/// Skeletons while texts come in, in two arenas.
#[derive(Default)]
struct Seen {
    fixed: Vec<u8>,
    cuts: Vec<u16>,
    /// Ends in `fixed` and `cuts`, and how many texts.
    ends: Vec<(usize, usize, u32)>,
    table: HashTable<u32>,
}

impl Seen {
    fn parts(&self, number: u32) -> (&[u8], &[u16]) {
        let at = number as usize;
        let (fixed, cuts) = at.checked_sub(1).map_or((0, 0), |before| (self.ends[before].0, self.ends[before].1));
        (&self.fixed[fixed..self.ends[at].0], &self.cuts[cuts..self.ends[at].1])
    }

    /// The number of a skeleton; [`NONE`] if it is new and there are too many.
    fn add(&mut self, cut: &Cut) -> u32 {
        let hashed = hash(&cut.fixed, &cut.cuts);
        let have = self.table.find(hashed, |have| self.parts(*have) == (&cut.fixed, &cut.cuts)).copied();
        if let Some(number) = have {
            self.ends[number as usize].2 += 1;
            return number;
        }
        if self.ends.len() >= SKELETONS_MAX {
            return NONE;
        }
        let number = self.ends.len() as u32;
        self.fixed.extend_from_slice(&cut.fixed);
        self.cuts.extend_from_slice(&cut.cuts);
        self.ends.push((self.fixed.len(), self.cuts.len(), 1));
        let mut table = std::mem::take(&mut self.table);
        table.insert_unique(hashed, number, |have| {
            let (fixed, cuts) = self.parts(*have);
            hash(fixed, cuts)
        });
        self.table = table;
        number
    }
}

fn hash(fixed: &[u8], cuts: &[u16]) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    hasher.write(fixed);
    hasher.write_u64(cuts.iter().fold(0, |all: u64, cut| all.rotate_left(11) ^ u64::from(*cut)));
    hasher.finish()
}

/// Finds the templates of `count` texts; `None` if too few texts share one.
pub(crate) fn mine<'t>(count: usize, text: impl Fn(usize) -> &'t [u8], variables: &Variables) -> Option<Mined<'t>> {
    let (mut seen, mut cut) = (Seen::default(), Cut::default());
    let mut numbers = Vec::with_capacity(count);
    // Those of all texts that have a skeleton, one after the other.
    let mut spans = Vec::new();
    let (mut strays, strays_max) = (0, count / 3);
    for index in 0..count {
        let number = if cut.cut(text(index), variables) { seen.add(&cut) } else { NONE };
        if number == NONE {
            strays += 1;
            if strays > strays_max {
                return None;
            }
        } else {
            spans.extend_from_slice(&cut.spans);
        }
        numbers.push(number);
        if index + 1 == PROBE && seen.ends.len() > PROBE / 2 {
            return None;
        }
    }
    let rows_min = ROWS_MIN.min(1 + count as u32 / 64);
    let mut order: Vec<u32> = (0..seen.ends.len() as u32).filter(|at| seen.ends[*at as usize].2 >= rows_min).collect();
    order.sort_by_key(|number| std::cmp::Reverse(seen.ends[*number as usize].2));
    // One is for the texts of no template.
    order.truncate(TEMPLATES_MAX - 1);
    let mut ranks = vec![NONE; seen.ends.len()];
    let mut templates = Vec::with_capacity(order.len());
    for (rank, number) in order.iter().enumerate() {
        ranks[*number as usize] = rank as u32;
        let (fixed, cuts) = seen.parts(*number);
        let many = seen.ends[*number as usize].2 as usize;
        templates.push(Skeleton {
            fixed: fixed.to_vec(),
            cuts: cuts.to_vec(),
            numbers: Vec::with_capacity(many),
            texts: Vec::with_capacity(many),
            spans: Vec::with_capacity(many * cuts.len()),
        });
    }
    let mut plain = Vec::new();
    let mut spans = spans.as_slice();
    // What belongs to a template is put together here, where texts are read in their order: one by one they lie far apart.
    for (index, number) in numbers.iter().enumerate() {
        let slots = if *number == NONE { 0 } else { seen.parts(*number).1.len() };
        let (of_text, rest) = spans.split_at(slots);
        spans = rest;
        match ranks.get(*number as usize).and_then(|rank| templates.get_mut(*rank as usize)) {
            Some(template) => {
                template.numbers.push(index as u32);
                template.texts.push(text(index));
                template.spans.extend_from_slice(of_text);
            }
            None => plain.push(index as u32),
        }
    }
    (plain.len() <= strays_max).then_some(Mined { templates, plain })
}
