//! Parameters of a call: of the query string, and of a body in JSON or form encoding, by the same names.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use http::header;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use watchfire_model::{Timestamp, nearest};

use crate::body::{self, Placed};
use crate::error::ApiError;
use crate::long_query::LongQuery;

/// Largest body of parameters, bytes.
const BODY_BYTES_MAX: usize = 2 << 20;
/// Largest body of a call of Prometheus' API, bytes, as for Go's `net/http`. Those that are larger than others may be take a
/// place.
const FORM_BYTES_MAX: usize = 10 << 20;
/// Places for these: what is read of one takes a few times its length.
pub(crate) const LONG_FORMS_AT_ONCE: usize = 2;

/// Names and values, those of the body before those of the query string.
#[derive(Clone, Debug, Default)]
pub struct Params {
    pairs: Vec<(String, String)>,
    /// What is wrong with the first pair of a form that was passed over.
    fault: Option<String>,
}

/// What becomes of the pairs of a form that cannot be read: those with a `%` that no two digits follow, or with a `;`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unreadable {
    /// The `%` stands for itself, and so does the `;`.
    TakenAsTheyStand,
    /// They are as if they were not there.
    PassedOver,
}

impl Params {
    /// The first value of a name, as with Prometheus; an empty one counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.pairs.iter().find(|(have, _)| have == name)?;
        (!value.is_empty()).then_some(value)
    }

    /// Refuses every name that is none of these, and one that is given twice. `_` is let through: some clients add it
    /// against caches, with a number that means nothing.
    pub fn only(&self, known: &[&[&str]]) -> Result<(), ApiError> {
        let names = || known.iter().copied().flatten();
        let mut given = HashSet::new();
        for (name, _) in &self.pairs {
            if name != "_" && !given.insert(name) {
                let message = format!("parameter `{}` is given twice", shown(name));
                return Err(ApiError::new(http::StatusCode::BAD_REQUEST, "bad_parameter", message));
            }
        }
        let unknown =
            self.pairs.iter().map(|(name, _)| name).find(|name| *name != "_" && !names().any(|known| known == name));
        match unknown {
            None => Ok(()),
            Some(unknown) if names().next().is_none() => {
                let error =
                    ApiError::new(http::StatusCode::BAD_REQUEST, "bad_parameter", unknown_name("parameter", unknown));
                Err(error.hint("no parameters are known here"))
            }
            Some(unknown) => Err(unknown_of("parameter", unknown, &known.concat())),
        }
    }

    /// All values of a name that may be given several times.
    pub fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p str> {
        self.pairs.iter().filter(move |(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// A whole number of at most `most`.
    pub fn number(&self, name: &str, default: usize, most: usize) -> Result<usize, ApiError> {
        let Some(text) = self.get(name) else { return Ok(default) };
        let number: usize = text
            .parse()
            .map_err(|_| ApiError::bad_parameter(name, format!("`{}` is not a whole number", shown(text))))?;
        if number > most {
            return Err(ApiError::bad_parameter(name, format!("{number} is more than {most}, the most there is")));
        }
        Ok(number)
    }

    /// A time (API.md, 1).
    pub fn time(&self, name: &str, now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        Timestamp::parse_parameter(text, now).map(Some).map_err(|error| ApiError::bad_parameter(name, error))
    }
}

/// Refuses a name that is none of those that are known, with the one that is meant most likely. `what` it names.
pub fn unknown_of(what: &str, name: &str, known: &[&str]) -> ApiError {
    let error = ApiError::new(http::StatusCode::BAD_REQUEST, "bad_parameter", unknown_name(what, name));
    error.hint(match nearest(name, known.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("known are {}", known.join(", ")),
    })
}

fn unknown_name(what: &str, name: &str) -> String {
    format!("unknown {what} `{}`", shown(name))
}

/// At most 80 characters of what was sent, for a message.
pub fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Params, ApiError> {
        let unreadable = Unreadable::TakenAsTheyStand;
        let of_query = Params::of_address(&request, unreadable);
        let is_form = is_form(&request);
        let body = body::read(request.into_body(), BODY_BYTES_MAX).await?;
        Params::of_both(of_query, &body, is_form, unreadable)
    }
}

fn is_form(request: &Request) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded")
}

