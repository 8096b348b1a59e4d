use watchfire_model::{LabelSet, Timestamp};

use super::{Asked, MatcherText, SilenceError, SilenceState, Silences};

const HOUR_MS: i64 = 3_600_000;

fn at(hours: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + hours * HOUR_MS)
}

fn matcher(text: &str) -> MatcherText {
    let (name, op, value) = ["!~", "=~", "!=", "="]
        .into_iter()
        .find_map(|op| text.split_once(op).map(|(name, value)| (name, op, value)))
        .expect("a matcher");
    MatcherText {
        name: name.to_owned(),
        value: value.to_owned(),
        is_regex: op.ends_with('~'),
        is_equal: !op.starts_with('!'),
    }
}

fn asked(matchers: &[&str], from: i64, to: i64) -> Asked {
    Asked {
        id: None,
        matchers: matchers.iter().map(|text| matcher(text)).collect(),
        starts_at: at(from),
        ends_at: at(to),
        created_by: "anna".to_owned(),
        comment: "maintenance".to_owned(),
    }
}

fn labels(pairs: &[(&str, &str)]) -> LabelSet {
    LabelSet::from_pairs(pairs.iter().copied()).expect("valid")
}

#[test]
fn all_matchers_must_match_within_its_time() {
    let dir = tempfile::tempdir().expect("a folder");
    let (silences, _) = Silences::open(dir.path()).expect("opens");
    let id = silences.set(&asked(&["service=~a.*", "severity!=page", "zone!~eu-.+"], 1, 2), at(0)).expect("made");
    let good = labels(&[("alertname", "X"), ("service", "api")]);
    assert_eq!(silences.get(&id).map(|silence| silence.state(at(0))), Some(SilenceState::Pending));
    for (hours, silenced) in [(0, false), (1, true), (2, false)] {
        assert_eq!(silences.active(at(hours)).silence(&good), silenced, "{hours}");
    }
    let active = silences.active(at(1));
    assert_eq!(active.matching(&good).collect::<Vec<_>>(), [id.as_str()]);
    for other in [
        labels(&[("service", "xapi")]),
        labels(&[("service", "api"), ("severity", "page")]),
        labels(&[("service", "api"), ("zone", "eu-1")]),
        labels(&[]),
    ] {
        assert!(!active.silence(&other), "{other}");
    }
}

#[test]
fn what_cannot_be_a_silence_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let (silences, _) = Silences::open(dir.path()).expect("opens");
    for (asked, why) in [
        (asked(&[], 0, 1), "1 to 100 matchers"),
        (asked(&["a=~("], 0, 1), "`a`"),
        (asked(&["a=~.*", "b!=x"], 0, 1), "must not match the empty text"),
        (asked(&["a=b"], -2, -1), "in the past"),
        (asked(&["a=b"], 2, 1), "not after the start"),
        (asked(&["=b"], 0, 1), "the name of a label"),
    ] {
        let error = silences.set(&asked, at(0)).expect_err(why);
        assert!(error.to_string().contains(why), "{error}");
    }
    let unknown = Asked { id: Some("nobody".to_owned()), ..asked(&["a=b"], 0, 1) };
    assert!(matches!(silences.set(&unknown, at(0)), Err(SilenceError::Unknown(_))));
    assert!(matches!(silences.expire("nobody", at(0)), Err(SilenceError::Unknown(_))));
    assert!(silences.list(at(0)).is_empty());
}

#[test]
fn a_silence_changes_ends_and_is_remembered() {
    let dir = tempfile::tempdir().expect("a folder");
    let (silences, _) = Silences::open(dir.path()).expect("opens");
    let id = silences.set(&asked(&["a=b"], 0, 2), at(0)).expect("made");
    let longer = Asked { id: Some(id.clone()), ..asked(&["a=b"], 0, 5) };
    assert_eq!(silences.set(&longer, at(1)).expect("changed"), id);
    let kept = silences.get(&id).expect("there");
    assert_eq!((kept.starts_at, kept.ends_at), (at(0), at(5)), "it began when it began");
    // Other matchers end it, and another one begins.
    let other = Asked { id: Some(id.clone()), ..asked(&["a=c"], 0, 5) };
    let next = silences.set(&other, at(2)).expect("made anew");
    assert_ne!(next, id);
    let states = |silences: &Silences, now| -> Vec<(String, SilenceState)> {
        silences.list(now).iter().map(|silence| (silence.id.clone(), silence.state(now))).collect()
    };
    let expected = vec![(next.clone(), SilenceState::Active), (id.clone(), SilenceState::Expired)];
    assert_eq!(states(&silences, at(2)), expected);
    drop(silences);
    // As after a kill: the file was never closed.
    let (silences, recovery) = Silences::open(dir.path()).expect("opens again");
    assert!(!recovery.is_damaged());
    assert_eq!(states(&silences, at(2)), expected);
    silences.expire(&next, at(3)).expect("ended");
    assert!(matches!(silences.expire(&next, at(3)), Err(SilenceError::Ended(_))));
    assert!(silences.active(at(3)).is_empty());
    let (silences, _) = {
        drop(silences);
        Silences::open(dir.path()).expect("opens again")
    };
    assert!(silences.active(at(3)).is_empty());
    assert_eq!(silences.list(at(3 + 121)).len(), 0, "after five days it is forgotten");
}
