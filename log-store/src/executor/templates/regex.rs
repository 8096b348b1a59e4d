//! An expression, met by templates: its automaton runs over the fixed parts, and over all that variables may be.

use regex_automata::Anchored;
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::util::start;

use super::super::text::required_literal_of;
use super::{Search, Verdict};
use crate::query::{Pattern, is_token_byte};
use crate::sealed::templates::set::{Template, TemplateSet};
use crate::sealed::templates::slot::{Slot, VARIES};

/// More states than this at once, and the texts are looked at instead.
const STATES_MAX: usize = 64;
/// Words that are tried one by one.
const WORDS_TRIED: usize = 64;

impl Search<'_> {
    /// What each template says to an expression.
    pub(super) fn by_regex(&self, pattern: &Pattern) -> Vec<Verdict> {
        let set = &self.reader.set;
        let literal = required_literal_of(pattern);
        pattern.with_automaton(|mut automaton| {
            let verdict = |template: &Template| {
                if template.is_plain {
                    return Verdict::Perhaps;
                }
                if literal.as_ref().is_some_and(|literal| !may_have(set, template, literal)) {
                    return Verdict::Never;
                }
                let Some((dfa, cache)) = &mut automaton else { return Verdict::Perhaps };
                Run { set, dfa, cache, states: States::default(), next: States::default() }.verdict(template)
            };
            set.templates.iter().map(verdict).collect()
        })
    }
}

/// Whether a text of a template may have `literal` in it.
fn may_have(set: &TemplateSet, template: &Template, literal: &memchr::memmem::Finder<'_>) -> bool {
    if set.pieces(template).any(|piece| literal.find(piece).is_some()) {
        return true;
    }
    // A literal that reaches into a value has a whole run of token characters in it, or is all in it.
    let runs = literal.needle().split(|byte| byte.is_ascii() && !is_token_byte(*byte)).filter(|run| !run.is_empty());
    let slots = set.slots.get(template.slots.start as usize..template.slots.end as usize).unwrap_or_default();
    runs.clone().any(|run| slots.iter().any(|slot| may_hold(slot, run)))
}

/// Whether a value may have these token characters in it.
fn may_hold(slot: &Slot, run: &[u8]) -> bool {
    match slot {
        Slot::Numbers { .. } | Slot::Steps { .. } => run.iter().all(u8::is_ascii_digit),
        Slot::Chars { fixed, alphabet, .. } => {
            let has = |byte: &u8| alphabet.may_have(&[*byte], false) || fixed.contains(byte);
            run.len() <= fixed.len() && run.iter().all(has)
        }
        Slot::Words { .. } | Slot::Texts { .. } => true,
    }
}

/// The states that an automaton may be in.
#[derive(Clone, Debug, Default)]
struct States {
    open: Vec<LazyStateID>,
    /// On some way a match has been found.
    matched: bool,
    /// On some way there can be none any more.
    lost: bool,
}

impl States {
    fn add(&mut self, state: LazyStateID) -> Option<()> {
        if state.is_quit() {
            return None;
        } else if state.is_match() {
            self.matched = true;
        } else if state.is_dead() {
            self.lost = true;
        } else if !self.open.contains(&state) {
            if self.open.len() >= STATES_MAX {
                return None;
            }
            self.open.push(state);
        }
        Some(())
    }

    fn clear(&mut self) {
        self.open.clear();
        (self.matched, self.lost) = (false, false);
    }

    fn merge(&mut self, other: &States) -> Option<()> {
        self.matched |= other.matched;
        self.lost |= other.lost;
        other.open.iter().try_for_each(|state| self.add(*state))
    }
}

struct Run<'r> {
    set: &'r TemplateSet,
    dfa: &'r DFA,
    cache: &'r mut Cache,
    states: States,
    next: States,
}

