//! The entries of the notification log and their bytes.
//!
//! ```text
//! entry   := tag u8, then by tag
//!   1 intent     notification (version 1: without its reason, which reads as unknown)
//!   2 delivered  id text, at i64
//!   3 failed     id text, at i64
//!   4 forgotten  flow, count u32, fingerprint u64 ...
//!   5 flow       flow, group labels, count u32, (fingerprint u64, starts i64, sent i64, failed time) ...,
//!                count u32, (fingerprint u64, failed i64, alert) ...
//!   6 intent     reason u8 (0 unknown, 1 first, 2 new, 3 some resolved, 4 all resolved, 5 repeat), notification
//!                (since version 2)
//! notification := id text, flow, group labels, created i64, count u32, alert ...
//! flow    := group key text, receiver text, kind u8 (1 webhook, 2 email, 3 inner), index u32
//! alert   := labels, pairs, starts i64, ends time, value u64 (bits)
//! labels, pairs := count u32, (name text, value text) ...
//! time    := 0 u8, or 1 u8 and i64
//! text    := length u32, UTF-8
//! ```

use crate::codec::{DecodeError, Decoder, Encoder};
use crate::flow::{Flow, Sent, Unsent};
use crate::notification::{FlowKey, IntegrationKind, Notification, NotificationId, NotifiedAlert, Reason, Target};
use std::sync::Arc;
use watchfire_model::{LabelSet, Timestamp};

/// One fact of the notification log.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// This message is to be sent; written before it is.
    Intent(Arc<Notification>),
    /// It arrived, and is never sent again.
    Delivered {
        /// The message.
        id: NotificationId,
        /// When.
        at: Timestamp,
    },
    /// It was given up; its alerts go into the next message of their group.
    Failed {
        /// The message.
        id: NotificationId,
        /// When.
        at: Timestamp,
    },
    /// These alerts are over and nobody is to be told.
    Forgotten {
        /// Their group and target.
        flow: FlowKey,
        /// Their fingerprints.
        fingerprints: Vec<u64>,
    },
    /// What a target was told of a group, as a whole; begins a compacted log.
    Flow(FlowKey, Flow),
}

impl Entry {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        match self {
            Entry::Intent(notification) => {
                out.u8(6);
                out.u8(reason_number(notification.reason));
                put_notification(&mut out, notification);
            }
            Entry::Delivered { id, at } => {
                out.u8(2);
                out.text(id);
                out.i64(at.millis());
            }
            Entry::Failed { id, at } => {
                out.u8(3);
                out.text(id);
                out.i64(at.millis());
            }
            Entry::Forgotten { flow, fingerprints } => {
                out.u8(4);
                put_flow_key(&mut out, flow);
                out.len(fingerprints.len());
                fingerprints.iter().for_each(|fingerprint| out.u64(*fingerprint));
            }
            Entry::Flow(key, flow) => {
                out.u8(5);
                put_flow_key(&mut out, key);
                put_flow(&mut out, flow);
            }
        }
        out.0
    }

    /// The entry of these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Entry, DecodeError> {
        let mut input = Decoder(bytes);
        let entry = match input.u8()? {
            1 => Entry::Intent(Arc::new(get_notification(&mut input, Reason::Unknown)?)),
            2 => Entry::Delivered { id: input.shared_text()?, at: get_time(&mut input)? },
            3 => Entry::Failed { id: input.shared_text()?, at: get_time(&mut input)? },
            4 => {
                let flow = get_flow_key(&mut input)?;
                let count = input.len()?;
                let fingerprints = (0..count).map(|_| input.u64()).collect::<Result<_, _>>()?;
                Entry::Forgotten { flow, fingerprints }
            }
            5 => Entry::Flow(get_flow_key(&mut input)?, get_flow(&mut input)?),
            6 => {
                let reason = get_reason(&mut input)?;
                Entry::Intent(Arc::new(get_notification(&mut input, reason)?))
            }
            _ => return Err(DecodeError),
        };
        input.end()?;
        Ok(entry)
    }
}

fn get_time(input: &mut Decoder<'_>) -> Result<Timestamp, DecodeError> {
    Ok(Timestamp::from_millis(input.i64()?))
}

fn put_optional_time(out: &mut Encoder, time: Option<Timestamp>) {
    out.u8(u8::from(time.is_some()));
    if let Some(time) = time {
        out.i64(time.millis());
    }
}

fn get_optional_time(input: &mut Decoder<'_>) -> Result<Option<Timestamp>, DecodeError> {
    match input.u8()? {
        0 => Ok(None),
        1 => get_time(input).map(Some),
        _ => Err(DecodeError),
    }
}