impl Params {
    /// Those of a call of Prometheus' API, which passes over pairs that cannot be read, and bodies that are no forms; and the
    /// place that they take of `long_forms`.
    pub(crate) async fn without_unreadable(
        request: Request,
        long_forms: &Arc<Semaphore>,
    ) -> Result<(Params, Option<OwnedSemaphorePermit>), ApiError> {
        let of_query = Params::of_address(&request, Unreadable::PassedOver);
        let is_form = is_form(&request);
        let Placed { bytes, place } =
            body::read_placed(request.into_body(), BODY_BYTES_MAX, FORM_BYTES_MAX, long_forms).await?;
        let read = move || Params::of_both(of_query, &bytes, is_form, Unreadable::PassedOver);
        let params = match place {
            None => read()?,
            Some(_) => tokio::task::spawn_blocking(read).await.map_err(ApiError::internal)??,
        };
        Ok((params, place))
    }

    fn of_both(of_query: Params, body: &[u8], is_form: bool, unreadable: Unreadable) -> Result<Params, ApiError> {
        // Told by content first: who posts JSON with a tool's default content type means JSON.
        let is_json = body.trim_ascii_start().starts_with(b"{");
        let mut params = Params::default();
        if is_form && !is_json {
            params.add_form(body, unreadable);
        } else if is_json || (unreadable == Unreadable::TakenAsTheyStand && !body.is_empty()) {
            params.add_json(body)?;
        }
        params.pairs.extend(of_query.pairs);
        params.fault = params.fault.or(of_query.fault);
        Ok(params)
    }

    /// Those of the query string alone.
    pub fn of_query(request: &Request) -> Params {
        Params::of_address(request, Unreadable::TakenAsTheyStand)
    }

    fn of_address(request: &Request, unreadable: Unreadable) -> Params {
        let mut params = Params::default();
        match request.extensions().get::<LongQuery>() {
            Some(long) => params.add_form(&long.text, unreadable),
            None => params.add_form(request.uri().query().unwrap_or_default().as_bytes(), unreadable),
        }
        params
    }

    /// What is wrong with the first pair that was passed over, in the words of Go's `net/url`.
    pub(crate) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    fn add_form(&mut self, text: &[u8], unreadable: Unreadable) {
        for pair in text.split(|byte| *byte == b'&') {
            if unreadable == Unreadable::PassedOver
                && let Some(fault) = fault_of(pair)
            {
                self.fault.get_or_insert(fault);
                continue;
            }
            let read = form_urlencoded::parse(pair);
            self.pairs.extend(read.map(|(name, value)| (name.into_owned(), value.into_owned())));
        }
    }

    /// Members of an object, as if they came as the body of a call.
    pub fn of_members<'m>(members: impl IntoIterator<Item = (&'m String, &'m Value)>) -> Result<Params, ApiError> {
        let mut params = Params::default();
        params.add_members(members)?;
        Ok(params)
    }

    fn add_json(&mut self, body: &[u8]) -> Result<(), ApiError> {
        let object: serde_json::Map<String, Value> =
            serde_json::from_slice(body).map_err(|error| ApiError::malformed_json(body, &error))?;
        self.add_members(&object)
    }

    fn add_members<'m>(&mut self, members: impl IntoIterator<Item = (&'m String, &'m Value)>) -> Result<(), ApiError> {
        for (name, value) in members {
            let plain = |value: &Value| match value {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                Value::Bool(bool) => Some(bool.to_string()),
                Value::Null => Some(String::new()),
                Value::Array(_) | Value::Object(_) => None,
            };
            let text = match value {
                Value::Array(items) => items.iter().map(plain).collect::<Option<Vec<_>>>().map(|items| items.join(",")),
                value => plain(value),
            };
            let text =
                text.ok_or_else(|| ApiError::bad_parameter(name, "text, a number or a list of them is wanted"))?;
            self.pairs.push((name.clone(), text));
        }
        Ok(())
    }
}