impl Run<'_> {
    fn verdict(&mut self, template: &Template) -> Verdict {
        match self.run(template) {
            Some((true, false)) => Verdict::Always,
            Some((false, _)) => Verdict::Never,
            Some((true, true)) | None => Verdict::Perhaps,
        }
    }

    /// Whether there are texts that match, and texts that do not, as far as the template tells; `None` if the
    /// automaton cannot say.
    fn run(&mut self, template: &Template) -> Option<(bool, bool)> {
        let start = start::Config::new().anchored(Anchored::No);
        let first = self.dfa.start_state(self.cache, &start).ok()?;
        self.states.clear();
        self.states.add(first)?;
        let set = self.set;
        let mut slots = template.slots.clone();
        for piece in set.pieces(template) {
            for byte in piece {
                self.step(std::iter::once(*byte))?;
            }
            if let Some(slot) = slots.next() {
                self.pass(set.slots.get(slot as usize)?)?;
            }
        }
        let (mut matched, mut unmatched) = (self.states.matched, self.states.lost);
        for state in &self.states.open {
            let end = self.dfa.next_eoi_state(self.cache, *state).ok()?;
            matched |= end.is_match();
            unmatched |= !end.is_match();
        }
        Some((matched, unmatched))
    }

    /// Goes on by one byte, which may be any of `bytes`. A match stays one, whatever follows.
    fn step(&mut self, bytes: impl Iterator<Item = u8> + Clone) -> Option<()> {
        self.next.clear();
        (self.next.matched, self.next.lost) = (self.states.matched, self.states.lost);
        for state in &self.states.open {
            for byte in bytes.clone() {
                self.next.add(self.dfa.next_state(self.cache, *state, byte).ok()?)?;
            }
        }
        std::mem::swap(&mut self.states, &mut self.next);
        Some(())
    }

    /// Goes on by any value of a slot, or by more than its values.
    fn pass(&mut self, slot: &Slot) -> Option<()> {
        match slot {
            Slot::Numbers { digits: 0, min, max, .. } | Slot::Steps { digits: 0, min, max, .. } => {
                self.digits(digits_of(*min), digits_of(*max))
            }
            Slot::Numbers { digits, .. } | Slot::Steps { digits, .. } => {
                self.digits(u32::from(*digits), u32::from(*digits))
            }
            Slot::Chars { fixed, alphabet, .. } => {
                let varying: Vec<u8> = (0..128u8).filter(|byte| alphabet.0 >> byte & 1 == 1).collect();
                let varying = self.different(&varying);
                fixed.iter().try_for_each(|byte| match *byte {
                    VARIES => self.step(varying.iter().copied()),
                    byte => self.step(std::iter::once(byte)),
                })
            }
            Slot::Words { list: Some(list), .. } if list.len() <= WORDS_TRIED => {
                let before = self.states.clone();
                let mut after = States::default();
                let set = self.set;
                for id in list {
                    self.states = before.clone();
                    for byte in set.word(u64::from(*id))? {
                        self.step(std::iter::once(*byte))?;
                    }
                    after.merge(&self.states)?;
                }
                self.states = after;
                Some(())
            }
            Slot::Words { .. } | Slot::Texts { .. } => self.any_token(),
        }
    }

    fn digits(&mut self, shortest: u32, longest: u32) -> Option<()> {
        let digits = self.different(b"0123456789");
        let mut after = States::default();
        for length in 1..=longest {
            self.step(digits.iter().copied())?;
            if length >= shortest {
                after.merge(&self.states)?;
            }
        }
        self.states = after;
        Some(())
    }

    /// One character of a token or more.
    fn any_token(&mut self) -> Option<()> {
        let bytes: Vec<u8> = (0..=u8::MAX).filter(|byte| !byte.is_ascii() || is_token_byte(*byte)).collect();
        let bytes = self.different(&bytes);
        let mut after = States::default();
        loop {
            self.step(bytes.iter().copied())?;
            let before = (after.open.len(), after.matched, after.lost);
            after.merge(&self.states)?;
            if before == (after.open.len(), after.matched, after.lost) {
                self.states = after;
                return Some(());
            }
        }
    }

    /// One byte for all that the automaton does not tell apart.
    fn different(&self, bytes: &[u8]) -> Vec<u8> {
        let classes = self.dfa.byte_classes();
        let mut seen = [false; 256];
        let is_new = |byte: &&u8| !std::mem::replace(&mut seen[usize::from(classes.get(**byte))], true);
        bytes.iter().filter(is_new).copied().collect()
    }
}

fn digits_of(number: u64) -> u32 {
    number.checked_ilog10().unwrap_or(0) + 1
}
