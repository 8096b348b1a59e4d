//! Matchers against an index: which series satisfy all of them.
//!
//! Equality goes by postings. A regular expression that is only a set of texts becomes that set; one with a
//! fixed beginning, or a fixed text inside, is tried only on the values that have it. Negative matchers, and all that a
//! missing label satisfies, subtract the postings of the values that do not match.

use std::cell::RefCell;
use std::collections::HashMap;

use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Hir, HirKind};
use roaring::RoaringBitmap;
use watchfire_model::{MatchOp, Matcher};

use crate::automaton::Automaton;
use crate::pairs::Pairs;
use crate::shard::TOGETHER;
use crate::slots::SlotSet;
use crate::values::Sieve;

/// Largest set of texts that a regular expression is replaced by, unless it is nothing but a row of texts.
const SET_MAX: usize = 250;

/// A look at the value of one series costs about as much as one at so many values beside each other.
const VALUES_PER_SERIES: u64 = 4;

/// An automaton is made for an expression that is tried on more values than this.
const AUTOMATON_FROM: usize = 256;

/// A matcher with what its expression says in plain text.
pub(crate) struct Prepared<'m> {
    matcher: &'m Matcher,
    /// Missing labels satisfy it.
    matches_empty: bool,
    /// Exactly these values satisfy it (or fail it, if `negative`).
    values: Option<Vec<String>>,
    /// Every value that satisfies the expression begins with one of these.
    prefixes: Vec<String>,
    /// Every value that satisfies the expression has this inside.
    inside: Option<memchr::memmem::Finder<'static>>,
    negative: bool,
    asked: RefCell<Asked>,
}

/// How an expression is tried on values.
enum Asked {
    /// By the matcher; on so many so far.
    Few(usize),
    /// As on many.
    Many(Box<Automaton>),
    /// By the matcher, as an automaton cannot.
    Hard,
}

impl<'m> Prepared<'m> {
    pub(crate) fn new(matcher: &'m Matcher) -> Prepared<'m> {
        let (negative, regex) = match matcher.op() {
            MatchOp::Equal => (false, false),
            MatchOp::NotEqual => (true, false),
            MatchOp::Regex => (false, true),
            MatchOp::NotRegex => (true, true),
        };
        // A row of texts is known as such without a further look at the expression.
        let texts = matcher.texts().map(|texts| texts.into_iter().map(str::to_owned).collect());
        let is_tried = regex && texts.is_none() && matcher.alternatives() <= SET_MAX;
        let expression = is_tried.then(|| matcher.expression()).flatten();
        let (values, prefixes) = match &expression {
            Some(expression) => literals_of(expression),
            None if regex => (texts, Vec::new()),
            None => (Some(vec![matcher.value().to_owned()]), Vec::new()),
        };
        let inside = expression.as_ref().and_then(|expression| inside_of(expression, !prefixes.is_empty()));
        let asked = RefCell::new(if expression.is_some() { Asked::Few(0) } else { Asked::Hard });
        Prepared { matcher, matches_empty: matcher.matches_empty(), values, prefixes, inside, negative, asked }
    }

    /// What lets all values through that satisfy the expression (those that fail the matcher, if it is negative).
    fn sieve(&self) -> Sieve<'_> {
        match (&*self.prefixes, &self.inside) {
            ([], None) => Sieve::All,
            ([], Some(inside)) => Sieve::Inside(inside),
            (prefixes, None) => Sieve::Prefixes(prefixes),
            (prefixes, Some(inside)) => Sieve::Both(prefixes, inside),
        }
    }

    /// Exactly these values fail the matcher, which a missing label satisfies.
    fn few_values(&self) -> Option<&[String]> {
        self.values.as_deref().filter(|_| self.negative && self.matches_empty)
    }

    /// Whether a value that is present satisfies the matcher.
    fn matches(&self, value: &[u8]) -> bool {
        let asked = &mut *self.asked.borrow_mut();
        match asked {
            Asked::Few(tried) if *tried < AUTOMATON_FROM => *tried += 1,
            Asked::Few(_) => {
                let automaton = self.matcher.expression().and_then(|expression| Automaton::new(&expression));
                *asked = automaton.map_or(Asked::Hard, |automaton| Asked::Many(Box::new(automaton)));
            }
            Asked::Many(_) | Asked::Hard => {}
        }
        if let Asked::Many(automaton) = asked {
            match automaton.matches(value) {
                Some(satisfied) => return satisfied != self.negative,
                None => *asked = Asked::Hard,
            }
        }
        if !self.prefixes.is_empty() && !self.prefixes.iter().any(|prefix| value.starts_with(prefix.as_bytes())) {
            return self.negative;
        }
        if self.inside.as_ref().is_some_and(|inside| inside.find(value).is_none()) {
            return self.negative;
        }
        // Values are texts, all of them.
        std::str::from_utf8(value).is_ok_and(|value| self.matcher.matches(value))
    }
}