/// Why a pair of a form cannot be read, in the words of Go's `net/url`.
fn fault_of(pair: &[u8]) -> Option<String> {
    if pair.contains(&b';') {
        return Some("invalid semicolon separator in query".to_owned());
    }
    let is_escape = |at: usize| pair.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    let at = (0..pair.len()).find(|at| pair.get(*at) == Some(&b'%') && !is_escape(*at))?;
    // An escape ends where its name or its value does.
    let name_end = pair.iter().position(|byte| *byte == b'=').filter(|end| at < *end).unwrap_or(pair.len());
    let rest = pair.get(at..name_end).unwrap_or_default();
    let escape = String::from_utf8_lossy(rest.get(..3).unwrap_or(rest)).into_owned();
    Some(format!("invalid URL escape {escape:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_text(form: &str, unreadable: Unreadable) -> Params {
        let mut params = Params::default();
        params.add_form(form.as_bytes(), unreadable);
        params
    }

    #[test]
    fn form_and_json_say_the_same() {
        let mut form = Params::default();
        form.add_form(b"q=a+b%20c&level=error,warn&limit=5&x=", Unreadable::TakenAsTheyStand);
        let mut json = Params::default();
        json.add_json(br#"{"q":"a b c","level":["error","warn"],"limit":5,"x":null}"#).expect("valid");
        for params in [form, json] {
            assert_eq!(params.get("q"), Some("a b c"));
            assert_eq!(params.get("level"), Some("error,warn"));
            assert_eq!(params.number("limit", 1, 10).ok(), Some(5));
            assert_eq!(params.number("limit", 1, 4).ok(), None);
            assert_eq!(params.get("x"), None);
        }
        let mut params = of_text("_=17&limt=5", Unreadable::TakenAsTheyStand);
        let error = params.only(&[&["q"], &["limit", "offset"]]).expect_err("misspelt");
        assert_eq!(
            (error.message.as_str(), error.hint.as_deref()),
            ("unknown parameter `limt`", Some("did you mean `limit`?"))
        );
        let error = params.only(&[&["q"]]).expect_err("unknown");
        assert_eq!(error.hint.as_deref(), Some("known are q"));
        assert_eq!(params.only(&[&["limt"]]), Ok(()));
        params.add_form(b"_=18", Unreadable::TakenAsTheyStand);
        assert_eq!(params.only(&[&["limt"]]), Ok(()));
        params.add_form(b"limt=5", Unreadable::TakenAsTheyStand);
        let error = params.only(&[&["limt"]]).expect_err("twice");
        assert_eq!(error.message, "parameter `limt` is given twice");
        assert!(Params::default().add_json(b"[1]").is_err());
        assert!(Params::default().add_json(br#"{"a":{"b":1}}"#).is_err());
    }

    #[test]
    fn pairs_that_cannot_be_read() {
        for (form, fault, passed_over, as_they_stand) in [
            ("", None, "", ""),
            ("a=%41&b=c+d&&=", None, "a:A b:c d :", "a:A b:c d :"),
            ("a=b&c=%zz&d=%", Some(r#"invalid URL escape "%zz""#), "a:b", "a:b c:%zz d:%"),
            ("a=b&c=%4&d=e", Some(r#"invalid URL escape "%4""#), "a:b d:e", "a:b c:%4 d:e"),
            ("a%4=b", Some(r#"invalid URL escape "%4""#), "", "a%4:b"),
            ("a=%4=b", Some(r#"invalid URL escape "%4=""#), "", "a:%4=b"),
            ("a=%é", Some(r#"invalid URL escape "%é""#), "", "a:%é"),
            ("a=b;c=%41&d", Some("invalid semicolon separator in query"), "d:", "a:b;c=A d:"),
        ] {
            for (unreadable, fault, pairs) in
                [(Unreadable::PassedOver, fault, passed_over), (Unreadable::TakenAsTheyStand, None, as_they_stand)]
            {
                let params = of_text(form, unreadable);
                let told: Vec<String> = params.pairs.iter().map(|(name, value)| format!("{name}:{value}")).collect();
                assert_eq!((params.fault(), told.join(" ").as_str()), (fault, pairs), "{form}");
            }
        }
    }
}
