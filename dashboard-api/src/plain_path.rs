//! Letters of a path that a client wrote as percent and number though they may stand as they are (`/api/v1/%71uery`).
//!
//! Both spellings name the same (RFC 3986, section 6.2.2.2), and servers in Go read both. Here the path is written plainly
//! before anything looks at it, so that routes and what is asked of a caller are found by one spelling.

use http::Uri;
use http::uri::PathAndQuery;

/// Below it nothing is written otherwise unless it stands there plainly, as by Prometheus.
const FOLDER: &str = "/api/v1/";
/// Below it a slash divides the path however it is written, as by Prometheus.
const LABEL: &str = "/api/v1/label/";

/// The same address with its path written plainly; `None` if it is already.
pub(crate) fn written(address: &Uri) -> Option<Uri> {
    let path = plain(address.path())?;
    let path = match address.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = address.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    Uri::from_parts(parts).ok()
}

fn plain(path: &str) -> Option<String> {
    if !path.contains('%') {
        return None;
    }
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, behind)) = rest.split_once('%') {
        out.push_str(before);
        let (digits, after) = behind.split_at_checked(2).unwrap_or(("", behind));
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let code = u8::from_str_radix(digits, 16).ok().filter(|_| is_hex);
        match code.map(char::from) {
            // A dot stays: `%2e%2e` is no way out of a folder.
            Some(meant) if meant.is_ascii_alphanumeric() || "-_~".contains(meant) => out.push(meant),
            // One that would leave a part empty stays: whoever asks there is not sent on.
            Some('/') if out.starts_with(LABEL) && !out.ends_with('/') && !after.starts_with('/') => out.push('/'),
            _ => {
                out.push('%');
                rest = behind;
                continue;
            }
        }
        rest = after;
    }
    out.push_str(rest);
    let is_hidden = out.starts_with(FOLDER) && !path.starts_with(FOLDER);
    (out != path && !is_hidden).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_stand_as_it_is_does() {
        for (address, wanted) in [
            ("/api/v1/%71uery?query=%75p", Some("/api/v1/query?query=%75p")),
            ("/api/v1/label/%6A%6fb/values", Some("/api/v1/label/job/values")),
            ("/api/v1/label/job%2Fvalues", Some("/api/v1/label/job/values")),
            ("/api/v1/%6Cabel/a%2fb/values", Some("/api/v1/label/a/b/values")),
            ("/api/v1/label/%2F/values", None),
            ("/%2D/ready", Some("/-/ready")),
            ("/api/v1/query?query=%75p", None),
            ("/%61pi/v1/query", None),
            ("/api/v1/saved/a%2Fb", None),
            ("/api/v1/label/%2e%2e/values", None),
            ("/api/v1/label/%C3%A4%25%00%20%3F/values", None),
            ("/api/v1/label/a%2571/values", None),
            ("/%zz%7", None),
        ] {
            let uri: Uri = address.parse().expect(address);
            assert_eq!(written(&uri).map(|uri| uri.to_string()).as_deref(), wanted, "{address}");
        }
        let whole: Uri = "http://h:1/m%65trics".parse().expect("an address");
        assert_eq!(written(&whole).expect("another").to_string(), "http://h:1/metrics");
    }
}