/// The texts that an anchored expression consists of, or the beginnings that its matches have.
fn literals_of(expression: &str) -> (Option<Vec<String>>, Vec<String>) {
    let nothing = (None, Vec::new());
    let Ok(hir) = regex_syntax::parse(&format!("(?s:{expression})")) else { return nothing };
    let mut extractor = Extractor::new();
    extractor.kind(ExtractKind::Prefix).limit_total(SET_MAX).limit_class(16).limit_repeat(8);
    let found = extractor.extract(&hir);
    let Some(literals) = found.literals() else { return nothing };
    let texts: Option<Vec<String>> =
        literals.iter().map(|literal| std::str::from_utf8(literal.as_bytes()).ok().map(str::to_owned)).collect();
    let Some(texts) = texts else { return nothing };
    // Look-around such as `\b` or `^` inside an expression is not part of the literals.
    let plain = hir.properties().look_set().is_empty();
    if found.is_exact() && plain && !literals.is_empty() {
        (Some(texts), Vec::new())
    } else if texts.iter().all(|text| !text.is_empty()) && texts.len() <= 16 {
        (None, texts)
    } else {
        nothing
    }
}

/// The longest text that every match of an expression contains; with `behind` only texts behind its first part count,
/// which is known as a beginning already.
fn inside_of(expression: &str, behind: bool) -> Option<memchr::memmem::Finder<'static>> {
    let hir = regex_syntax::parse(&format!("(?s:{expression})")).ok()?;
    let mut parts: Vec<(&Hir, bool)> = vec![(&hir, !behind)];
    let mut longest: &[u8] = &[];
    while let Some((part, counts)) = parts.pop() {
        match part.kind() {
            HirKind::Concat(inner) => {
                parts.extend(inner.iter().enumerate().map(|(place, part)| (part, counts || place > 0)));
            }
            HirKind::Capture(capture) => parts.push((&capture.sub, counts)),
            HirKind::Literal(literal) if counts && literal.0.len() > longest.len() => longest = &literal.0,
            _ => {}
        }
    }
    (!longest.is_empty()).then(|| memchr::memmem::Finder::new(longest).into_owned())
}

/// Series in slots, by their labels.
pub(crate) trait Indexed {
    fn pairs(&self) -> &Pairs;

    /// The slots of all series.
    fn live(&self) -> &RoaringBitmap;

    /// All slots are below.
    fn slots_end(&self) -> u32;

    /// Calls back with the label pairs of each of these series, ascending by slot.
    fn each(&self, slots: &RoaringBitmap, each: impl FnMut(u32, &[u32]));
}

/// The slots of the series that satisfy all matchers.
pub(crate) fn select(index: &impl Indexed, matchers: &[Prepared]) -> RoaringBitmap {
    let mut chosen: Option<RoaringBitmap> = None;
    // Sets of values first: they cost a look-up per value and leave little for the rest.
    let (sets, others): (Vec<&Prepared>, Vec<&Prepared>) =
        matchers.iter().partition(|matcher| !matcher.negative && !matcher.matches_empty && matcher.values.is_some());
    for matcher in sets {
        let mut union = RoaringBitmap::new();
        let Some(name) = index.pairs().name(matcher.matcher.name().as_bytes()) else { return union };
        let values = matcher.values.as_deref().unwrap_or_default();
        let mut postings = values
            .iter()
            .filter_map(|value| index.pairs().pair(name, value.as_bytes()))
            .filter_map(|pair| index.pairs().postings(pair));
        if let (1, Some(chosen)) = (values.len(), &mut chosen) {
            match postings.next() {
                Some(only) => only.intersect_into(chosen),
                None => return union,
            }
        } else {
            postings.for_each(|postings| postings.union_into(&mut union));
            chosen = Some(match chosen {
                Some(chosen) => chosen & union,
                None => union,
            });
        }
        if chosen.as_ref().is_some_and(RoaringBitmap::is_empty) {
            return chosen.unwrap_or_default();
        }
    }
    let (positive, subtractive): (Vec<OnLabel>, Vec<OnLabel>) =
        by_label(others).into_iter().partition(|label| !label.matches_empty());
    for label in positive {
        chosen = Some(restrict(index, chosen, &label));
    }
    let mut chosen = chosen.unwrap_or_else(|| index.live().clone());
    for label in subtractive {
        if chosen.is_empty() {
            break;
        }
        subtract(index, &mut chosen, &label);
    }
    chosen
}