fn put_labels(out: &mut Encoder, labels: &LabelSet) {
    out.len(labels.len());
    for (name, value) in labels.iter() {
        out.text(name);
        out.text(value);
    }
}

fn get_labels(input: &mut Decoder<'_>) -> Result<LabelSet, DecodeError> {
    let count = input.len()?;
    let pairs: Vec<(Arc<str>, Arc<str>)> =
        (0..count).map(|_| Ok((input.shared_text()?, input.shared_text()?))).collect::<Result<_, DecodeError>>()?;
    LabelSet::from_pairs(pairs).map_err(|_| DecodeError)
}

fn put_flow_key(out: &mut Encoder, key: &FlowKey) {
    out.text(&key.group_key);
    out.text(&key.target.receiver);
    out.u8(match key.target.kind {
        IntegrationKind::Webhook => 1,
        IntegrationKind::Email => 2,
        IntegrationKind::Inner => 3,
    });
    out.u32(key.target.index);
}

fn get_flow_key(input: &mut Decoder<'_>) -> Result<FlowKey, DecodeError> {
    let group_key = input.shared_text()?;
    let receiver = input.shared_text()?;
    let kind = match input.u8()? {
        1 => IntegrationKind::Webhook,
        2 => IntegrationKind::Email,
        3 => IntegrationKind::Inner,
        _ => return Err(DecodeError),
    };
    Ok(FlowKey { group_key, target: Target { receiver, kind, index: input.u32()? } })
}

fn put_alert(out: &mut Encoder, alert: &NotifiedAlert) {
    put_labels(out, &alert.labels);
    out.len(alert.annotations.len());
    for (name, value) in &alert.annotations {
        out.text(name);
        out.text(value);
    }
    out.i64(alert.starts_at.millis());
    put_optional_time(out, alert.ends_at);
    out.u64(alert.value.to_bits());
}

fn get_alert(input: &mut Decoder<'_>) -> Result<NotifiedAlert, DecodeError> {
    let labels = get_labels(input)?;
    let count = input.len()?;
    let annotations = (0..count)
        .map(|_| Ok((input.text()?.to_owned(), input.text()?.to_owned())))
        .collect::<Result<_, DecodeError>>()?;
    let starts_at = get_time(input)?;
    let ends_at = get_optional_time(input)?;
    Ok(NotifiedAlert { labels, annotations, starts_at, ends_at, value: f64::from_bits(input.u64()?) })
}

fn reason_number(reason: Reason) -> u8 {
    match reason {
        Reason::Unknown => 0,
        Reason::FirstNotification => 1,
        Reason::NewAlertsAdded => 2,
        Reason::SomeAlertsResolved => 3,
        Reason::AllAlertsResolved => 4,
        Reason::RepeatIntervalElapsed => 5,
    }
}

fn get_reason(input: &mut Decoder<'_>) -> Result<Reason, DecodeError> {
    Ok(match input.u8()? {
        0 => Reason::Unknown,
        1 => Reason::FirstNotification,
        2 => Reason::NewAlertsAdded,
        3 => Reason::SomeAlertsResolved,
        4 => Reason::AllAlertsResolved,
        5 => Reason::RepeatIntervalElapsed,
        _ => return Err(DecodeError),
    })
}

fn put_notification(out: &mut Encoder, notification: &Notification) {
    out.text(&notification.id);
    put_flow_key(out, &notification.flow);
    put_labels(out, &notification.group_labels);
    out.i64(notification.created_at.millis());
    out.len(notification.alerts.len());
    notification.alerts.iter().for_each(|alert| put_alert(out, alert));
}

