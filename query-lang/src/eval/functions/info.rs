//! `info`: labels of info metrics (`target_info`, if none is named) beside those of other series.
//!
//! An info series belongs to all series with its `instance` and `job`. Of several with the same name, instance and job
//! the one with the newest sample counts. Info series are looked at when the others are: where all selectors of the first
//! argument share an `offset` or `@`, it holds for them too.

mod reference;

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::{LabelSet, MatchOp, Matcher};

use super::arg;
use crate::ast::{Call, Expr, Shift, Span};
use crate::eval::column::{ABSENT, Column, is_absent, join_same_labels};
use crate::eval::context::Context;
use crate::eval::limits::EvalError;
use crate::eval::selector::{self, Wanted};
use crate::eval::source;

/// The labels by which info series and others belong together.
const IDENTIFYING: [&str; 2] = ["instance", "job"];
/// The metric that is meant if none is named.
const TARGET_INFO: &str = "target_info";
/// The metrics that are meant if it is only said which are not.
const ANY_INFO: &str = ".+_info";

/// Values of the identifying labels.
type Identity<'l> = [&'l str; 2];

fn identity(labels: &LabelSet) -> Identity<'_> {
    IDENTIFYING.map(|name| labels.get(name).unwrap_or(""))
}

/// Which info series are wanted, and which of their labels.
struct WantedInfo<'c> {
    /// Conditions of the metrics' names.
    names: Vec<Matcher>,
    /// Conditions of other labels. If there are any, only these labels are taken.
    data: Vec<&'c Matcher>,
}

impl<'c> WantedInfo<'c> {
    fn of(call: &'c Call) -> Result<WantedInfo<'c>, EvalError> {
        let said: &[Matcher] = match call.args.get(1) {
            Some(Expr::Vector(node)) => &node.matchers,
            _ => &[],
        };
        let (names, data): (Vec<&Matcher>, Vec<&Matcher>) = said.iter().partition(|one| one.name() == METRIC_NAME);
        let mut names: Vec<Matcher> = names.into_iter().cloned().collect();
        let is_positive = |matcher: &Matcher| matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex);
        if names.is_empty() {
            names.push(Matcher::equal(METRIC_NAME, TARGET_INFO));
        } else if !names.iter().any(is_positive) {
            names.push(matcher(METRIC_NAME, ANY_INFO)?);
        }
        Ok(WantedInfo { names, data })
    }

    /// Whether a series is itself one of those that tell about others.
    fn is_info(&self, labels: &LabelSet) -> bool {
        self.names.iter().all(|matcher| matcher.matches(labels.metric_name()))
    }

    fn takes(&self, label: &str) -> bool {
        label != METRIC_NAME && (self.data.is_empty() || self.data.iter().any(|matcher| matcher.name() == label))
    }

    /// Whether a series without any info series has what is asked for.
    fn is_content_without(&self) -> bool {
        self.data.iter().all(|matcher| matcher.matches(""))
    }
}

fn matcher(name: &str, pattern: &str) -> Result<Matcher, EvalError> {
    Matcher::new(name, MatchOp::Regex, pattern).map_err(|error| EvalError::Parameter { reason: error.to_string() })
}

pub(super) fn eval(ctx: &Context, call: &Call) -> Result<Vec<Column>, EvalError> {
    let told = arg(call, 0)?;
    let base = crate::eval::eval_vector(ctx, told)?;
    let wanted = WantedInfo::of(call)?;
    let infos = fetch(ctx, &base, &wanted, &reference::shift_of(ctx, told), call.span)?;
    let mut by_identity: HashMap<Identity, BTreeMap<&str, Vec<&Column>>, foldhash::fast::RandomState> =
        HashMap::default();
    for info in &infos {
        let of_identity = by_identity.entry(identity(&info.labels)).or_default();
        of_identity.entry(info.labels.metric_name()).or_default().push(info);
    }
    for of_identity in by_identity.values() {
        of_identity.values().try_for_each(|same| refuse_twins(same, &base))?;
    }
    let mut out = Vec::with_capacity(base.len());
    for column in base {
        ctx.guard.tick()?;
        if wanted.is_info(&column.labels) {
            out.push(column);
            continue;
        }
        let by_name = by_identity.get(&identity(&column.labels));
        let metrics: Vec<&[&Column]> = by_name.into_iter().flatten().map(|(_, same)| &**same).collect();
        enrich(ctx, &column, &metrics, &wanted, &mut out)?;
    }
    join_same_labels(out)
}

/// The info series that a call finds, as columns of the times of their newest samples.
pub(in crate::eval) fn infos(ctx: &Context, call: &Call) -> Result<Vec<Column>, EvalError> {
    let told = arg(call, 0)?;
    let base = crate::eval::eval_vector(ctx, told)?;
    fetch(ctx, &base, &WantedInfo::of(call)?, &reference::shift_of(ctx, told), call.span)
}

