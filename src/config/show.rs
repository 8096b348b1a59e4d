//! The configuration in force, as YAML: every value with, if that is wanted, where it comes from.

use std::path::Path;

use clap::ArgMatches;
use clap::parser::ValueSource;
use watchfire_yaml::outline::{Key, Outline, Shape, join};
use watchfire_yaml::tree::{self, Kind, Node, Place};
use watchfire_yaml::variables::{self, Part};

use super::{Config, read};
use crate::cli::Over;
use crate::load;

/// What is shown in place of a secret.
pub(super) const SECRET: &str = "<secret>";
/// The section whose items take over from `global` what they do not say.
const SCRAPE_CONFIGS: &str = "scrape_configs";
/// Column from which on origins are written, where values leave room.
const ORIGIN_COLUMN: usize = 44;

/// All values in force. `matches` know which of the values that stand over the file are flags.
///
/// Errors: what is wrong with the file, a line for each fault.
pub fn show(over: &Over, matches: Option<&ArgMatches>, with_origins: bool) -> Result<String, String> {
    let file = over.config.as_deref();
    let text = file.map_or_else(|| Ok(String::new()), load::read);
    let text = text.map_err(|faults| if matches.is_some() { faults.of_named_config() } else { faults });
    let text = text.map_err(|faults| faults.to_string())?;
    let told = |fault: &super::Fault| file.map_or_else(|| fault.message.clone(), |file| load::placed(file, fault));
    let read = read::parse_outlined(&text, &load::environment);
    let (mut config, root, outline) = read.map_err(|faults| faults.iter().map(told).collect::<Vec<_>>().join("\n"))?;
    let wrong = load::put_over(&mut config, over);
    if !wrong.is_empty() {
        return Err(wrong.join("\n"));
    }
    // Its texts have the variables still in them.
    let verbatim = tree::parse_verbatim(&text).map(|(root, _)| root).ok();
    let mut shown = Shown { outline: &outline, root: Some(&root), file, out: String::new(), with_origins };
    for told in load::without_effect() {
        shown.out.push_str(&format!("# {told}\n"));
    }
    shown.addresses(&config, over, &root, matches);
    shown.section("", Some(&root), verbatim.as_ref(), 0, false);
    Ok(shown.out)
}

struct Shown<'a> {
    outline: &'a Outline,
    root: Option<&'a Node>,
    file: Option<&'a Path>,
    out: String,
    with_origins: bool,
}