fn get_notification(input: &mut Decoder<'_>, reason: Reason) -> Result<Notification, DecodeError> {
    let id = input.shared_text()?;
    let flow = get_flow_key(input)?;
    let group_labels = get_labels(input)?;
    let created_at = get_time(input)?;
    let count = input.len()?;
    let alerts = (0..count).map(|_| get_alert(input).map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
    if alerts.is_empty() {
        return Err(DecodeError);
    }
    Ok(Notification { id, flow, group_labels, created_at, reason, alerts })
}

fn put_flow(out: &mut Encoder, flow: &Flow) {
    put_labels(out, &flow.group_labels);
    out.len(flow.firing.len());
    for (fingerprint, sent) in &flow.firing {
        out.u64(*fingerprint);
        out.i64(sent.starts_at.millis());
        out.i64(sent.sent_at.millis());
        put_optional_time(out, sent.failed_at);
    }
    out.len(flow.unsent.len());
    for (fingerprint, unsent) in &flow.unsent {
        out.u64(*fingerprint);
        out.i64(unsent.failed_at.millis());
        put_alert(out, &unsent.alert);
    }
}

fn get_flow(input: &mut Decoder<'_>) -> Result<Flow, DecodeError> {
    let mut flow = Flow { group_labels: get_labels(input)?, ..Flow::default() };
    for _ in 0..input.len()? {
        let fingerprint = input.u64()?;
        let (starts_at, sent_at) = (get_time(input)?, get_time(input)?);
        flow.firing.insert(fingerprint, Sent { starts_at, sent_at, failed_at: get_optional_time(input)? });
    }
    for _ in 0..input.len()? {
        let (fingerprint, failed_at) = (input.u64()?, get_time(input)?);
        flow.unsent.insert(fingerprint, Unsent { failed_at, alert: Arc::new(get_alert(input)?) });
    }
    Ok(flow)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels() -> impl Strategy<Value = LabelSet> {
        prop::collection::btree_map("[a-z]{1,4}", ".{1,6}", 0..4)
            .prop_map(|map| LabelSet::from_pairs(map).expect("names are unique and not empty"))
    }

    fn time() -> impl Strategy<Value = Timestamp> {
        (0i64..2_000_000_000_000).prop_map(Timestamp::from_millis)
    }

    fn alert() -> impl Strategy<Value = NotifiedAlert> {
        let annotations = prop::collection::vec((".{0,4}", ".{0,9}"), 0..3);
        (labels(), annotations, time(), prop::option::of(time()), -1e9f64..1e9).prop_map(
            |(labels, annotations, starts_at, ends_at, value)| NotifiedAlert {
                labels,
                annotations,
                starts_at,
                ends_at,
                value,
            },
        )
    }

    fn flow_key() -> impl Strategy<Value = FlowKey> {
        let kinds = vec![IntegrationKind::Webhook, IntegrationKind::Email, IntegrationKind::Inner];
        let kind = prop::sample::select(kinds);
        (".{0,9}", ".{0,5}", kind, any::<u32>()).prop_map(|(group_key, receiver, kind, index)| FlowKey {
            group_key: group_key.into(),
            target: Target { receiver: receiver.into(), kind, index },
        })
    }

    fn flow() -> impl Strategy<Value = Flow> {
        let sent = (time(), time(), prop::option::of(time())).prop_map(|(starts_at, sent_at, failed_at)| Sent {
            starts_at,
            sent_at,
            failed_at,
        });
        let unsent = (time(), alert()).prop_map(|(failed_at, alert)| Unsent { failed_at, alert: Arc::new(alert) });
        (
            labels(),
            prop::collection::hash_map(any::<u64>(), sent, 0..4),
            prop::collection::hash_map(any::<u64>(), unsent, 0..3),
        )
            .prop_map(|(group_labels, firing, unsent)| Flow { group_labels, firing, unsent })
    }

    fn reason() -> impl Strategy<Value = Reason> {
        prop::sample::select(vec![
            Reason::Unknown,
            Reason::FirstNotification,
            Reason::NewAlertsAdded,
            Reason::SomeAlertsResolved,
            Reason::AllAlertsResolved,
            Reason::RepeatIntervalElapsed,
        ])
    }

    pub(crate) fn entry() -> impl Strategy<Value = Entry> {
        let alerts = prop::collection::vec(alert().prop_map(Arc::new), 1..4);
        let notification = ("[0-9a-f]{32}", flow_key(), labels(), time(), reason(), alerts).prop_map(
            |(id, flow, group_labels, created_at, reason, alerts)| {
                Entry::Intent(Arc::new(Notification { id: id.into(), flow, group_labels, created_at, reason, alerts }))
            },
        );
        prop_oneof![
            notification,
            ("[0-9a-f]{32}", time()).prop_map(|(id, at)| Entry::Delivered { id: id.into(), at }),
            ("[0-9a-f]{32}", time()).prop_map(|(id, at)| Entry::Failed { id: id.into(), at }),
            (flow_key(), prop::collection::vec(any::<u64>(), 0..4))
                .prop_map(|(flow, fingerprints)| Entry::Forgotten { flow, fingerprints }),
            (flow_key(), flow()).prop_map(|(key, flow)| Entry::Flow(key, flow)),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(entry in entry()) {
            prop_assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
        }

        #[test]
        fn a_cut_entry_is_an_error(entry in entry(), part in 0.0f64..1.0) {
            let bytes = entry.encode();
            let cut = (bytes.len() as f64 * part) as usize;
            prop_assert_eq!(Entry::decode(&bytes[..cut]), Err(DecodeError));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Entry::decode(&bytes);
        }
    }
}
