//! `relabel_configs` and `metric_relabel_configs`: rules that change the labels of targets and of samples.
//!
//! Source: <https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config>, and the code of
//! Prometheus where that is silent.

use std::borrow::Cow;

use regex::{Captures, Regex};

use crate::md5;
use watchfire_exposition::labels::{Labels, is_label_name};
use watchfire_model::re2;

/// Largest compiled expression, bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Action {
    /// Sets the target label to the replacement where the expression fits.
    #[default]
    Replace,
    /// Keeps only what the expression fits.
    Keep,
    /// Drops what the expression fits.
    Drop,
    /// Keeps only what has the source's value in the target label.
    KeepEqual,
    /// Drops what has the source's value in the target label.
    DropEqual,
    /// Sets the target label to the hash of the source, modulo.
    HashMod,
    /// Copies labels whose name fits to other names.
    LabelMap,
    /// Drops labels whose name fits.
    LabelDrop,
    /// Keeps only labels whose name fits.
    LabelKeep,
    /// Sets the target label to the source in lower case.
    Lowercase,
    /// Sets the target label to the source in upper case.
    Uppercase,
}

impl Action {
    /// Each with its word in a configuration.
    pub const NAMES: [(&'static str, Action); 11] = [
        ("replace", Action::Replace),
        ("keep", Action::Keep),
        ("drop", Action::Drop),
        ("keepequal", Action::KeepEqual),
        ("dropequal", Action::DropEqual),
        ("hashmod", Action::HashMod),
        ("labelmap", Action::LabelMap),
        ("labeldrop", Action::LabelDrop),
        ("labelkeep", Action::LabelKeep),
        ("lowercase", Action::Lowercase),
        ("uppercase", Action::Uppercase),
    ];

    /// The action of a word, in any case, as Prometheus reads it.
    pub fn parse(word: &str) -> Option<Action> {
        Action::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, action)| *action)
    }

    /// Its word in a configuration.
    pub fn as_str(self) -> &'static str {
        Action::NAMES.iter().find(|(_, action)| *action == self).map_or("", |(name, _)| name)
    }
}

/// An expression that has to fit a whole text. Two are equal when they are written alike.
#[derive(Clone)]
pub struct Anchored {
    text: String,
    regex: Regex,
}

impl Anchored {
    /// Compiles an expression (RE2 syntax).
    ///
    /// Errors: why it is none.
    pub fn new(text: &str) -> Result<Anchored, String> {
        let regex = re2::compile_anchored(text, REGEX_BYTES_MAX)
            .map_err(|reason| reason.strip_prefix("error: ").unwrap_or(&reason).to_owned())?;
        Ok(Anchored { text: text.to_owned(), regex })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it fits a whole text.
    pub fn fits(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl PartialEq for Anchored {
    fn eq(&self, other: &Anchored) -> bool {
        self.text == other.text
    }
}

impl std::fmt::Debug for Anchored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.text, f)
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct RelabelRule {
    /// Labels whose values are joined.
    pub source_labels: Vec<String>,
    /// What stands between them.
    pub separator: String,
    /// What the joined values, or names of labels, are compared with; `None`: the default, which fits everything.
    pub regex: Option<Anchored>,
    /// Number of values of `hashmod`; above 0 there.
    pub modulus: u64,
    /// Label that is set or compared; `$1` in it stands for what the expression found.
    pub target_label: String,
    /// What is set, or how labels are renamed; `$1` likewise.
    pub replacement: String,
    /// What is done.
    pub action: Action,
}

impl Default for RelabelRule {
    fn default() -> RelabelRule {
        RelabelRule {
            source_labels: Vec::new(),
            separator: ";".to_owned(),
            regex: None,
            modulus: 0,
            target_label: String::new(),
            replacement: "$1".to_owned(),
            action: Action::Replace,
        }
    }
}

/// What contradicts itself in a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RuleFault {
    /// The key at fault.
    pub key: &'static str,
    /// What is wrong, and how to mend it.
    pub message: String,
}

impl RelabelRule {
    /// What contradicts itself, as Prometheus sees it.
    pub fn faults(&self) -> Vec<RuleFault> {
        let mut faults = Vec::new();
        let word = self.action.as_str();
        let mut fault = |key, message| faults.push(RuleFault { key, message });
        let needs_target = match self.action {
            Action::Replace
            | Action::KeepEqual
            | Action::DropEqual
            | Action::HashMod
            | Action::Lowercase
            | Action::Uppercase => true,
            Action::Keep | Action::Drop | Action::LabelMap | Action::LabelDrop | Action::LabelKeep => false,
        };
        if needs_target && self.target_label.is_empty() {
            fault("target_label", format!("the action {word} needs a `target_label`"));
        }
        if self.action == Action::HashMod && self.modulus == 0 {
            fault("modulus", "the action hashmod needs a `modulus` above 0".to_owned());
        }
        let default = RelabelRule::default();
        let ignored = [
            ("regex", self.regex.is_some()),
            ("modulus", self.modulus != 0),
            ("replacement", self.replacement != default.replacement),
            ("separator", self.separator != default.separator),
            ("source_labels", !self.source_labels.is_empty()),
            ("target_label", !self.target_label.is_empty()),
        ];
        let allowed: &[&str] = match self.action {
            Action::KeepEqual | Action::DropEqual => &["source_labels", "target_label"],
            Action::LabelDrop | Action::LabelKeep => &["regex"],
            _ => return faults,
        };
        for (key, _) in ignored.iter().filter(|(key, given)| *given && !allowed.contains(key)) {
            fault(key, format!("the action {word} takes only {}; remove `{key}`", allowed.join(" and ")));
        }
        faults
    }

