//! Access logs: `client ident user [time] "request" status bytes`, in the combined form with `"referer"
//! "user agent"` behind it, as Apache and nginx write them. A number behind that is the time the request took: with
//! a point in seconds (nginx' `$request_time`), else in microseconds (Apache's `%D`); a further quoted text is the
//! forwarded address; `name=value` words are fields. Before the client may stand the virtual host, `vhost:port `, and behind it the
//! addresses of proxies, `client, proxy`.

use watchfire_model::Level;

use super::{Format, ParseError};
use crate::draft::{Draft, Members, plain_value};
use crate::json::Node;
use crate::timestamp::read_access_log;

const FORMAT: &str = "an access log";

/// Parses a line, and says which of the two forms it has.
pub fn parse(line: &str, draft: &mut Draft) -> Result<Format, ParseError> {
    let fail = |what, rest: &str| Err(ParseError::before(FORMAT, what, line, rest));
    let Some((before, rest)) = line.split_once(" [") else { return fail("expected ` [time]`", "") };
    let mut words = before.rsplitn(3, ' ');
    let (Some(user), Some(ident), Some(clients)) = (words.next(), words.next(), words.next()) else {
        return fail("expected client, identity and user before the time", line);
    };
    if ident.is_empty() || user.is_empty() {
        return fail("expected client, identity and user before the time", line);
    }
    let Some(clients) = Clients::read(clients) else {
        return fail("expected one client, a list of addresses, or a virtual host and a client", line);
    };
    let Some((time, after_time)) = rest.split_once("] \"") else { return fail("expected `] \"` after the time", rest) };
    let Some(timestamp) = read_access_log(time) else {
        return fail("expected a time, `10/Oct/2000:13:55:36 -0700`", rest);
    };
    let Some((request, rest)) = quoted(after_time) else { return fail("expected a closing `\"`", "") };
    let Some(rest) = rest.strip_prefix(' ') else { return fail("expected a blank after the request", rest) };
    let (status_text, after_status) = rest.split_once(' ').unwrap_or((rest, ""));
    let status = match status_text {
        "-" => None,
        text => match text.parse::<u16>() {
            Ok(status) if text.len() == 3 => Some(status),
            _ => return fail("expected a status of three digits or `-`", rest),
        },
    };
    let (bytes_text, mut extra) = after_status.split_once(' ').unwrap_or((after_status, ""));
    let bytes = match bytes_text {
        "-" => None,
        text => match text.parse::<i64>() {
            Ok(bytes) if bytes >= 0 => Some(bytes),
            _ => return fail("expected a number of bytes or `-`", after_status),
        },
    };
    let agents = read_quoted(extra).and_then(|(referer, rest)| {
        let (agent, rest) = read_quoted(rest)?;
        Some((referer, agent, rest))
    });
    if let Some((_, _, rest)) = agents {
        extra = rest;
    } else if extra.trim_start().starts_with('"') {
        return fail("expected the quoted referer and user agent", extra);
    }

    let mut members = draft.begin(line);
    *members.timestamp = Some(timestamp);
    *members.level = Some(level_of(status));
    members.text("message", if request.is_empty() || request == "-" { line } else { request });
    if let Some(vhost) = clients.vhost {
        members.text("vhost", vhost);
    }
    if let Some(port) = clients.vhost_port {
        members.value("vhost_port", Node::Int(i64::from(port)));
    }
    members.text_unless_dash("client_ip", clients.client);
    if let Some(list) = clients.list {
        members.text("forwarded_for", list);
    }
    for (name, part) in [("ident", ident), ("user_id", user)] {
        // Apache writes an empty name as two quotes.
        if part != "\"\"" {
            members.text_unless_dash(name, part);
        }
    }
    put_request(&mut members, request);
    if let Some(status) = status {
        members.value("status", Node::Int(i64::from(status)));
    }
    if let Some(bytes) = bytes {
        members.value("bytes", Node::Int(bytes));
    }
    if let Some((referer, agent, _)) = agents {
        members.text_unless_dash("referer", referer);
        members.text_unless_dash("user_agent", agent);
    }
    put_extra(&mut members, extra, clients.list.is_some());
    members.end();
    Ok(if agents.is_some() { Format::ApacheCombined } else { Format::ApacheCommon })
}

/// What stands before identity and user.
struct Clients<'a> {
    /// The virtual host that was asked, Apache's `%v`.
    vhost: Option<&'a str>,
    /// Its port, `%p`.
    vhost_port: Option<u16>,
    /// The first address.
    client: &'a str,
    /// The whole list, where proxies have added their addresses.
    list: Option<&'a str>,
}

