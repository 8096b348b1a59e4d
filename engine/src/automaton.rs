//! An anchored expression as an automaton that is run over many values, one after another.
//!
//! Values of a label begin alike, most of all those that came one after another. So the state after each byte of the
//! last value is kept, and the next value is read from where it differs. States are determined as they are needed, up
//! to a limit, and noted in a table that knows the next one of each byte; an expression that has more of them is left to
//! the one who asks.

use std::collections::HashMap;

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{Dot, Hir, HirKind};

/// Most states, of a kilobyte each.
const STATES_MAX: usize = 1024;
/// Bytes of a value after which the state is kept.
const KEPT: usize = 64;

/// A state from which nothing leads to a match.
const DEAD: u32 = 0;
/// What follows does not matter any more: the value satisfies the expression.
const MATCHED: u32 = u32::MAX - 1;
const UNKNOWN: u32 = u32::MAX;

/// See the module.
pub(crate) struct Automaton {
    dfa: DFA,
    cache: Cache,
    /// The states as the package knows them, `DEAD` left out, and their numbers here.
    states: Vec<LazyStateID>,
    numbers: HashMap<LazyStateID, u32>,
    /// 256 next states each, the one of `DEAD` too.
    next: Vec<u32>,
    /// Whether a value that ends in a state satisfies the expression.
    accepts: Vec<Option<bool>>,
    /// The expression ends with "anything": a beginning that satisfies the rest of it decides.
    is_open: bool,
    start: u32,
    /// The last value, as far as it was read and is kept.
    value: [u8; KEPT],
    length: usize,
    /// The state before its first byte, and after each of its bytes.
    after: [u32; KEPT + 1],
}

impl Automaton {
    /// `None` if the expression is beyond what an automaton of bytes can follow (`\b` among letters, say).
    pub(crate) fn new(expression: &str) -> Option<Automaton> {
        let beginning = beginning_of(expression);
        let is_open = beginning.is_some();
        let whole = beginning.map_or_else(|| format!("^(?s:{expression})$"), |beginning| format!("^(?:{beginning})"));
        let dfa = DFA::builder().build(&whole).ok()?;
        let cache = dfa.create_cache();
        let mut automaton = Automaton {
            dfa,
            cache,
            states: Vec::new(),
            numbers: HashMap::new(),
            next: vec![DEAD; 256],
            accepts: vec![Some(false)],
            is_open,
            start: DEAD,
            value: [0; KEPT],
            length: 0,
            after: [DEAD; KEPT + 1],
        };
        let start = Input::new(b"").anchored(Anchored::Yes);
        let start = automaton.dfa.start_state_forward(&mut automaton.cache, &start).ok()?;
        automaton.start = automaton.number_of(start)?;
        automaton.after[0] = automaton.start;
        Some(automaton)
    }

    /// Whether the whole value satisfies the expression. `None` if the automaton grew too large, or meets what it
    /// cannot follow; it may be asked again, but there is little use in it.
    pub(crate) fn matches(&mut self, value: &[u8]) -> Option<bool> {
        let alike = alike(self.value.get(..self.length)?, value);
        self.length = alike;
        let mut state = *self.after.get(alike)?;
        if state == MATCHED {
            return Some(true);
        }
        let (kept, beyond) = value.split_at(value.len().min(KEPT));
        for (at, byte) in kept.iter().enumerate().skip(alike) {
            state = self.next_of(state, *byte)?;
            if state == DEAD {
                return Some(false);
            }
            self.value[at] = *byte;
            self.after[at + 1] = state;
            self.length = at + 1;
            if state == MATCHED {
                return Some(true);
            }
        }
        for byte in beyond {
            state = self.next_of(state, *byte)?;
            if state == MATCHED {
                return Some(true);
            }
        }
        match self.accepts.get(state as usize)? {
            Some(accepts) => Some(*accepts),
            None => self.determine_accepts(state),
        }
    }

    #[inline]
    fn next_of(&mut self, state: u32, byte: u8) -> Option<u32> {
        match self.next.get(state as usize * 256 + usize::from(byte)) {
            Some(next) if *next != UNKNOWN => Some(*next),
            _ => self.determine_next(state, byte),
        }
    }

    #[cold]
    fn determine_next(&mut self, state: u32, byte: u8) -> Option<u32> {
        let known = *self.states.get((state as usize).checked_sub(1)?)?;
        let next = self.dfa.next_state(&mut self.cache, known, byte).ok()?;
        let next = self.number_of(next)?;
        *self.next.get_mut(state as usize * 256 + usize::from(byte))? = next;
        Some(next)
    }

    #[cold]
    fn determine_accepts(&mut self, state: u32) -> Option<bool> {
        let known = *self.states.get((state as usize).checked_sub(1)?)?;
        // A match is told one step late: at the end of the value.
        let accepts = self.dfa.next_eoi_state(&mut self.cache, known).ok()?.is_match();
        *self.accepts.get_mut(state as usize)? = Some(accepts);
        Some(accepts)
    }

