//! Which members of a draft are what.

use std::collections::HashSet;
use std::sync::Arc;

use watchfire_model::record::Root;

use crate::draft::Draft;
use crate::json::{Form, Node, NodeIndex, Span, Tape};
use crate::names::{Meaning, SLOTS, Slot, meaning, nested_meaning};

/// A member that may fill a slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    rank: u8,
    /// Its value.
    pub(super) value: NodeIndex,
    /// As which field it stays if another one wins.
    field: Field,
}

/// A member that is a field of the record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// Name of the object around it, if that was opened to look for known names.
    pub(super) outer: Option<Span>,
    /// Its name.
    pub(super) name: Span,
    /// Its value.
    pub(super) value: NodeIndex,
}

/// An object whose members are leaves below a root.
#[derive(Clone, Copy, Debug)]
pub(super) struct Container {
    /// Below which root.
    pub(super) root: Root,
    /// Name of the object.
    pub(super) name: Span,
    /// The object, or a list of tags, or one tag.
    pub(super) value: NodeIndex,
    /// Whether a member of it has the name of another field.
    pub(super) clashes: bool,
}

/// Members above which names are compared by hash.
const COMPARED_MAX: usize = 24;

/// The members of one draft, sorted by what they mean.
#[derive(Default)]
pub(super) struct Shape {
    slots: [Option<Candidate>; SLOTS],
    correlation: Option<(u8, NodeIndex)>,
    /// Lists and objects where a slot wants a plain value.
    structured: [Option<Field>; SLOTS],
    fields: Vec<Field>,
    containers: Vec<Container>,
    /// The form of the draft, if it had nothing but names and plain values: a draft of the same form has the same shape.
    form: Option<Arc<Form>>,
}

impl Shape {
    /// The winner of a slot.
    pub(super) fn candidate(&self, slot: Slot) -> Option<Candidate> {
        self.slots[slot as usize]
    }

    /// The value of the best trace id.
    pub(super) fn trace(&self) -> Option<NodeIndex> {
        self.correlation.map(|(_, value)| value)
    }

    /// The list or object that stands where a slot wants a plain value, if nothing else fills the slot.
    pub(super) fn structured(&self, slot: Slot) -> Option<NodeIndex> {
        self.structured[slot as usize].map(|field| field.value)
    }

    /// All that stay fields, by their own names.
    pub(super) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// All objects whose members become leaves.
    pub(super) fn containers(&self) -> &[Container] {
        &self.containers
    }

    /// Sorts the members of a draft.
    pub(super) fn read(&mut self, draft: &Draft, input: &str) {
        let form = draft.tape.plain_form();
        if let (Some(before), Some(form)) = (&self.form, form)
            && Arc::ptr_eq(before, form)
        {
            return self.find_names(&draft.tape);
        }
        self.form = form.cloned();
        self.slots = [None; SLOTS];
        self.correlation = None;
        self.structured = [None; SLOTS];
        self.fields.clear();
        self.containers.clear();
        let tape = &draft.tape;
        for (name, value) in tape.members(0) {
            let field = Field { outer: None, name, value };
            let meaning = meaning(tape.text(input, name));
            match tape.node(value) {
                Node::Object { .. } | Node::Array { .. } => self.container(draft, input, meaning, field),
                node => self.plain(draft, input, meaning, field, node),
            }
        }
        for (structured, filled) in self.structured.iter_mut().zip(&self.slots) {
            if filled.is_some() {
                self.fields.extend(structured.take());
            }
        }
        if self.containers.iter().any(|container| container.root == Root::Fields) {
            self.find_clashes(draft, input);
        }
    }

    /// The names of the fields have moved.
    fn find_names(&mut self, tape: &Tape) {
        for field in &mut self.fields {
            field.name = tape.name_of(field.value).unwrap_or_default();
        }
    }