/// Matchers of one label that are tried together on each of its values.
struct OnLabel<'p> {
    name: &'p str,
    /// At least one.
    matchers: Vec<&'p Prepared<'p>>,
}

/// Matchers by their label; those that only take a few values away go alone, as they look at no others.
fn by_label<'p>(matchers: Vec<&'p Prepared<'p>>) -> Vec<OnLabel<'p>> {
    let mut labels: Vec<OnLabel> = Vec::new();
    let mut together: HashMap<&str, usize, foldhash::fast::RandomState> = HashMap::default();
    for matcher in matchers {
        let name = matcher.matcher.name();
        let alone = labels.len();
        let place = match matcher.few_values() {
            Some(_) => alone,
            None => *together.entry(name).or_insert(alone),
        };
        match labels.get_mut(place) {
            Some(label) => label.matchers.push(matcher),
            None => labels.push(OnLabel { name, matchers: vec![matcher] }),
        }
    }
    labels
}

impl OnLabel<'_> {
    fn matches_empty(&self) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches_empty)
    }

    fn matches(&self, value: &[u8]) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(value))
    }

    /// Exactly these values fail.
    fn few_values(&self) -> Option<&[String]> {
        self.matchers.iter().find_map(|matcher| matcher.few_values())
    }

    /// What lets all values through that satisfy the matchers.
    fn sieve(&self) -> Sieve<'_> {
        let mut sieves = self.matchers.iter().filter(|matcher| !matcher.negative).map(|matcher| matcher.sieve());
        sieves.find(|sieve| !matches!(sieve, Sieve::All)).unwrap_or(Sieve::All)
    }

    /// What lets all values through that fail one of them.
    fn sieve_of_failing(&self) -> Sieve<'_> {
        match &*self.matchers {
            [only] if only.negative => only.sieve(),
            _ => Sieve::All,
        }
    }
}

/// Leaves the series whose label is there and satisfies the matchers.
fn restrict(index: &impl Indexed, chosen: Option<RoaringBitmap>, label: &OnLabel) -> RoaringBitmap {
    let name = index.pairs().name(label.name.as_bytes());
    let Some((name, pairs)) = name.and_then(|name| Some((name, index.pairs().pairs_of(name)?))) else {
        return RoaringBitmap::new();
    };
    match chosen {
        Some(mut chosen) if chosen.len() < pairs.len() / VALUES_PER_SERIES => {
            retain_by_value(index, &mut chosen, name, |value| value.is_some_and(|value| label.matches(value)));
            chosen
        }
        chosen => {
            let sieve = label.sieve();
            let wanted = |value: &[u8]| label.matches(value);
            match chosen {
                Some(chosen) if is_small_part(index, &chosen) => chosen_where(index, &chosen, name, &sieve, wanted),
                Some(chosen) => chosen & series_where(index, name, &sieve, wanted),
                None => series_where(index, name, &sieve, wanted),
            }
        }
    }
}

/// Takes away the series whose label fails one of the matchers; those without it stay.
fn subtract(index: &impl Indexed, chosen: &mut RoaringBitmap, label: &OnLabel) {
    let name = index.pairs().name(label.name.as_bytes());
    let Some((name, pairs)) = name.and_then(|name| Some((name, index.pairs().pairs_of(name)?))) else {
        return;
    };
    if let Some(values) = label.few_values() {
        for pair in values.iter().filter_map(|value| index.pairs().pair(name, value.as_bytes())) {
            if let Some(postings) = index.pairs().postings(pair) {
                postings.subtract_from(chosen);
            }
        }
        return;
    }
    if chosen.len() < pairs.len() / VALUES_PER_SERIES {
        retain_by_value(index, chosen, name, |value| value.is_none_or(|value| label.matches(value)));
        return;
    }
    let sieve = label.sieve_of_failing();
    let failed = |value: &[u8]| !label.matches(value);
    *chosen -= if is_small_part(index, chosen) {
        chosen_where(index, chosen, name, &sieve, failed)
    } else {
        series_where(index, name, &sieve, failed)
    };
}

