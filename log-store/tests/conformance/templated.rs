//! Messages as programs write them, few templates with many values, and queries that cut across both.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// A part of a template.
#[derive(Clone, Debug)]
pub enum Part {
    /// The same in every message.
    Fixed(String),
    /// A value of its own kind in each.
    Value(u8),
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        3 => "[a-zA-Z]{1,5}".prop_map(Part::Fixed),
        3 => "[ =:./_\"-]{1,2}".prop_map(Part::Fixed),
        1 => "[éK語İ]{1,2}".prop_map(Part::Fixed),
        1 => "[\\x00-\\x1f]".prop_map(Part::Fixed),
        5 => (0u8..11).prop_map(Part::Value),
    ]
}

/// A few templates.
pub fn templates() -> impl Strategy<Value = Vec<Vec<Part>>> {
    vec(vec(part(), 1..9), 1..6)
}

fn value(kind: u8, number: usize) -> String {
    let scattered = number.wrapping_mul(7919) % 104_729;
    match kind {
        0 => scattered.to_string(),
        1 => format!("{:04}", scattered % 1000),
        2 => format!("{:016x}", (scattered as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        3 => ["alpha", "Beta", "gamma", "naïve", "x"][scattered % 5].to_owned(),
        4 => format!("user{}", scattered % 40),
        5 => format!("10.0.{}.{}", scattered % 3, scattered % 250),
        6 => format!("{:X}-{:x}", scattered, number),
        7 => format!("{}.{:02}", scattered % 100, scattered % 97),
        8 => (1_700_000_000 + number / 3).to_string(),
        // Seldom words of letters only.
        9 => scattered.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect(),
        _ => "é".repeat(1 + scattered % 3),
    }
}

/// Message `number`.
pub fn message(templates: &[Vec<Part>], number: usize) -> String {
    let template = &templates[number * number % templates.len()];
    let parts = template.iter().enumerate().map(|(at, part)| match part {
        Part::Fixed(text) => text.clone(),
        Part::Value(kind) => value(*kind, number + at * 31),
    });
    parts.collect()
}

/// A query made of a stretch of a message.
#[derive(Clone, Debug)]
pub struct Stretch {
    message: Index,
    start: Index,
    end: Index,
    kind: u8,
    negated: bool,
}

/// Any stretch of any message, as a phrase, the start of one, or an expression.
pub fn stretch() -> impl Strategy<Value = Stretch> {
    (any::<Index>(), any::<Index>(), any::<Index>(), 0u8..11, any::<bool>())
        .prop_map(|(message, start, end, kind, negated)| Stretch { message, start, end, kind, negated })
}

impl Stretch {
    /// The query, of messages `0..count`.
    pub fn query(&self, templates: &[Vec<Part>], count: usize) -> String {
        let text: Vec<char> = message(templates, self.message.index(count)).chars().collect();
        let (a, b) = (self.start.index(text.len() + 1), self.end.index(text.len() + 1));
        let cut: String = text[a.min(b)..a.max(b)].iter().collect();
        let phrase = format!("\"{}\"", cut.replace('\\', "\\\\").replace('"', "\\\""));
        let expression = |text: &str| regex::escape(text).replace('/', "\\/");
        let loose: String = {
            let mut loose = String::new();
            for character in cut.chars() {
                match character {
                    '0'..='9' if loose.ends_with("[0-9]+") => {}
                    '0'..='9' => loose.push_str("[0-9]+"),
                    other => loose.push_str(&expression(&other.to_string())),
                }
            }
            loose
        };
        let query = match self.kind {
            0 | 1 => phrase,
            2 => format!("{phrase}*"),
            3 => format!("message:{phrase}"),
            4 => format!("/{}/", expression(&cut)),
            5 => format!("message:/{loose}/"),
            6 => format!("/(?i){}/", expression(&cut)),
            7 => format!("/^{loose}/"),
            8 => format!("/{loose}$/"),
            9 => format!("/\\b{}\\b/", expression(&cut)),
            _ => format!("/{}|{loose}x/", loose.replace("[0-9]+", "\\d{2}")),
        };
        if self.negated { format!("-{query}") } else { query }
    }
}