impl Shown<'_> {
    /// `listen` and `data_dir`, which may be said in several places.
    fn addresses(&mut self, config: &Config, over: &Over, root: &Node, matches: Option<&ArgMatches>) {
        let stands_over = |id: &str, flag: &str, variable: &str| match matches.and_then(|all| all.value_source(id)) {
            Some(ValueSource::EnvVariable) => format!("environment {variable}"),
            _ => format!("flag {flag}"),
        };
        let in_file = |node: Option<&Node>| node.map_or_else(default, |node| self.place(node.place));
        let port = entry(entry(Some(root), "dashboard"), "port");
        let listen_origin = match over.listen.is_empty() {
            true => in_file(port.or(entry(Some(root), "listen"))),
            false => stands_over("listen", "--listen", "WATCHFIRE_LISTEN"),
        };
        let data_origin = match over.data_dir {
            None => in_file(entry(Some(root), "data_dir")),
            Some(_) => stands_over("data_dir", "--data-dir", "WATCHFIRE_DATA_DIR"),
        };
        let listen: Vec<String> = config.listen.iter().map(|address| format!("\"{address}\"")).collect();
        self.line(0, &format!("listen: [{}]", listen.join(", ")), &listen_origin);
        self.line(0, &format!("data_dir: {}", scalar(&config.data_dir.to_string_lossy())), &data_origin);
    }

    /// Adds the keys of a section that have a value; whether there are any. `verbatim` is the same node before
    /// variables were replaced. As an item of a list its first line begins with a dash.
    fn section(
        &mut self,
        path: &str,
        node: Option<&Node>,
        verbatim: Option<&Node>,
        depth: usize,
        mut is_item: bool,
    ) -> bool {
        let outline = self.outline;
        let Some(keys) = outline.section(path) else { return false };
        let begin = self.out.len();
        let place = node.map_or_else(Place::default, |node| node.place);
        let of_user = node.filter(|_| keys.free).map(names).unwrap_or_default();
        let nothing = Key::default();
        let known = keys.known.iter().map(|(name, key)| (*name, key));
        for (name, key) in known.chain(of_user.into_iter().map(|name| (name, &nothing))) {
            if path.is_empty() && ["listen", "data_dir", "dashboard"].contains(&name) {
                continue;
            }
            let start = self.out.len();
            let below = join(path, name);
            let is_section = outline.section(&below).is_some() && key.shape == Shape::Any;
            // Elsewhere a key with nothing behind it says nothing.
            match entry(node, name).filter(|value| is_section || !matches!(value.kind, Kind::Null)) {
                Some(empty) if matches!(empty.kind, Kind::Null) => self.empty(&below, name, empty, depth),
                Some(value) => self.value(&below, name, key, (value, entry(verbatim, name)), depth),
                None => match key.default_at(place) {
                    Some(text) => self.line(depth, &format!("{name}: {text}"), &self.inherited(path, name)),
                    None => _ = self.absent(&below, name, depth),
                },
            }
            if is_item && self.out.len() > start {
                // The dash stands in place of the last two blanks before the first key.
                let at = start + 2 * depth.saturating_sub(1);
                self.out.replace_range(at..at + 2, "- ");
                is_item = false;
            }
        }
        self.out.len() > begin
    }

    /// A section that is not in the file, for its defaults; whether there are any.
    fn absent(&mut self, path: &str, name: &str, depth: usize) -> bool {
        let before = self.out.len();
        self.line(depth, &format!("{name}:"), "");
        let has_any = self.section(path, None, None, depth + 1, false);
        if !has_any {
            self.out.truncate(before);
        }
        has_any
    }

    /// A section that is named, with nothing in it: that may switch its part on.
    fn empty(&mut self, path: &str, name: &str, node: &Node, depth: usize) {
        let before = self.out.len();
        self.line(depth, &format!("{name}:"), "");
        if self.section(path, Some(node), None, depth + 1, false) {
            return;
        }
        self.out.truncate(before);
        if !self.absent(path, name, depth) {
            self.line(depth, &format!("{name}: {{}}"), &self.place(node.place));
        }
    }

    /// Adds a key that has a value, which is given as it is read and as it is written.
    fn value(&mut self, path: &str, name: &str, key: &Key, (node, verbatim): (&Node, Option<&Node>), depth: usize) {
        let name = scalar(name);
        let is_section = self.outline.section(path).is_some();
        match &node.kind {
            Kind::Map(entries) if is_section && !entries.is_empty() && !key.secret => {
                self.line(depth, &format!("{name}:"), "");
                self.section(path, Some(node), verbatim, depth + 1, false);
            }
            Kind::List(items) if is_section && !items.is_empty() => {
                self.line(depth, &format!("{name}:"), "");
                for (at, item) in items.iter().enumerate() {
                    let verbatim = verbatim.and_then(|list| match &list.kind {
                        Kind::List(items) => items.get(at),
                        _ => None,
                    });
                    self.section(path, Some(item), verbatim, depth + 2, true);
                }
            }
            _ => self.line(depth, &format!("{name}: {}", flow(node, key.secret)), &self.origin(node, verbatim)),
        }
    }

    /// Where a value comes from that the section itself does not say.
    fn inherited(&self, path: &str, name: &str) -> String {
        let global = entry(self.root, "global").filter(|_| path == SCRAPE_CONFIGS);
        entry(global, name).map_or_else(default, |node| format!("global, {}", self.place(node.place)))
    }

    fn place(&self, place: Place) -> String {
        let file = self.file.map(|file| file.display().to_string()).unwrap_or_default();
        format!("{file}:{}:{}", place.line, place.column)
    }

    /// The place in the file, and the variables that the value comes from.
    fn origin(&self, node: &Node, verbatim: Option<&Node>) -> String {
        let place = self.place(node.place);
        match (&node.kind, verbatim.map(|node| &node.kind)) {
            (Kind::Scalar { text, .. }, Some(Kind::Scalar { text: written, .. })) if text != written => {
                match variables(written).as_slice() {
                    [] => place,
                    names => format!("environment {}, {place}", names.join(", ")),
                }
            }
            _ => place,
        }
    }

    fn line(&mut self, depth: usize, text: &str, origin: &str) {
        let line = format!("{}{text}", "  ".repeat(depth));
        self.out.push_str(&line);
        if self.with_origins && !origin.is_empty() {
            let room = ORIGIN_COLUMN.saturating_sub(line.chars().count());
            self.out.push_str(&format!("{}  # {}", " ".repeat(room), one_line(origin)));
        }
        self.out.push('\n');
    }
}

fn default() -> String {
    "default".to_owned()
}

/// What stands at a key of a section.
fn entry<'n>(section: Option<&'n Node>, key: &str) -> Option<&'n Node> {
    section?.entry(key).map(|(_, node)| node)
}

/// The keys of a section.
fn names(node: &Node) -> Vec<&str> {
    match &node.kind {
        Kind::Map(entries) => entries.iter().map(|(name, ..)| name.as_str()).collect(),
        _ => Vec::new(),
    }
}

/// The variables that a text takes something from.
fn variables(written: &str) -> Vec<&str> {
    let named = variables::parts(written).filter_map(|part| match part {
        Part::Variable { name, .. } => Some(name),
        Part::Plain(_) | Part::Dollar => None,
    });
    named.filter(|name| load::environment(name).is_some()).collect()
}

/// A path cannot end the comment in which it stands.
fn one_line(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

/// A value on one line.
pub(super) fn flow(node: &Node, is_secret: bool) -> String {
    match &node.kind {
        Kind::Null => "{}".to_owned(),
        Kind::Scalar { .. } if is_secret => SECRET.to_owned(),
        Kind::Scalar { text, .. } => scalar(text),
        Kind::List(items) => {
            let items: Vec<String> = items.iter().map(|item| flow(item, is_secret)).collect();
            format!("[{}]", items.join(", "))
        }
        Kind::Map(entries) => {
            let entries: Vec<String> =
                entries.iter().map(|(name, _, node)| format!("{}: {}", scalar(name), flow(node, is_secret))).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

/// Text as YAML reads it back: plain where nobody could take it for anything else.
fn scalar(text: &str) -> String {
    // A dollar that would begin a variable, or stand for itself.
    let text = if text.contains("${") || text.contains("$$") { text.replace('$', "$$") } else { text.to_owned() };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./+-".contains(c);
    let begins_plain = text.starts_with(|c: char| c.is_ascii_alphanumeric() || "_./".contains(c));
    let is_null = text.eq_ignore_ascii_case("null");
    if begins_plain && !is_null && text.chars().all(is_plain) {
        text
    } else {
        serde_json::Value::from(text).to_string()
    }
}
