//! One record as a flat list of nodes: what every format's parser fills and the normaliser reads.
//!
//! ```text
//! {"a": 1, "b": {"c": "x"}}   =>   Object{end 7}  Key a  Int 1  Key b  Object{end 7}  Key c  Text x
//! ```
//! Texts are spans of the parsed input, or of the tape's own arena when they had escapes. The tape
//! borrows nothing, so one tape serves a whole body without allocating again.
//!
//! Invariant: after [`Tape::end_object`] the living keys of that object are unique (the last of equal
//! keys lives) and hold no [`PATH_SEPARATOR`].

use std::sync::Arc;

use watchfire_model::Value;
use watchfire_model::record::PATH_SEPARATOR;

use super::form::Form;

/// A piece of the input, or (top bit of `start`) of the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    start: u32,
    len: u32,
}

const IN_ARENA: u32 = 1 << 31;

impl Span {
    /// Whether it is of no text.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// Room in the arena beyond the limit, for names that are ours, bytes.
const ARENA_SLACK: usize = 4096;

/// Longest input that spans can describe, bytes.
pub const INPUT_MAX: usize = (IN_ARENA - 1) as usize;

/// Names that a form may have: records with more seldom have those of the one before.
const FORM_NAMES_MAX: usize = 128;

/// So many records in a row have other names before theirs become the form: of several kinds by turns one is quick, and none
/// is learnt again and again.
const FORM_MISSES: u8 = 8;

/// One node; a container is followed by its children, a key by its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Node {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// An integer that fits.
    Int(i64),
    /// Any other number; finite.
    Float(f64),
    /// Text.
    Text(Span),
    /// A list; `end` is the position after its last child.
    Array {
        /// Position after the last child.
        end: u32,
    },
    /// An object; `end` is the position after its last child.
    Object {
        /// Position after the last child.
        end: u32,
    },
    /// A member's name; its value follows.
    Key(Span),
    /// The name of a member that a later one of the same name replaced; its value follows.
    DeadKey,
}

/// Position of a node.
pub type NodeIndex = u32;

/// A key of an object that is still open: a hash to compare quickly, and where it stands.
#[derive(Clone, Copy)]
struct OpenKey {
    hash: u64,
    node: NodeIndex,
}

/// An object being filled.
#[derive(Clone, Copy)]
pub struct OpenObject {
    node: NodeIndex,
    keys_from: u32,
    seen: u64,
    /// Whether two keys may be equal, so that the end of the object must look.
    suspicious: bool,
}

/// The nodes of one record. See the module.
pub struct Tape {
    nodes: Vec<Node>,
    arena: String,
    open_keys: Vec<OpenKey>,
    /// The names of an earlier record, which most have.
    form: Arc<Form>,
    /// Records since one that had them.
    form_misses: u8,
    /// So many names of this record are the first ones of that form, as long as all are.
    of_form: Option<usize>,
    limit: usize,
    overflowed: bool,
}

impl Default for Tape {
    fn default() -> Tape {
        Tape {
            nodes: Vec::new(),
            arena: String::new(),
            open_keys: Vec::new(),
            form: Arc::default(),
            // The first record gives the form.
            form_misses: FORM_MISSES,
            of_form: Some(0),
            limit: usize::MAX,
            overflowed: false,
        }
    }
}

impl Tape {
    /// Limits the tape to the nodes that a text of so many bytes can have. A longer text is still read to its end, so
    /// that what follows it is found, but then the tape is of no use: see [`Tape::is_overflowed`].
    pub fn set_limit(&mut self, text_bytes: usize) {
        self.limit = text_bytes;
    }

    /// Whether the text was longer than the limit; what is on the tape is then only a part of it.
    pub fn is_overflowed(&self) -> bool {
        self.overflowed
    }