    /// Changes the labels; false: they shall be dropped.
    pub(crate) fn apply(&self, labels: &mut Labels<'_>) -> bool {
        let mut value = String::new();
        for (at, name) in self.source_labels.iter().enumerate() {
            if at > 0 {
                value.push_str(&self.separator);
            }
            value.push_str(labels.get(name));
        }
        let fits = |text: &str| self.regex.as_ref().is_none_or(|anchored| anchored.fits(text));
        let mut set = |value: String| labels.set(self.target_label.clone().into(), value.into());
        match self.action {
            Action::Keep => return fits(&value),
            Action::Drop => return !fits(&value),
            Action::KeepEqual => return labels.get(&self.target_label) == value,
            Action::DropEqual => return labels.get(&self.target_label) != value,
            Action::Replace => self.replace(&value, labels),
            Action::HashMod => set((hash(&value) % self.modulus.max(1)).to_string()),
            Action::Lowercase => set(value.to_lowercase()),
            Action::Uppercase => set(value.to_uppercase()),
            Action::LabelMap => self.map(labels),
            Action::LabelDrop => labels.retain(|name| !fits(name)),
            Action::LabelKeep => labels.retain(fits),
        }
        true
    }

    fn replace(&self, value: &str, labels: &mut Labels<'_>) {
        let Some(found) = Found::new(self.regex.as_ref(), value) else { return };
        let target = found.expand(&self.target_label);
        if !is_label_name(&target) {
            return;
        }
        match found.expand(&self.replacement) {
            empty if empty.is_empty() => labels.remove(&target),
            value => labels.set(target.into_owned().into(), value.into_owned().into()),
        }
    }

    fn map(&self, labels: &mut Labels<'_>) {
        let renamed: Vec<(String, String)> = labels
            .iter()
            .filter_map(|(name, value)| {
                let target = Found::new(self.regex.as_ref(), name)?.expand(&self.replacement).into_owned();
                Some((target, value.to_owned()))
            })
            .collect();
        for (name, value) in renamed.into_iter().filter(|(name, _)| is_label_name(name)) {
            labels.set(name.into(), value.into());
        }
    }
}

/// What an expression found in a text.
enum Found<'t> {
    /// By the default, `(.*)`: all of it.
    All(&'t str),
    By(Captures<'t>),
}

impl<'t> Found<'t> {
    fn new(regex: Option<&Anchored>, text: &'t str) -> Option<Found<'t>> {
        match regex {
            None => Some(Found::All(text)),
            Some(anchored) => anchored.regex.captures(text).map(Found::By),
        }
    }

    /// A template with what was found in it.
    fn expand<'a>(&'a self, template: &'a str) -> Cow<'a, str> {
        if !template.contains('$') {
            return Cow::Borrowed(template);
        }
        match self {
            Found::All(text) if template == "$1" => Cow::Borrowed(text),
            Found::All(text) => {
                // A template is rarely another one here, so that compiling waits for it.
                static DEFAULT: std::sync::LazyLock<Option<Regex>> =
                    std::sync::LazyLock::new(|| Regex::new("^(?s:(.*))$").ok());
                let mut expanded = String::new();
                if let Some(captures) = DEFAULT.as_ref().and_then(|regex| regex.captures(text)) {
                    captures.expand(template, &mut expanded);
                }
                Cow::Owned(expanded)
            }
            Found::By(captures) => {
                let mut expanded = String::new();
                captures.expand(template, &mut expanded);
                Cow::Owned(expanded)
            }
        }
    }
}

/// The number that `hashmod` divides: the last eight bytes of the digest.
fn hash(text: &str) -> u64 {
    md5::digest(text.as_bytes()).iter().skip(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

/// Applies rules in order; false: the target or sample is dropped.
pub fn relabel(rules: &[RelabelRule], labels: &mut Labels<'_>) -> bool {
    rules.iter().all(|rule| rule.apply(labels))
}

#[cfg(test)]
mod tests;
