//! Writing the bytes of a record that was decided about.

use std::borrow::Cow;
use std::collections::HashSet;

use watchfire_model::record::{Core, Encoded, PATH_SEPARATOR, RecordWriter, Root, ValueRef};
use watchfire_model::uuid;

use super::shape::Container;
use super::{Context, Decision, IdSource, Normaliser, RawTime, key_text, scalar_text};
use crate::draft::Draft;
use crate::json::{Node, NodeIndex, Span};
use crate::json_text;
use crate::names::Slot;

/// The service of a record that names neither service nor source nor host.
const NO_SERVICE: &str = "unknown";

impl Normaliser {
    /// Appends the bytes of the record that [`Normaliser::decide`] last said yes to; all arguments as then.
    pub fn write(&mut self, draft: &Draft, input: &str, context: &Context<'_>, out: &mut Vec<u8>) {
        let Some(decision) = self.decision.take() else { return };
        let Decision { timestamp, level, .. } = decision;
        let mut path = std::mem::take(&mut self.path);
        let mut record = RecordWriter::new(out, timestamp, context.now, level, context.received_bytes);
        if context.imported {
            record.mark_imported();
        }
        self.write_texts(draft, input, context, &decision, &mut record);
        let mut leaves = Leaves { draft, input, record: &mut record, path: &mut path };
        for field in self.shape.fields() {
            let name = key_text(draft, input, field.name);
            match field.outer {
                None => leaves.named(Root::Fields, name, field.value),
                Some(outer) => leaves.below(Root::Fields, key_text(draft, input, outer), name, field.value),
            }
        }
        for container in self.shape.containers() {
            match container.root {
                Root::Tags => leaves.tags(container.value),
                Root::Fields if container.clashes => self.write_clashing(&mut leaves, container),
                root => leaves.members(root, container.value, |_| None),
            }
        }
        self.write_marks(&mut leaves, context, &decision);
        self.path = path;
    }