/// The info series of these, as columns of the times of their newest samples.
fn fetch(
    ctx: &Context,
    base: &[Column],
    wanted: &WantedInfo,
    shift: &Shift,
    about: Span,
) -> Result<Vec<Column>, EvalError> {
    // By which of the identifying labels they have: an info series has the same ones.
    let mut values: BTreeMap<[bool; 2], [BTreeSet<&str>; 2]> = BTreeMap::new();
    for column in base.iter().filter(|column| !wanted.is_info(&column.labels)) {
        let identity = identity(&column.labels);
        let of_kind = values.entry(identity.map(|value| !value.is_empty())).or_default();
        for (values, value) in of_kind.iter_mut().zip(identity) {
            values.insert(value);
        }
    }
    values.remove(&[false; 2]);
    let looks = ctx.looks(shift);
    let start = looks.first().saturating_sub(ctx.guard.limits().lookback_ms);
    let mut buffer = Vec::new();
    let mut out = Vec::new();
    for of_kind in values.into_values() {
        let mut matchers: Vec<Matcher> = wanted.names.iter().chain(wanted.data.iter().copied()).cloned().collect();
        for (label, values) in IDENTIFYING.into_iter().zip(of_kind) {
            let any: Vec<String> = values.into_iter().map(regex::escape).collect();
            matchers.push(matcher(label, &any.join("|"))?);
        }
        for view in source::select_promql(ctx, &matchers, start, looks.last(), about)? {
            let times = selector::newest(ctx, &view, &looks, Wanted::Time, &mut buffer)?;
            if times.iter().any(|time| !is_absent(*time)) {
                out.push(ctx.keep(view.labels().clone(), looks.spread(times))?);
            }
        }
    }
    Ok(out)
}

/// The newest of info series of one name and identity at a step.
fn newest_at<'c>(same: &[&'c Column], step: usize) -> Option<&'c Column> {
    let time = |column: &Column| column.values.get(step).copied().filter(|time| !is_absent(*time));
    let there = same.iter().filter_map(|column| Some((time(column)?, *column)));
    there.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, column)| column)
}

/// An error where two info series of one name and identity are equally new while there is anything to tell about.
fn refuse_twins(same: &[&Column], base: &[Column]) -> Result<(), EvalError> {
    if same.len() < 2 {
        return Ok(());
    }
    for step in 0..same[0].values.len() {
        let Some(newest) = newest_at(same, step) else { continue };
        let is_as_new = |column: &&&Column| column.values[step] == newest.values[step];
        if same.iter().filter(is_as_new).count() > 1 && base.iter().any(|column| !is_absent(column.values[step])) {
            let reason = "several series of an info metric have the same instance, job and newest time";
            return Err(EvalError::Labels { reason, labels: newest.labels.clone() });
        }
    }
    Ok(())
}

/// A series with the labels of its info series: as many columns as there are different ones over the steps.
fn enrich(
    ctx: &Context,
    column: &Column,
    metrics: &[&[&Column]],
    wanted: &WantedInfo,
    out: &mut Vec<Column>,
) -> Result<(), EvalError> {
    let steps = column.values.len();
    // What tells about it from a step on, as long as that does not change.
    let mut enriched: Vec<(Vec<Option<&Column>>, Column)> = Vec::new();
    let mut infos: Vec<Option<&Column>> = Vec::with_capacity(metrics.len());
    for (step, value) in column.values.iter().enumerate().filter(|(_, value)| !is_absent(**value)) {
        infos.clear();
        infos.extend(metrics.iter().map(|same| newest_at(same, step)));
        if infos.iter().all(Option::is_none) && !wanted.is_content_without() {
            continue;
        }
        let is_same = |a: &Option<&Column>, b: &Option<&Column>| match (a, b) {
            (Some(a), Some(b)) => std::ptr::eq(*a, *b),
            (a, b) => a.is_none() && b.is_none(),
        };
        let known = enriched.iter().position(|(have, _)| have.iter().zip(&infos).all(|(a, b)| is_same(a, b)));
        let at = match known {
            Some(at) => at,
            None => {
                let labels = with_info(&column.labels, infos.iter().flatten().copied(), wanted)?;
                enriched.push((infos.clone(), ctx.keep(labels, vec![ABSENT; steps])?));
                enriched.len() - 1
            }
        };
        enriched[at].1.values[step] = *value;
    }
    out.extend(enriched.into_iter().map(|(_, column)| column));
    Ok(())
}

/// The labels of a series and those of its info series that it does not have. Two that say different things are an error.
fn with_info<'c>(
    labels: &LabelSet,
    infos: impl Iterator<Item = &'c Column>,
    wanted: &WantedInfo,
) -> Result<LabelSet, EvalError> {
    let mut added: BTreeMap<&str, &str> = BTreeMap::new();
    for info in infos {
        for (name, value) in info.labels.iter().filter(|(name, _)| wanted.takes(name)) {
            if added.get(name).is_some_and(|have| *have != value) {
                let reason = "several info metrics of one series have the same label with different values";
                return Err(EvalError::Labels { reason, labels: info.labels.clone() });
            }
            if labels.get(name).is_none() {
                added.insert(name, value);
            }
        }
    }
    Ok(added.into_iter().fold(labels.clone(), |labels, (name, value)| labels.with(name, value)))
}