    /// The number of a state of the package, a new one if it has none.
    fn number_of(&mut self, state: LazyStateID) -> Option<u32> {
        // Once the package forgot its states, those noted here mean nothing to it.
        if state.is_quit() || self.cache.clear_count() > 0 {
            return None;
        }
        if state.is_dead() {
            return Some(DEAD);
        }
        // Told one byte late: all before the last byte is such a beginning.
        if self.is_open && state.is_match() {
            return Some(MATCHED);
        }
        if let Some(number) = self.numbers.get(&state) {
            return Some(*number);
        }
        if self.states.len() >= STATES_MAX {
            return None;
        }
        self.states.push(state);
        self.next.resize(self.next.len() + 256, UNKNOWN);
        self.accepts.push(None);
        let number = u32::try_from(self.states.len()).ok()?;
        self.numbers.insert(state, number);
        Some(number)
    }
}

/// What comes before a `.*` at the end of an expression, as an expression.
fn beginning_of(expression: &str) -> Option<String> {
    let hir = regex_syntax::parse(&format!("(?s:{expression})")).ok()?;
    let is_anything = |part: &Hir| match part.kind() {
        HirKind::Repetition(repeated) => {
            repeated.min == 0 && repeated.max.is_none() && *repeated.sub == Hir::dot(Dot::AnyChar)
        }
        _ => false,
    };
    match hir.kind() {
        _ if is_anything(&hir) => Some(String::new()),
        HirKind::Concat(parts) => {
            let (_, before) = parts.split_last().filter(|(last, _)| is_anything(last))?;
            Some(Hir::concat(before.to_vec()).to_string())
        }
        _ => None,
    }
}

/// How many bytes two values have in common from their beginning on.
fn alike(a: &[u8], b: &[u8]) -> usize {
    let shorter = a.len().min(b.len());
    let differ = |at: usize| {
        let word = |bytes: &[u8]| {
            bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_le_bytes(*word))
        };
        let differ = word(a) ^ word(b);
        (differ != 0).then(|| at + differ.trailing_zeros() as usize / 8)
    };
    let mut same = 0;
    while same + 8 <= shorter {
        if let Some(at) = differ(same) {
            return at;
        }
        same += 8;
    }
    if shorter >= 8 {
        // The last eight bytes, those that are known to be the same among them.
        return differ(shorter - 8).unwrap_or(shorter);
    }
    same + a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use watchfire_model::{MatchOp, Matcher};

    use super::*;

    proptest! {
        #[test]
        fn it_answers_as_the_matcher_does(
            expression in prop::sample::select(vec![
                "a.*b", "(a|ab)(c|bcd)?", "", "|ab", ".+", ".*", "[^a]*", "(ab){2,3}é?", "a+b+|b+a+", "(?i)AB.*", "^ab$", "é.*", "\\w+", "x{0,40}ab", "a.*b.*", "|a.*", "(a|ab).*.*", "(b.*)", "é.*", "a(?:b|c)*.*",
            ]),
            values in prop::collection::vec(prop_oneof![5 => "[abcdé]{0,12}", 1 => "[ab]{60,70}"], 1..60),
        ) {
            let matcher = Matcher::new("n", MatchOp::Regex, expression).expect("valid");
            let mut automaton = Automaton::new(&matcher.expression().expect("an expression")).expect("within its means");
            for value in &values {
                prop_assert_eq!(automaton.matches(value.as_bytes()), Some(matcher.matches(value)), "{}", value);
            }
        }

        #[test]
        fn what_is_alike_is_counted(a in "[ab]{0,30}", b in "[ab]{0,30}", common in "[ab]{0,20}") {
            let (a, b) = (format!("{common}{a}"), format!("{common}{b}"));
            let wanted = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
            prop_assert_eq!(alike(a.as_bytes(), b.as_bytes()), wanted);
        }
    }

    #[test]
    fn what_stands_before_anything_is_found() {
        for (expression, wanted) in [
            (".*", Some("")),
            ("a.*", Some("a")),
            ("a.*b.*", Some("a(?s:.)*b")),
            ("a.+", None),
            ("a|b.*", None),
            ("", None),
        ] {
            let wanted = wanted.map(|text| regex_syntax::parse(text).expect("valid"));
            let found = beginning_of(expression).map(|text| regex_syntax::parse(&text).expect("valid"));
            assert_eq!(found, wanted, "{expression}");
        }
        // Only the beginning is looked at.
        let mut automaton = Automaton::new("a[bc].*").expect("within its means");
        assert_eq!(automaton.matches("abx".as_bytes()), Some(true));
        assert_eq!(automaton.length, 3);
        assert_eq!(automaton.matches("abx and more".as_bytes()), Some(true));
        assert_eq!(automaton.length, 3);
    }

    #[test]
    fn what_it_cannot_follow_is_said() {
        assert!(Automaton::new("\\bab\\b").is_none());
        // 2^20 states: the limit ends it, and no answer is wrong before.
        let expression = "[ab]*a[ab]{20}";
        let matcher = Matcher::new("n", MatchOp::Regex, expression).expect("valid");
        let mut automaton = Automaton::new(expression).expect("lazily");
        let (mut random, mut ended) = (1u64, 0);
        for _ in 0..2000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value: String = (0..60).map(|bit| if random >> bit & 1 == 0 { 'a' } else { 'b' }).collect();
            match automaton.matches(value.as_bytes()) {
                Some(answer) => assert_eq!(answer, matcher.matches(&value), "{value}"),
                None => ended += 1,
            }
        }
        assert!(ended > 0 && automaton.states.len() <= STATES_MAX, "{ended}");
    }
}