    /// A member with a plain value.
    fn plain(&mut self, draft: &Draft, input: &str, meaning: Meaning, field: Field, node: Node) {
        match meaning {
            Meaning::Slot(slot, rank) => {
                let usable = match node {
                    Node::Null => return,
                    // An empty text says nothing, except in a message.
                    Node::Text(span) => slot == Slot::Message || !draft.tape.text(input, span).is_empty(),
                    _ => true,
                };
                if !usable {
                    return;
                }
                let candidate = Candidate { rank, value: field.value, field };
                let winner = &mut self.slots[slot as usize];
                match winner {
                    Some(have) if have.rank <= rank => self.fields.push(field),
                    Some(have) => self.fields.push(std::mem::replace(have, candidate).field),
                    None => *winner = Some(candidate),
                }
            }
            Meaning::Trace(rank) => {
                let says_nothing = match node {
                    Node::Null => true,
                    Node::Text(span) => draft.tape.text(input, span).is_empty(),
                    _ => false,
                };
                if !says_nothing && self.correlation.is_none_or(|(have, _)| rank < have) {
                    self.correlation = Some((rank, field.value));
                }
                self.fields.push(field);
            }
            Meaning::Tags if node != Node::Null => self.contain(Root::Tags, field),
            Meaning::Tags => {}
            Meaning::Fields | Meaning::ErrorDetails | Meaning::PerformanceMetrics | Meaning::Insight
                if node == Node::Null => {}
            Meaning::Fields
            | Meaning::ErrorDetails
            | Meaning::PerformanceMetrics
            | Meaning::Insight
            | Meaning::Field => self.fields.push(field),
        }
    }

    /// A member that is an object or a list.
    fn container(&mut self, draft: &Draft, input: &str, meaning: Meaning, field: Field) {
        let tape = &draft.tape;
        let is_object = matches!(tape.node(field.value), Node::Object { .. });
        match meaning {
            Meaning::Fields if is_object => self.contain(Root::Fields, field),
            Meaning::ErrorDetails if is_object => self.contain(Root::ErrorDetails, field),
            Meaning::PerformanceMetrics if is_object => self.contain(Root::PerformanceMetrics, field),
            Meaning::Insight if is_object => self.contain(Root::Insight, field),
            Meaning::Tags => self.contain(Root::Tags, field),
            _ if is_object && field.outer.is_none() && self.open(draft, input, field) => {}
            _ => self.unusable(meaning, field, is_object),
        }
    }

    /// A list or an object that is not opened: kept for its slot, or a field.
    fn unusable(&mut self, meaning: Meaning, field: Field, is_object: bool) {
        match meaning {
            Meaning::Slot(slot, _) if slot.cannot_hold(is_object) && self.structured[slot as usize].is_none() => {
                self.structured[slot as usize] = Some(field);
            }
            _ => self.fields.push(field),
        }
    }

    /// Looks for known names inside `log`, `service`, `host` and `trace`; false if there are none.
    fn open(&mut self, draft: &Draft, input: &str, field: Field) -> bool {
        let tape = &draft.tape;
        let outer = tape.text(input, field.name);
        if outer.len() > 7 {
            return false;
        }
        let known = |name: Span| nested_meaning(outer, tape.text(input, name)) != Meaning::Field;
        if !tape.members(field.value).any(|(name, _)| known(name)) {
            return false;
        }
        for (name, value) in tape.members(field.value) {
            let member = Field { outer: Some(field.name), name, value };
            let meaning = nested_meaning(outer, tape.text(input, name));
            match tape.node(value) {
                Node::Object { .. } => self.unusable(meaning, member, true),
                Node::Array { .. } => self.unusable(meaning, member, false),
                node => self.plain(draft, input, meaning, member, node),
            }
        }
        true
    }

    fn contain(&mut self, root: Root, field: Field) {
        // Names that differ in case only, `Tags` and `tags`: the second stays a field of its own.
        if root != Root::Fields && self.containers.iter().any(|have| have.root == root) {
            self.fields.push(field);
        } else {
            self.containers.push(Container { root, name: field.name, value: field.value, clashes: false });
        }
    }

    /// Marks the containers of fields in which a name stands that is a field already.
    fn find_clashes(&mut self, draft: &Draft, input: &str) {
        let tape = &draft.tape;
        let top = |field: &Field| field.outer.unwrap_or(field.name);
        let many = self.fields.len() > COMPARED_MAX;
        let mut names: HashSet<&str> = HashSet::new();
        if many {
            names.extend(self.fields.iter().map(|field| tape.text(input, top(field))));
        }
        let several = self.containers.iter().filter(|container| container.root == Root::Fields).count() > 1;
        for at in 0..self.containers.len() {
            let Container { root: Root::Fields, value, .. } = self.containers[at] else { continue };
            let clashes = tape.members(value).any(|(name, _)| {
                let name = tape.text(input, name);
                names.contains(name) || !many && self.fields.iter().any(|field| tape.text(input, top(field)) == name)
            });
            self.containers[at].clashes = clashes;
            if several {
                names.extend(tape.members(value).map(|(name, _)| tape.text(input, name)));
            }
        }
    }
}
