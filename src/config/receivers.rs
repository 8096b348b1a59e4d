//! `alerting.receivers`: read, and then looked at by alerting itself, so that a start finds nothing more.

use watchfire_alerting::ReceiverSettings;
use watchfire_yaml::section::Section;
use watchfire_yaml::tree::Node;

use super::read::web_address;
use super::{Email, Receiver, Webhook};
use crate::receivers;

/// Reads one receiver, and tells all that is wrong with it.
pub fn read(node: &Node, alerting: &mut Section<'_>) -> Option<Receiver> {
    let receiver = read_receiver(node, alerting)?;
    check_receiver(&receiver, node, alerting);
    Some(receiver)
}

fn read_receiver(node: &Node, alerting: &mut Section<'_>) -> Option<Receiver> {
    let mut section = Section::new("alerting.receivers", Some(node), alerting.faults());
    let name = section.required_text("name").map(str::to_owned);
    let webhook = section.node("webhook").and_then(|node| read_webhook(node, &mut section));
    let email = section.node("email").and_then(|node| read_email(node, &mut section));
    if section.node("webhook").is_none() && section.node("email").is_none() {
        section.fault(node.place, "a receiver needs `webhook: {url: …}` or `email: {…}`");
    }
    section.finish();
    Some(Receiver { name: name?, webhook, email })
}

/// What alerting itself finds wrong with a receiver, each fault at its place.
fn check_receiver(receiver: &Receiver, node: &Node, alerting: &mut Section<'_>) {
    let settings = ReceiverSettings { receivers: vec![receivers::receiver(receiver)], ..ReceiverSettings::default() };
    for fault in settings.faults() {
        // `receivers[0].email.to[1]`: the receiver is known. One without a way of telling has been told of.
        let path = fault.path.split_once('.').map_or("", |(_, path)| path);
        let place = node.at(path).place;
        let is_told = alerting.faults().iter().any(|fault| fault.place == place);
        if path != "name" && !is_told {
            alerting.fault(place, format!("`alerting.receivers.{path}`: {}", fault.message));
        }
    }
}

fn read_webhook(node: &Node, receiver: &mut Section<'_>) -> Option<Webhook> {
    let mut section = Section::new("alerting.receivers.webhook", Some(node), receiver.faults());
    let url = section.parsed_secret("url", "an address (write http://127.0.0.1:9000/hook)", web_address);
    let url_file = section.path("url_file");
    section.exclude("url", "url_file");
    if section.node("url").is_none() && section.node("url_file").is_none() {
        section.fault(node.place, "a webhook needs `url` (or `url_file`)");
    }
    check_credentials(&mut section);
    let webhook = Webhook {
        url,
        url_file,
        username: section.text("username").map(str::to_owned),
        password_file: section.path("password_file"),
        bearer_token_file: section.path("bearer_token_file"),
        timeout_ms: section.duration_or("timeout", 1, 10_000),
        send_resolved: section.boolean_or("send_resolved", true),
    };
    section.finish();
    (webhook.url.is_some() || webhook.url_file.is_some()).then_some(webhook)
}

/// A half of what basic authentication needs would be left out in silence.
fn check_credentials(webhook: &mut Section<'_>) {
    webhook.exclude("username", "bearer_token_file");
    webhook.exclude("password_file", "bearer_token_file");
    let has_token = webhook.node("bearer_token_file").is_some();
    match (webhook.node("username"), webhook.node("password_file")) {
        _ if has_token => {}
        (Some(username), None) => {
            let told = format!("`{}` is sent only with a password; add `password_file`", webhook.name("username"));
            webhook.fault(username.place, told);
        }
        (None, Some(password)) => {
            let told = format!("`{}` is sent only with a name; add `username`", webhook.name("password_file"));
            webhook.fault(password.place, told);
        }
        _ => {}
    }
}

fn read_email(node: &Node, receiver: &mut Section<'_>) -> Option<Email> {
    let mut section = Section::new("alerting.receivers.email", Some(node), receiver.faults());
    section.required_text("smtp");
    let smtp = section.parsed_secret("smtp", "an address (write smtp://user@127.0.0.1:2525)", |text| {
        let known = ["smtp://", "smtp+starttls://", "smtps://"].iter().any(|scheme| text.starts_with(scheme));
        known.then(|| text.to_owned())
    });
    let from = section.required_text("from").map(str::to_owned);
    let to: Vec<String> = section.texts("to").into_iter().map(|(text, _)| text.to_owned()).collect();
    if to.is_empty() {
        let place = section.node("to").map_or(node.place, |to| to.place);
        section.fault(place, "an e-mail receiver needs `to: [ADDRESS]`");
    }
    let password_file = section.path("password_file");
    let ca_file = section.path("ca_file");
    let send_resolved = section.boolean_or("send_resolved", true);
    section.finish();
    Some(Email { smtp: smtp?, password_file, from: from?, to, ca_file, send_resolved })
}
