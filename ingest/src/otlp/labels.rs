//! Label sets of data points and of `target_info`.

use watchfire_model::labels::METRIC_NAME;
use watchfire_protobuf::{Field, Message};

use super::Fault;
use super::names;
use super::value::attribute;

/// Attributes of a resource that become `job` and `instance`.
const IDENTIFYING: [&str; 3] = ["service.namespace", "service.name", "service.instance.id"];
/// Most attributes that are read of a thing at all; the engine's own limit of labels is lower.
const ATTRIBUTES_MAX: usize = 256;

/// Labels in the making: names and values, each name once; an empty value is no label.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels(Vec<(String, String)>);

impl Labels {
    pub(super) fn set(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(have, _)| have == name) {
            Some((_, have)) => value.clone_into(have),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(have, value)| have == name && !value.is_empty())
    }

    /// Attributes by translated names. Where two come to the same name, both values stand there, in the order of the
    /// original names.
    fn of_attributes(mut attributes: Vec<(&str, String)>) -> Result<Labels, Unusable> {
        attributes.sort_by_key(|(key, _)| *key);
        let mut labels = Labels::default();
        for (key, value) in attributes {
            let name =
                names::label(key).ok_or_else(|| Unusable(format!("the attribute `{key}` gives no label name")))?;
            match labels.0.iter_mut().find(|(have, value)| *have == name && !value.is_empty()) {
                Some((_, have)) => {
                    have.push(';');
                    have.push_str(&value);
                }
                None => labels.set(&name, &value),
            }
        }
        Ok(labels)
    }

    /// As the engine wants them, with the name of the metric.
    pub(super) fn pairs<'l>(&'l self, metric: &'l str) -> Vec<(&'l str, &'l str)> {
        let others = self.0.iter().filter(|(name, _)| name != METRIC_NAME);
        let others = others.map(|(name, value)| (name.as_str(), value.as_str()));
        std::iter::once((METRIC_NAME, metric)).chain(others).collect()
    }
}

/// Attributes of which no labels can be made, and why.
pub(super) struct Unusable(pub(super) String);

/// Where metrics come from.
#[derive(Default)]
pub(super) struct Resource {
    job: String,
    instance: String,
    /// The labels of its `target_info`, if it says anything worth one.
    pub(super) info: Option<Labels>,
}

impl Resource {
    /// Reads one: `1 attributes*`.
    pub(super) fn read(bytes: &[u8]) -> Result<Result<Resource, Unusable>, Fault> {
        let mut attributes = Vec::new();
        let mut message = Message::new(bytes);
        while let Some((number, field)) = message.next()? {
            if number == 1 {
                if attributes.len() >= ATTRIBUTES_MAX {
                    return Ok(Err(Unusable(format!("a resource has more than {ATTRIBUTES_MAX} attributes"))));
                }
                attributes.push(attribute(field)?);
            }
        }
        let of = |name: &str| attributes.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
        let mut resource = Resource::default();
        if let Some(name) = of("service.name") {
            resource.job = match of("service.namespace") {
                Some(namespace) => format!("{namespace}/{name}"),
                None => name.to_owned(),
            };
        }
        resource.instance = of("service.instance.id").unwrap_or_default().to_owned();
        let others: Vec<_> = attributes.into_iter().filter(|(key, _)| !IDENTIFYING.contains(key)).collect();
        if others.is_empty() {
            return Ok(Ok(resource));
        }
        let mut info = match Labels::of_attributes(others) {
            Ok(info) => info,
            Err(unusable) => return Ok(Err(unusable)),
        };
        resource.identify(&mut info);
        resource.info = Some(info).filter(|info| info.has("job") || info.has("instance"));
        Ok(Ok(resource))
    }

    /// Adds what tells this source from others.
    fn identify(&self, labels: &mut Labels) {
        for (name, value) in [("job", &self.job), ("instance", &self.instance)] {
            if !value.is_empty() {
                labels.set(name, value);
            }
        }
    }

    /// The labels of a data point of this source.
    pub(super) fn labels(&self, attributes: &[Field<'_>]) -> Result<Result<Labels, Unusable>, Fault> {
        if attributes.len() > ATTRIBUTES_MAX {
            return Ok(Err(Unusable(format!("it has more than {ATTRIBUTES_MAX} attributes"))));
        }
        let read: Result<Vec<_>, Fault> = attributes.iter().map(|field| attribute(*field)).collect();
        let mut read = read?;
        read.retain(|(key, _)| *key != METRIC_NAME);
        Ok(Labels::of_attributes(read).map(|mut labels| {
            self.identify(&mut labels);
            labels
        }))
    }
}
