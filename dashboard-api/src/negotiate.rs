//! In which form an exposition is answered, as the reader's `Accept` says.
//!
//! Source: `NegotiateAccept` of Prometheus' `common/expfmt`.

use http::{HeaderMap, header};
use watchfire_exposition::escaping::Escaping;

/// The forms that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Prometheus' text format 0.0.4.
    Text,
    /// Delimited messages of `io.prometheus.client.MetricFamily`.
    Protobuf,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Negotiated {
    pub(crate) form: Form,
    pub(crate) escaping: Escaping,
}

impl Negotiated {
    /// The first form of `Accept` that is among those offered, and how names are escaped by what was said up to it; text,
    /// if there is none.
    pub(crate) fn of(headers: &HeaderMap, offered: &[Form]) -> Negotiated {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut clauses: Vec<Clause<'_>> = accept.split(',').map(Clause::read).collect();
        clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality).then(a.is_wild().cmp(&b.is_wild())));
        let mut escaping = Escaping::default();
        for clause in clauses {
            escaping = clause.parameter("escaping").and_then(Escaping::named).unwrap_or(escaping);
            if let Some(form) = offered.iter().copied().find(|form| clause.takes(*form)) {
                return Negotiated { form, escaping };
            }
        }
        Negotiated { form: Form::Text, escaping }
    }

    /// What the answer says that it is.
    pub(crate) fn content_type(self) -> String {
        let form = match self.form {
            Form::Text => "text/plain; version=0.0.4; charset=utf-8",
            Form::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        };
        format!("{form}; escaping={}", self.escaping.as_str())
    }
}

/// One of what is accepted.
struct Clause<'a> {
    kind: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    /// In 0..=1.
    quality: f64,
}

impl<'a> Clause<'a> {
    fn read(text: &'a str) -> Clause<'a> {
        let mut parts = text.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let parameters: Vec<(&str, &str)> =
            parts.filter_map(|part| part.split_once('=')).map(|(name, value)| (name.trim(), value.trim())).collect();
        let mut clause = Clause { kind, parameters, quality: 1.0 };
        if let Some(quality) = clause.parameter("q") {
            clause.quality = quality.parse().unwrap_or(0.0);
        }
        clause
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(have, _)| *have == name).map(|(_, value)| *value)
    }

    fn is_wild(&self) -> bool {
        self.kind.contains('*')
    }

    fn takes(&self, form: Form) -> bool {
        let is = |name: &str, value: &str| self.parameter(name) == Some(value);
        match (form, self.kind) {
            (Form::Text, "text/plain") => self.parameter("version").is_none_or(|version| version == "0.0.4"),
            (Form::Text, "text/*" | "*/*" | "*") => is("version", "0.0.4"),
            (Form::Protobuf, "application/vnd.google.protobuf" | "application/*" | "*/*" | "*") => {
                is("proto", "io.prometheus.client.MetricFamily") && is("encoding", "delimited")
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Form; 2] = [Form::Protobuf, Form::Text];
    const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

    #[test]
    fn what_is_accepted_is_answered() {
        let (text, protobuf) = (Form::Text, Form::Protobuf);
        let (plain, utf8, dots) = (Escaping::Underscores, Escaping::AllowUtf8, Escaping::Dots);
        for (accept, form, escaping) in [
            (String::new(), text, plain),
            ("*/*".to_owned(), text, plain),
            ("text/plain;version=1.0.0;escaping=allow-utf-8".to_owned(), text, utf8),
            ("text/plain; version=0.0.4; escaping=dots".to_owned(), text, dots),
            ("text/plain;escaping=none".to_owned(), text, plain),
            (format!("{PROTOBUF};escaping=values"), protobuf, Escaping::Values),
            (format!("{PROTOBUF};q=0.1,text/plain;q=0.5;escaping=dots"), text, dots),
            (format!("{PROTOBUF};q=0.1,text/plain;version=1.0.0;q=0.5;escaping=dots"), protobuf, dots),
            (format!("*/*;escaping=dots,{PROTOBUF};q=0.1,text/plain;escaping=allow-utf-8"), text, utf8),
            ("application/vnd.google.protobuf;encoding=delimited".to_owned(), text, plain),
            (",;=,a/b;q=x;=;escaping=dots".to_owned(), text, dots),
        ] {
            let headers = [(header::ACCEPT, accept.parse().expect("a header"))].into_iter().collect();
            assert_eq!(Negotiated::of(&headers, &BOTH), Negotiated { form, escaping }, "{accept}");
        }
        let headers = [(header::ACCEPT, PROTOBUF.parse().expect("a header"))].into_iter().collect();
        let told = Negotiated::of(&headers, &[Form::Text]).content_type();
        assert_eq!(told, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
    }
}