impl<'a> Clients<'a> {
    /// `client`, `client, proxy, proxy`, or one of them behind `vhost:port ` or `vhost `. `None` if it is neither: names with
    /// blanks cannot be told apart from what stands around them.
    fn read(text: &'a str) -> Option<Clients<'a>> {
        if let Some(clients) = Clients::without_vhost(text) {
            return Some(clients);
        }
        let (vhost, clients) = text.split_once(' ')?;
        let clients = Clients::without_vhost(clients)?;
        let (name, port) = match vhost.rsplit_once(':') {
            Some((name, port)) if !is_address(vhost) => (name, Some(port.parse::<u16>().ok()?)),
            _ => (vhost, None),
        };
        let host_like = |name: &str| !name.is_empty() && !name.contains([',', '"']) && name != "-";
        // Without a port, only an address behind it tells a virtual host from a client.
        let is_vhost = host_like(name)
            && !is_address(name.trim_matches(['[', ']'])) | port.is_some()
            && is_address(clients.client) | (port.is_some() && host_like(clients.client));
        is_vhost.then_some(Clients { vhost: Some(name), vhost_port: port, ..clients })
    }

    fn without_vhost(text: &'a str) -> Option<Clients<'a>> {
        if text.is_empty() {
            return None;
        }
        if !text.contains([' ', ',']) {
            return Some(Clients { vhost: None, vhost_port: None, client: text, list: None });
        }
        let mut parts = text.split(',').map(str::trim);
        let client = parts.next().filter(|client| is_address(client))?;
        let all = parts.all(|part| is_address(part) || matches!(part, "unknown" | "-"));
        (all && text.contains(',')).then_some(Clients { vhost: None, vhost_port: None, client, list: Some(text) })
    }
}

fn is_address(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok()
}

/// 5xx is an error, 4xx a warning, the rest normal operation.
fn level_of(status: Option<u16>) -> Level {
    match status {
        Some(500..) => Level::Error,
        Some(400..) => Level::Warn,
        Some(_) | None => Level::Info,
    }
}

/// `GET /path?query HTTP/1.1`; anything else stays in the message.
fn put_request(members: &mut Members<'_>, request: &str) {
    let Some((method, rest)) = request.split_once(' ') else { return };
    let is_method = (1..=20).contains(&method.len())
        && method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-' || byte == b'_');
    if !is_method {
        return;
    }
    let (target, protocol) = rest.rsplit_once(' ').filter(|(_, last)| last.starts_with("HTTP/")).unwrap_or((rest, ""));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    members.text("method", method);
    members.text("path", path);
    members.text_unless_dash("query", query);
    members.text_unless_dash("protocol", protocol);
}

/// What stands behind the known part.
fn put_extra(members: &mut Members<'_>, mut extra: &str, mut have_forwarded: bool) {
    let mut rest_from = None;
    let mut have_duration = false;
    let mut have_names = 0;
    loop {
        extra = extra.trim_start_matches(' ');
        if extra.is_empty() {
            break;
        }
        if let Some((text, after)) = read_quoted(extra)
            && !have_forwarded
        {
            have_forwarded = true;
            members.text_unless_dash("forwarded_for", text);
            extra = after;
            continue;
        }
        let (word, after) = extra.split_once(' ').unwrap_or((extra, ""));
        if let Some((name, value)) = word.split_once('=')
            && is_name(name)
            && have_names < 64
        {
            have_names += 1;
            members.name_in_line(name);
            let value = value.trim_matches('"');
            // Seconds are written with trailing zeros; nothing here is a version.
            let node = value.parse::<f64>().ok().filter(|_| is_decimal(value)).map(Node::Float);
            let node = plain_value(name, value).or(node).unwrap_or_else(|| Node::Text(members.span(value)));
            members.tape.push(node);
        } else if let Some(duration_ms) = duration_ms(word)
            && !have_duration
        {
            have_duration = true;
            members.value("duration_ms", Node::Float(duration_ms));
        } else if word != "-" {
            rest_from = Some(extra);
            break;
        }
        extra = after;
    }
    if let Some(rest) = rest_from {
        members.text("extra", rest);
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_decimal(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit()) && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Seconds with a point, or whole microseconds, as milliseconds.
fn duration_ms(word: &str) -> Option<f64> {
    if !is_decimal(word) {
        return None;
    }
    let number = word.parse::<f64>().ok()?;
    // Rounded to the nanosecond, so that 0.123 s is 123 ms and not 123.00000000000001.
    let millis = if word.contains('.') { number * 1e3 } else { number / 1e3 };
    Some((millis * 1e6).round() / 1e6)
}

/// A quoted text, after blanks, and the rest.
fn read_quoted(text: &str) -> Option<(&str, &str)> {
    quoted(text.trim_start_matches(' ').strip_prefix('"')?)
}

/// A text up to the quote that no backslash escapes, and the rest.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}