/// Whether to look at each of the chosen series costs less than to go through the postings of many values.
fn is_small_part(index: &impl Indexed, chosen: &RoaringBitmap) -> bool {
    chosen.len() < index.live().len() / 8
}

/// The series that have a wanted value of a label; the sieve must let all of those through.
fn series_where(index: &impl Indexed, name: u32, sieve: &Sieve, wanted: impl Fn(&[u8]) -> bool) -> RoaringBitmap {
    let mut slots = SlotSet::new(index.slots_end());
    index.pairs().each_value(name, sieve, |found| {
        if !wanted(found.value) {
            return;
        }
        if let Some(slot) = found.slot {
            slots.insert(slot);
        } else if let Some(postings) = index.pairs().postings(found.pair) {
            slots.add(postings);
        }
    });
    slots.into_bitmap()
}

/// Those of the chosen series that have a wanted value of a label: as `series_where`, but looks at the chosen instead of
/// at all that carry the values.
fn chosen_where(
    index: &impl Indexed,
    chosen: &RoaringBitmap,
    name: u32,
    sieve: &Sieve,
    wanted: impl Fn(&[u8]) -> bool,
) -> RoaringBitmap {
    let mut pairs = SlotSet::new(index.pairs().end());
    index.pairs().each_value(name, sieve, |found| {
        if wanted(found.value) {
            pairs.insert(found.pair);
        }
    });
    let mut slots = SlotSet::new(index.slots_end());
    index.each(chosen, |slot, pairs_of| {
        if pairs_of.iter().any(|pair| pairs.contains(*pair)) {
            slots.insert(slot);
        }
    });
    slots.into_bitmap()
}

/// Leaves the series whose value of a label (`None` if they have none) is wanted; asks once per value.
fn retain_by_value(
    index: &impl Indexed,
    chosen: &mut RoaringBitmap,
    name: u32,
    wanted: impl Fn(Option<&[u8]>) -> bool,
) {
    let mut with_pairs: Vec<(u32, Option<u32>)> = Vec::with_capacity(chosen.len() as usize);
    index.each(chosen, |slot, pairs_of| {
        with_pairs.push((slot, pairs_of.iter().copied().find(|pair| index.pairs().name_of(*pair) == Some(name))));
    });
    let mut known: HashMap<u32, bool, foldhash::fast::RandomState> = HashMap::default();
    let without = wanted(None);
    let mut slots = SlotSet::new(index.slots_end());
    for block in with_pairs.chunks(TOGETHER) {
        let values = block.iter().filter_map(|(_, pair)| index.pairs().value_of((*pair)?).first());
        // Reading a little of each, without deciding anything by it, fetches all of them at once.
        std::hint::black_box(values.fold(0, |all, byte| all ^ byte));
        for (slot, pair) in block {
            let is_wanted = pair.map_or(without, |pair| {
                *known.entry(pair).or_insert_with(|| wanted(Some(index.pairs().value_of(pair))))
            });
            if is_wanted {
                slots.insert(*slot);
            }
        }
    }
    *chosen = slots.into_bitmap();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_become_sets_and_prefixes() {
        let set = |pattern: &str| {
            literals_of(pattern).0.map(|mut set| {
                set.sort();
                set.join(" ")
            })
        };
        assert_eq!(set("a|b|c").as_deref(), Some("a b c"));
        assert_eq!(set("(web|api)-[12]").as_deref(), Some("api-1 api-2 web-1 web-2"));
        assert_eq!(set("api").as_deref(), Some("api"));
        assert_eq!(set("api.*"), None);
        assert_eq!(set("api\\b"), None);
        assert_eq!(literals_of("api.*").1, ["api"]);
        assert_eq!(literals_of(".*").1, [""; 0]);
        assert_eq!(literals_of("(?i)ab").0.map(|set| set.len()), Some(4));
        assert_eq!(literals_of("(").1, [""; 0]);
    }

    #[test]
    fn texts_inside_are_found() {
        let inside = |pattern: &str, behind: bool| {
            inside_of(pattern, behind).map(|finder| String::from_utf8_lossy(finder.needle()).into_owned())
        };
        assert_eq!(inside(".*-0a[0-9]", false).as_deref(), Some("-0a"));
        assert_eq!(inside("checkout-.*-0a.", false).as_deref(), Some("checkout-"));
        assert_eq!(inside("checkout-.*-0a.", true).as_deref(), Some("-0a"));
        assert_eq!(inside("(checkout-.*)-0a.", true).as_deref(), Some("-0a"));
        assert_eq!(inside("checkout-.*", true), None);
    }
}