    fn write_texts(
        &mut self,
        draft: &Draft,
        input: &str,
        context: &Context<'_>,
        decision: &Decision,
        record: &mut RecordWriter<'_>,
    ) {
        let Normaliser { shape, number, id: last_id, .. } = self;
        let mut put = |record: &mut RecordWriter<'_>, column: Core, value: Option<NodeIndex>, default: Option<&str>| {
            number.clear();
            let text = value.and_then(|at| scalar_text(draft, input, at, number)).or(default);
            if let Some(text) = text {
                record.core(column, text);
            }
            text.is_some()
        };
        let slot = |slot: Slot| shape.candidate(slot).map(|candidate| candidate.value);
        match (slot(Slot::Message), shape.structured(Slot::Message)) {
            (None, Some(at)) => record.core(Core::Message, &json_text::of_value(&draft.tape.to_value(input, at))),
            (value, _) => {
                put(record, Core::Message, value, context.message);
            }
        }
        let (source, host) = (slot(Slot::Source), slot(Slot::Host));
        let named = put(record, Core::Service, slot(Slot::Service), context.service)
            || put(record, Core::Service, source, context.source)
            || put(record, Core::Service, host, context.host);
        if !named {
            record.core(Core::Service, NO_SERVICE);
        }
        put(record, Core::Source, source, context.source);
        put(record, Core::Host, host, context.host);
        put(record, Core::CorrelationId, slot(Slot::CorrelationId).or(shape.trace()), None);
        put(record, Core::UserId, slot(Slot::UserId), None);
        last_id.clear();
        match &decision.id {
            IdSource::Own(at) => {
                let mut room = String::new();
                last_id.push_str(scalar_text(draft, input, *at, &mut room).unwrap_or_default());
            }
            IdSource::Made(made) => last_id.push_str(uuid::as_str(made)),
        }
        record.core(Core::Id, last_id);
    }

    /// The members of a container of fields of which some have names that are taken: those keep the container's name in
    /// front, with as many `_` behind it as make it unique.
    fn write_clashing(&self, leaves: &mut Leaves<'_, '_>, container: &Container) {
        let (draft, input) = (leaves.draft, leaves.input);
        let members_of =
            |container: &Container| draft.tape.members(container.value).map(|(name, _)| key_text(draft, input, name));
        let containers = || self.shape.containers().iter().filter(|other| other.root == Root::Fields);
        let mut taken: HashSet<&str> = HashSet::new();
        for field in self.shape.fields() {
            taken.insert(key_text(draft, input, field.outer.unwrap_or(field.name)));
        }
        taken.extend(containers().take_while(|other| other.value != container.value).flat_map(members_of));
        let names: HashSet<&str> = taken.iter().copied().chain(containers().flat_map(members_of)).collect();
        let mut prefix = key_text(draft, input, container.name).to_owned();
        while names.contains(&*prefix) {
            prefix.push('_');
        }
        leaves.members(Root::Fields, container.value, |name| taken.contains(name).then_some(&*prefix));
    }

    /// The fields that we add: what could not be used, and what was done to the text.
    fn write_marks(&self, leaves: &mut Leaves<'_, '_>, context: &Context<'_>, decision: &Decision) {
        let name_it = |leaves: &mut Leaves<'_, '_>, name: &str| {
            leaves.path.clear();
            leaves.path.push_str(name);
            while self.is_taken(leaves.draft, leaves.input, leaves.path) {
                leaves.path.push('_');
            }
        };
        if let Some(wrapping) = context.wrapping {
            name_it(leaves, "stream");
            leaves.record.leaf(Root::Fields, leaves.path, ValueRef::Text(wrapping.stream.as_str()));
            name_it(leaves, "attrs");
            let length = leaves.path.len();
            for (name, value) in &wrapping.attributes {
                leaves.path.push(PATH_SEPARATOR);
                leaves.path.push_str(name);
                leaves.record.leaf(Root::Fields, leaves.path, ValueRef::Text(value));
                leaves.path.truncate(length);
            }
        }
        match decision.raw_time {
            Some(RawTime::Sent(at)) => {
                name_it(leaves, Slot::Timestamp.raw_name());
                leaves.value(Root::Fields, at);
            }
            Some(RawTime::Read(time)) => {
                name_it(leaves, Slot::Timestamp.raw_name());
                leaves.record.leaf(Root::Fields, leaves.path, ValueRef::Text(&time.to_rfc3339()));
            }
            None => {}
        }
        if let Some(raw) = decision.raw_level {
            name_it(leaves, Slot::Level.raw_name());
            leaves.value(Root::Fields, raw);
        }
        for slot in [Slot::Service, Slot::Source, Slot::Host, Slot::Id, Slot::CorrelationId, Slot::UserId] {
            if let Some(raw) = self.shape.structured(slot) {
                name_it(leaves, slot.raw_name());
                leaves.value(Root::Fields, raw);
            }
        }
        for (name, marked) in [("truncated", context.marks.truncated), ("invalid_utf8", context.marks.invalid_utf8)] {
            if marked {
                name_it(leaves, name);
                leaves.record.leaf(Root::Fields, leaves.path, ValueRef::Bool(true));
            }
        }
    }

    /// Whether the sender has used a name for a field.
    fn is_taken(&self, draft: &Draft, input: &str, name: &str) -> bool {
        let is_name = |span: Span| key_text(draft, input, span) == name;
        self.shape.fields().iter().any(|field| is_name(field.outer.unwrap_or(field.name)))
            || self
                .shape
                .containers()
                .iter()
                .filter(|container| container.root == Root::Fields)
                .any(|container| draft.tape.members(container.value).any(|(span, _)| is_name(span)))
    }
}

/// A value that is no container.
fn plain<'a>(draft: &'a Draft, input: &'a str, at: NodeIndex) -> Option<ValueRef<'a>> {
    Some(match draft.tape.node(at) {
        Node::Null | Node::Key(_) | Node::DeadKey => ValueRef::Null,
        Node::Bool(bool) => ValueRef::Bool(bool),
        Node::Int(int) => ValueRef::Int(int),
        Node::Float(float) => ValueRef::Float(float),
        Node::Text(span) => ValueRef::Text(draft.tape.text(input, span)),
        Node::Array { .. } | Node::Object { .. } => return None,
    })
}

