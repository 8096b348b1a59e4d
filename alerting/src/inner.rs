//! A receiver inside this process: messages to it take the whole way but the last step.

use crate::notification::Notification;
use crate::notifier::{Notifier, Sending};
use std::sync::Arc;

/// Called with each message; must not block. The same message may come twice, with the same id.
#[derive(Clone)]
pub struct InnerReceiver(Arc<dyn Fn(&Notification) + Send + Sync>);

impl InnerReceiver {
    /// Hands messages to `take`.
    pub fn new(take: impl Fn(&Notification) + Send + Sync + 'static) -> InnerReceiver {
        InnerReceiver(Arc::new(take))
    }
}

/// Two are equal if they hand messages to the same place.
impl PartialEq for InnerReceiver {
    fn eq(&self, other: &InnerReceiver) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl std::fmt::Debug for InnerReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InnerReceiver")
    }
}

impl Notifier for InnerReceiver {
    fn send<'a>(&'a self, notification: &'a Arc<Notification>) -> Sending<'a> {
        (self.0)(notification);
        Box::pin(std::future::ready(Ok(())))
    }
}
