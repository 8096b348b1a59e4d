//! What is asked for: `prometheus.ReadRequest`.
//!
//! ```text
//! ReadRequest   1 queries*  2 accepted response types*
//! Query         1 start (int64, ms)  2 end  3 matchers*  4 hints
//! LabelMatcher  1 type (0 =, 1 !=, 2 =~, 3 !~)  2 name  3 value
//! Hints         2 function  (the others say what the asker will do with the samples, which need not be known)
//! ```

use std::borrow::Cow;

use watchfire_engine::TimeRange;
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::matcher::MatchOp;
use watchfire_model::{LabelSet, Matcher, MatcherBudget, Timestamp};
use watchfire_protobuf::{Field, Malformed, Message, numbers};

/// Most queries of a request; Prometheus sends one.
const QUERIES_MAX: usize = 100;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseType {
    /// All samples in one message.
    Samples,
    /// Packed chunks, frame by frame.
    Chunks,
}

/// One query.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) matchers: Vec<Matcher>,
    pub(super) range: TimeRange,
    /// Only the label sets are wanted.
    pub(super) labels_only: bool,
}

impl Query {
    /// Series carry these labels where they leave us, and not here: who asks for one by its value means series without it.
    pub(super) fn mean_without(&mut self, external: &LabelSet) {
        for matcher in &mut self.matchers {
            let is_external = external.get(matcher.name()).is_some_and(|value| value == matcher.value());
            if matcher.op() == MatchOp::Equal && is_external {
                *matcher = Matcher::equal(matcher.name(), "");
            }
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) queries: Vec<Query>,
    pub(super) response: ResponseType,
}

/// Why a request cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RequestError {
    #[error("the body is no remote-read request: {0}")]
    Malformed(#[from] Malformed),
    #[error("invalid matcher type")]
    MatcherType,
    #[error("{0}")]
    Matcher(String),
    #[error("none of the response types that are asked for is known here: 0 (samples), 1 (streamed XOR chunks)")]
    ResponseType,
    #[error("there are more than {QUERIES_MAX} queries")]
    TooMany,
}

/// Reads a request.
pub(super) fn read(body: &[u8]) -> Result<Request, RequestError> {
    let mut message = Message::new(body);
    let mut budget = MatcherBudget::default();
    let (mut queries, mut response, mut is_asked) = (Vec::new(), None, false);
    while let Some((number, field)) = message.next()? {
        match number {
            1 if queries.len() >= QUERIES_MAX => return Err(RequestError::TooMany),
            1 => queries.push(read_query(field.bytes()?, &mut budget)?),
            2 => {
                for kind in numbers(field) {
                    is_asked = true;
                    // They stand in the order of preference.
                    response = response.or(match kind? {
                        0 => Some(ResponseType::Samples),
                        1 => Some(ResponseType::Chunks),
                        _ => None,
                    });
                }
            }
            _ => {}
        }
    }
    match (response, is_asked) {
        (Some(response), _) => Ok(Request { queries, response }),
        (None, false) => Ok(Request { queries, response: ResponseType::Samples }),
        (None, true) => Err(RequestError::ResponseType),
    }
}

fn read_query(bytes: &[u8], budget: &mut MatcherBudget) -> Result<Query, RequestError> {
    let mut message = Message::new(bytes);
    let (mut start, mut end, mut matchers, mut labels_only) = (0i64, 0i64, Vec::new(), false);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => start = field.signed()?,
            2 => end = field.signed()?,
            3 => matchers.push(read_matcher(field.bytes()?, budget)?),
            4 => labels_only = function(field)? == b"series",
            _ => {}
        }
    }
    if matchers.is_empty() {
        // Without any, nothing is found there: a name that no series has.
        matchers.push(Matcher::equal(METRIC_NAME, ""));
    }
    // Ranges of the engine are left-open, those of Prometheus hold both ends.
    let start = Timestamp::from_millis(start.saturating_sub(1));
    Ok(Query { matchers, range: TimeRange { start, end: Timestamp::from_millis(end) }, labels_only })
}

fn function(hints: Field<'_>) -> Result<&[u8], RequestError> {
    let mut message = Message::new(hints.bytes()?);
    let mut function = &[][..];
    while let Some((number, field)) = message.next()? {
        if number == 2 {
            function = field.bytes()?;
        }
    }
    Ok(function)
}

/// No series has a text that is no UTF-8; the one that it becomes is as rare.
fn text(field: Field<'_>) -> Result<Cow<'_, str>, RequestError> {
    Ok(String::from_utf8_lossy(field.bytes()?))
}

fn read_matcher(bytes: &[u8], budget: &mut MatcherBudget) -> Result<Matcher, RequestError> {
    let mut message = Message::new(bytes);
    let (mut op, mut name, mut value) = (MatchOp::Equal, Cow::default(), Cow::default());
    while let Some((number, field)) = message.next()? {
        match number {
            1 => {
                op = match field.unsigned()? {
                    0 => MatchOp::Equal,
                    1 => MatchOp::NotEqual,
                    2 => MatchOp::Regex,
                    3 => MatchOp::NotRegex,
                    _ => return Err(RequestError::MatcherType),
                }
            }
            2 => name = text(field)?,
            3 => value = text(field)?,
            _ => {}
        }
    }
    budget.matcher(name.into_owned(), op, value.into_owned()).map_err(|error| RequestError::Matcher(error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use watchfire_protobuf::Writer;

    use super::*;

    fn request(types: &[i64], matcher: (i64, &str)) -> Vec<u8> {
        let mut out = Vec::new();
        let mut request = Writer::new(&mut out);
        request.message(1, |query| {
            query.signed(1, 1000);
            query.signed(2, 2000);
            query.message(3, |inner| {
                inner.signed(1, matcher.0);
                inner.bytes(2, b"__name__");
                inner.bytes(3, matcher.1.as_bytes());
            });
            query.message(4, |hints| hints.bytes(2, b"rate"));
        });
        for kind in types {
            out.extend_from_slice(&[0x10, *kind as u8]);
        }
        out
    }

    #[test]
    fn the_first_known_type_of_response_is_taken() {
        for (types, wanted) in [
            (&[][..], Some(ResponseType::Samples)),
            (&[1, 0], Some(ResponseType::Chunks)),
            (&[7, 0, 1], Some(ResponseType::Samples)),
            (&[7], None),
        ] {
            assert_eq!(read(&request(types, (0, "up"))).ok().map(|request| request.response), wanted, "{types:?}");
        }
        let read = read(&request(&[1], (2, "up|down"))).expect("a request");
        let query = read.queries.first().expect("a query");
        assert_eq!((query.range.start.millis(), query.range.end.millis()), (999, 2000));
        assert!(query.matchers.iter().all(|matcher| matcher.matches("down")) && !query.labels_only);
    }

    #[test]
    fn what_cannot_be_asked_is_told() {
        assert_eq!(read(&request(&[], (9, "x"))).err(), Some(RequestError::MatcherType));
        assert!(matches!(read(&request(&[], (2, "("))), Err(RequestError::Matcher(_))));
        assert!(read(&[0x0a, 0]).is_ok_and(|request| request.queries.len() == 1));
        assert!(read(&[0x0a, 5]).is_err());
        assert_eq!(read(&[0x0a, 2, 0x1a, 0].repeat(QUERIES_MAX + 1)).err(), Some(RequestError::TooMany));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&body);
        }
    }
}