/// Writes leaves of a record.
struct Leaves<'a, 'r> {
    draft: &'a Draft,
    input: &'a str,
    record: &'a mut RecordWriter<'r>,
    path: &'a mut String,
}

impl<'a> Leaves<'a, '_> {
    /// The members of an object, each below the name that `outer` gives for it, if any.
    fn members<'o>(&mut self, root: Root, object: NodeIndex, outer: impl Fn(&str) -> Option<&'o str>) {
        let (draft, input) = (self.draft, self.input);
        for (name, value) in draft.tape.members(object) {
            let name = key_text(draft, input, name);
            match outer(name) {
                None => self.named(root, name, value),
                Some(outer) => self.below(root, outer, name, value),
            }
        }
    }

    /// A value with a name of its own.
    fn named(&mut self, root: Root, name: &str, at: NodeIndex) {
        match plain(self.draft, self.input, at) {
            Some(plain) => self.record.leaf(root, name, plain),
            None => {
                self.path.clear();
                self.path.push_str(name);
                self.value(root, at);
            }
        }
    }

    /// A value with the name of an object in front of its own.
    fn below(&mut self, root: Root, outer: &str, name: &str, at: NodeIndex) {
        self.path.clear();
        self.path.push_str(outer);
        self.path.push(PATH_SEPARATOR);
        self.path.push_str(name);
        self.value(root, at);
    }

    /// A value below the current path. Recursion is bounded by the depth that the parsers allow.
    fn value(&mut self, root: Root, at: NodeIndex) {
        let (draft, input) = (self.draft, self.input);
        if let Some(plain) = plain(draft, input, at) {
            return self.record.leaf(root, self.path, plain);
        }
        if let Node::Array { .. } = draft.tape.node(at) {
            return self.record.tree(root, self.path, &draft.tape.to_value(input, at));
        }
        let length = self.path.len();
        let mut empty = true;
        for (name, value) in draft.tape.members(at) {
            empty = false;
            self.path.push(PATH_SEPARATOR);
            self.path.push_str(key_text(draft, input, name));
            self.value(root, value);
            self.path.truncate(length);
        }
        if empty {
            let nothing = Encoded::check_members(&[]).map_or(ValueRef::Null, ValueRef::Object);
            self.record.leaf(root, self.path, nothing);
        }
    }

    /// Tags: a map of texts, a list whose items are tags that are `true`, or one such tag.
    fn tags(&mut self, at: NodeIndex) {
        let (draft, input) = (self.draft, self.input);
        match draft.tape.node(at) {
            Node::Object { .. } => {
                for (name, value) in draft.tape.members(at) {
                    if let Some(text) = self.tag_text(value) {
                        self.record.leaf(Root::Tags, key_text(draft, input, name), ValueRef::Text(&text));
                    }
                }
            }
            Node::Array { .. } => {
                let mut seen: HashSet<String> = HashSet::new();
                for item in draft.tape.values(at) {
                    if let Some(tag) = self.tag_text(item) {
                        let tag = tag.replace(PATH_SEPARATOR, "\u{241f}");
                        if seen.insert(tag.clone()) {
                            self.record.leaf(Root::Tags, &tag, ValueRef::Text("true"));
                        }
                    }
                }
            }
            _ => {
                if let Some(tag) = self.tag_text(at) {
                    let tag = tag.replace(PATH_SEPARATOR, "\u{241f}");
                    self.record.leaf(Root::Tags, &tag, ValueRef::Text("true"));
                }
            }
        }
    }

    /// A tag's value as text; containers as JSON. `None` for null.
    fn tag_text(&self, at: NodeIndex) -> Option<Cow<'a, str>> {
        Some(match self.draft.tape.node(at) {
            Node::Null => return None,
            Node::Text(span) => Cow::Borrowed(self.draft.tape.text(self.input, span)),
            Node::Array { .. } | Node::Object { .. } => {
                Cow::Owned(json_text::of_value(&self.draft.tape.to_value(self.input, at)))
            }
            Node::Bool(_) | Node::Int(_) | Node::Float(_) | Node::Key(_) | Node::DeadKey => {
                let mut room = String::new();
                Cow::Owned(scalar_text(self.draft, self.input, at, &mut room)?.to_owned())
            }
        })
    }
}