    /// Memory that the tape holds, bytes.
    pub fn held_bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
            + self.arena.capacity()
            + self.open_keys.capacity() * size_of::<OpenKey>()
            + self.form.held_bytes()
    }

    /// Forgets everything but the memory.
    pub fn clear(&mut self) {
        self.nodes.clear();
        self.arena.clear();
        self.open_keys.clear();
        self.of_form = Some(0);
        self.overflowed = false;
    }

    /// Adds a node; past the limit the tape starts over, so that it stays small.
    #[inline]
    fn add(&mut self, node: Node) {
        if self.nodes.len() >= self.limit {
            self.overflow();
        }
        self.nodes.push(node);
    }

    #[cold]
    fn overflow(&mut self) {
        self.clear();
        self.overflowed = true;
    }

    /// Appends a part of a text to the arena, unless that is longer than texts of the limit can need.
    pub fn append(&mut self, part: &str) {
        // A name that must be changed stands there twice.
        if self.arena.len().saturating_add(part.len()) > self.limit.saturating_mul(2).saturating_add(ARENA_SLACK) {
            self.overflowed = true;
        } else {
            self.arena.push_str(part);
        }
    }

    /// Whether nothing was put in.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Adds a plain value (not a container, not a key).
    #[inline]
    pub fn push(&mut self, node: Node) {
        self.add(node);
    }

    /// A span of the input. `start` and `end` lie within [`INPUT_MAX`].
    #[inline]
    pub fn input_span(start: usize, end: usize) -> Span {
        debug_assert!(start <= end && end <= INPUT_MAX, "callers refuse longer inputs");
        Span { start: start as u32, len: (end - start) as u32 }
    }

    /// Copies a text into the arena.
    pub fn own(&mut self, text: &str) -> Span {
        let start = self.arena.len();
        self.append(text);
        self.arena_span(start)
    }

    /// Where [`Tape::append`] appends next; [`Tape::arena_span`] then names what was appended.
    pub fn arena_end(&self) -> usize {
        self.arena.len()
    }

    /// Everything in the arena from `start` on.
    pub fn arena_span(&self, start: usize) -> Span {
        Span { start: start as u32 | IN_ARENA, len: (self.arena.len() - start) as u32 }
    }

    /// Puts a plain value in the place of another.
    pub fn replace(&mut self, at: NodeIndex, node: Node) {
        if let Some(place) = self.nodes.get_mut(at as usize) {
            *place = node;
        }
    }

    /// Opens a list; give the result to [`Tape::end_array`].
    pub fn begin_array(&mut self) -> NodeIndex {
        self.add(Node::Array { end: 0 });
        self.nodes.len() as u32 - 1
    }

    /// Closes a list.
    pub fn end_array(&mut self, array: NodeIndex) {
        let end = self.nodes.len() as u32;
        if let Some(node) = self.nodes.get_mut(array as usize) {
            *node = Node::Array { end };
        }
    }

    /// Opens an object; give the result to [`Tape::key`] and [`Tape::end_object`].
    #[inline]
    pub fn begin_object(&mut self) -> OpenObject {
        self.add(Node::Object { end: 0 });
        OpenObject {
            node: self.nodes.len() as u32 - 1,
            keys_from: self.open_keys.len() as u32,
            seen: 0,
            suspicious: false,
        }
    }

    /// Names the next member; its value is to follow.
    #[inline]
    pub fn key(&mut self, object: &mut OpenObject, input: &str, span: Span) {
        let mut span = span;
        if memchr::memchr(PATH_SEPARATOR as u8, self.text(input, span).as_bytes()).is_some() {
            span = self.without_separator(input, span);
        }
        self.clean_key(object, input, span);
    }

    /// The same for a name out of JSON: a separator, as any control character, stands there only as an escape.
    #[inline]
    pub fn json_key(&mut self, object: &mut OpenObject, input: &str, span: Span) {
        if span.start & IN_ARENA == 0 {
            self.clean_key(object, input, span);
        } else {
            self.key(object, input, span);
        }
    }

    #[inline]
    fn clean_key(&mut self, object: &mut OpenObject, input: &str, span: Span) {
        if object.node == 0
            && let Some(number) = self.of_form
        {
            // Names that were different in the record of the form are different in this one.
            if self.form.has(number, self.nodes.len() as u32, self.text(input, span)) {
                self.of_form = Some(number + 1);
                return self.add(Node::Key(span));
            }
            self.leave_form(object, input, number);
        }
        self.open_key(object, input, span, self.nodes.len() as u32);
        self.add(Node::Key(span));
    }

    /// Remembers a key, so that another one like it is found.
    #[inline]
    fn open_key(&mut self, object: &mut OpenObject, input: &str, span: Span, node: NodeIndex) {
        let hash = key_hash(self.text(input, span).as_bytes());
        let bit = 1 << (hash >> 58);
        object.suspicious |= object.seen & bit != 0;
        object.seen |= bit;
        self.open_keys.push(OpenKey { hash, node });
    }

    /// The names are not those of the form; those that were, so many, are remembered now.
    #[cold]
    fn leave_form(&mut self, object: &mut OpenObject, input: &str, many: usize) {
        self.of_form = None;
        let form = Arc::clone(&self.form);
        for node in form.nodes().take(many) {
            if let Node::Key(span) = self.node(node) {
                self.open_key(object, input, span, node);
            }
        }
    }

    /// Takes the names of the finished record for a form, if no two of them were equal.
    #[cold]
    fn learn_form(&mut self, input: &str) {
        let is_whole = !self.overflowed && !self.nodes.contains(&Node::DeadKey);
        let mut form = Form::default();
        if is_whole && self.members(0).nth(FORM_NAMES_MAX).is_none() {
            self.members(0).for_each(|(name, value)| form.push(value - 1, self.text(input, name)));
        }
        self.of_form = (form.len() > 0).then_some(form.len());
        self.form = Arc::new(form);
    }

    /// What the record's names are, if all its values are plain and say something: no lists, no objects, no nulls, no
    /// empty texts. Two records with the same form (the very same, not an equal one) have the same names in the same
    /// places of the tape.
    pub fn plain_form(&self) -> Option<&Arc<Form>> {
        if self.overflowed || self.form.len() == 0 || self.of_form != Some(self.form.len()) {
            return None;
        }
        let says_something = |key: NodeIndex| match self.node(key + 1) {
            Node::Bool(_) | Node::Int(_) | Node::Float(_) => true,
            Node::Text(span) => !span.is_empty(),
            Node::Null | Node::Array { .. } | Node::Object { .. } | Node::Key(_) | Node::DeadKey => false,
        };
        self.form.nodes().all(says_something).then_some(&self.form)
    }

    /// The name of the member with this value.
    #[inline]
    pub fn name_of(&self, value: NodeIndex) -> Option<Span> {
        match self.node(value.checked_sub(1)?) {
            Node::Key(span) => Some(span),
            _ => None,
        }
    }

    /// Names the next member by a name that is not in the input.
    pub fn own_key(&mut self, object: &mut OpenObject, name: &str) {
        let span = self.own(name);
        self.key(object, "", span);
    }

    /// A separator inside a name would make two columns one: it becomes its picture.
    #[cold]
    fn without_separator(&mut self, input: &str, span: Span) -> Span {
        let renamed = self.text(input, span).replace(PATH_SEPARATOR, "\u{241f}");
        self.own(&renamed)
    }

    /// Closes an object; of equal keys the last one lives.
    #[inline]
    pub fn end_object(&mut self, object: OpenObject, input: &str) {
        if object.suspicious {
            self.bury_duplicates(object.keys_from as usize, input);
        }
        self.open_keys.truncate(object.keys_from as usize);
        let end = self.nodes.len() as u32;
        if let Some(node) = self.nodes.get_mut(object.node as usize) {
            *node = Node::Object { end };
        }
        if object.node == 0 {
            self.form_misses = if self.of_form == Some(self.form.len()) { 0 } else { self.form_misses + 1 };
            if self.form_misses > FORM_MISSES {
                self.form_misses = 0;
                self.learn_form(input);
            }
        }
    }

    #[cold]
    fn bury_duplicates(&mut self, keys_from: usize, input: &str) {
        let mut keys = self.open_keys.split_off(keys_from.min(self.open_keys.len()));
        keys.sort_unstable_by_key(|key| (key.hash, key.node));
        let mut dead = Vec::new();
        for same_hash in keys.chunk_by(|a, b| a.hash == b.hash).filter(|keys| keys.len() > 1) {
            let mut named: Vec<(&str, NodeIndex)> = same_hash
                .iter()
                .filter_map(|key| match self.nodes.get(key.node as usize) {
                    Some(Node::Key(span)) => Some((self.text(input, *span), key.node)),
                    _ => None,
                })
                .collect();
            named.sort_unstable();
            dead.extend(named.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[0].1));
        }
        for node in dead {
            if let Some(node) = self.nodes.get_mut(node as usize) {
                *node = Node::DeadKey;
            }
        }
    }

    /// The text of a span.
    #[inline]
    pub fn text<'a>(&'a self, input: &'a str, span: Span) -> &'a str {
        let (from, start) =
            if span.start & IN_ARENA == 0 { (input, span.start) } else { (&*self.arena, span.start & !IN_ARENA) };
        from.get(start as usize..start as usize + span.len as usize).unwrap_or_default()
    }

    /// A node; `Null` beyond the end.
    #[inline]
    pub fn node(&self, at: NodeIndex) -> Node {
        self.nodes.get(at as usize).copied().unwrap_or(Node::Null)
    }

    /// Position after the node and all its children.
    #[inline]
    fn after(&self, at: NodeIndex) -> NodeIndex {
        match self.node(at) {
            Node::Array { end } | Node::Object { end } => end,
            Node::Null
            | Node::Bool(_)
            | Node::Int(_)
            | Node::Float(_)
            | Node::Text(_)
            | Node::Key(_)
            | Node::DeadKey => at + 1,
        }
    }

    /// Names and value positions of an object's living members; nothing if it is no object.
    pub fn members(&self, object: NodeIndex) -> impl Iterator<Item = (Span, NodeIndex)> + '_ {
        let end = if let Node::Object { end } = self.node(object) { end } else { 0 };
        let mut at = object + 1;
        std::iter::from_fn(move || {
            while at < end {
                let key = self.node(at);
                let value = at + 1;
                at = self.after(value);
                if let Node::Key(span) = key {
                    return Some((span, value));
                }
            }
            None
        })
    }

    /// Positions of a list's values; nothing if it is no list.
    pub fn values(&self, array: NodeIndex) -> impl Iterator<Item = NodeIndex> + '_ {
        let end = if let Node::Array { end } = self.node(array) { end } else { 0 };
        let mut at = array + 1;
        std::iter::from_fn(move || {
            (at < end).then(|| {
                let value = at;
                at = self.after(at);
                value
            })
        })
    }

    /// An owned tree of a node. Recursion is bounded by the depth that the parsers allow.
    pub fn to_value(&self, input: &str, at: NodeIndex) -> Value {
        match self.node(at) {
            Node::Null | Node::Key(_) | Node::DeadKey => Value::Null,
            Node::Bool(bool) => Value::Bool(bool),
            Node::Int(int) => Value::Int(int),
            Node::Float(float) => Value::Float(float),
            Node::Text(span) => Value::Text(self.text(input, span).to_owned()),
            Node::Array { .. } => Value::Array(self.values(at).map(|value| self.to_value(input, value)).collect()),
            Node::Object { .. } => Value::Object(
                self.members(at)
                    .map(|(name, value)| (self.text(input, name).to_owned(), self.to_value(input, value)))
                    .collect(),
            ),
        }
    }
}

/// Tells most different keys apart; equal keys have equal hashes.
#[inline]
fn key_hash(key: &[u8]) -> u64 {
    let word = match key {
        [first @ .., a, b, c, d, e, f, g, h] => {
            let last = u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
            let head = first.first_chunk::<8>().map_or(first.len() as u64, |bytes| u64::from_le_bytes(*bytes));
            last ^ head.rotate_left(29)
        }
        short => short.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    (word ^ (key.len() as u64) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
