//! A number by which two searches are told apart.

use xxhash_rust::xxh3::xxh3_64;

use super::ast::{Expr, Node, Query, Test};
use super::field::Field;

impl Query {
    /// The same for the same question in any run of any build that writes queries alike; bounds of time are left
    /// out, as those said relative to now (`timestamp:>1h`) move between two pages of one walk.
    pub fn fingerprint(&self) -> u64 {
        let mut timeless = self.clone();
        without_times(&mut timeless.root);
        xxh3_64(timeless.to_string().as_bytes())
    }
}

fn without_times(node: &mut Node) {
    match &mut node.expr {
        Expr::And(nodes) | Expr::Or(nodes) => nodes.iter_mut().for_each(without_times),
        Expr::Not(inner) => without_times(inner),
        Expr::Field(Field::Timestamp | Field::AcceptedAt, Test::Integers { low, high }) => {
            // Which bounds there are stays.
            *low = if *low == i64::MIN { i64::MIN } else { 0 };
            *high = if *high == i64::MAX { i64::MAX } else { 0 };
        }
        Expr::All | Expr::Text(_) | Expr::TextRegex(_) | Expr::Field(..) => {}
    }
}

#[cfg(test)]
mod tests {
    use watchfire_model::Timestamp;

    use super::super::parse;

    fn fingerprint(text: &str, now_ms: i64) -> u64 {
        parse(text, Timestamp::from_millis(now_ms)).expect("a query").fingerprint()
    }

    #[test]
    fn tells_questions_apart_and_lets_time_move() {
        let now = 1_714_550_400_000;
        for text in ["", "error", "level:error timeout", "-(a OR timestamp:>1h)", "accepted_at:[2h TO 1h] x", "seq:>5"]
        {
            assert_eq!(fingerprint(text, now), fingerprint(text, now + 7_000), "{text}");
        }
        for (one, other) in [
            ("error", "errors"),
            ("a b", "a OR b"),
            ("level:error", "level:warn"),
            ("seq:>5", "seq:>6"),
            ("timestamp:>1h", "timestamp:<1h"),
            ("timestamp:>1h", "accepted_at:>1h"),
            ("fields.n:>5", "fields.n:>6"),
        ] {
            assert_ne!(fingerprint(one, now), fingerprint(other, now), "{one} | {other}");
        }
    }
}
