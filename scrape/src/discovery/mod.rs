//! Ways to find targets that change while we run: files, servers that are asked, and names.
//!
//! What cannot be read leaves what was found before in force, as with Prometheus.

mod dns;
mod files;
mod http;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::config::{Discovery, TargetGroup};
use crate::run::Shared;

/// What a look at a source brought: all targets that it knows now, or why it does not say.
pub(crate) type Look = Result<Vec<TargetGroup>, String>;

/// Looks at a source again and again, and tells what it brought whenever that has changed. Ends when it is dropped.
pub(crate) async fn watch<F: Future<Output = ()>>(discovery: Discovery, shared: Arc<Shared>, tell: impl Fn(Look) -> F) {
    match discovery {
        Discovery::Static(groups) => tell(Ok(groups)).await,
        Discovery::Files(files) => files::watch(files, tell).await,
        Discovery::Dns(dns) => dns::watch(dns, tell).await,
        Discovery::Http(http) => http::watch(*http, shared, tell).await,
    }
}

/// A group as it stands in a file or an answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    #[serde(default)]
    targets: Vec<String>,
    labels: Option<BTreeMap<String, Word>>,
}

/// The value of a label. YAML takes `80` for a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Word {
    Text(String),
    Whole(i64),
    Number(f64),
    Bool(bool),
}

impl Word {
    fn into_text(self) -> String {
        match self {
            Word::Text(text) => text,
            Word::Whole(number) => number.to_string(),
            Word::Number(number) => number.to_string(),
            Word::Bool(is_true) => is_true.to_string(),
        }
    }
}

/// Groups with a label that says where they were found.
fn marked(groups: Vec<Option<Group>>, label: &str, place: &str) -> Vec<TargetGroup> {
    let marked = |group: Group| {
        let labels = group.labels.unwrap_or_default().into_iter().map(|(name, value)| (name, value.into_text()));
        let labels = labels.chain([(label.to_owned(), place.to_owned())]).collect();
        TargetGroup { targets: group.targets, labels }
    };
    groups.into_iter().flatten().map(marked).collect()
}
