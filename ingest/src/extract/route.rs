//! Routes from paths: what stands for one thing of many is replaced, so that a route is a small set.

/// Longest route, bytes.
const ROUTE_BYTES_MAX: usize = 128;
/// What stands for an id.
const ID: &str = ":id";

/// Writes the route of a path or an address into `out`: without scheme, host, query and fragment, with ids (numbers,
/// UUIDs, long hexadecimal and random words) replaced by `:id`. Empty if there is no path.
pub fn normalise_route(path: &str, out: &mut String) {
    out.clear();
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = match path.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => path,
    };
    if path.is_empty() {
        return;
    }
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        let segment = if is_id(segment) { ID } else { segment };
        if out.len() + 1 + segment.len() > ROUTE_BYTES_MAX {
            out.push_str("/…");
            return;
        }
        out.push('/');
        out.push_str(segment);
    }
    if out.is_empty() {
        out.push('/');
    }
}

fn is_id(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return bytes.len() >= 40 && !bytes.contains(&b'-') && !bytes.contains(&b'_');
    }
    if digits == bytes.len() {
        return true;
    }
    let hexadecimal = bytes.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    if hexadecimal && bytes.len() >= 8 {
        return true;
    }
    // `v1`, `oauth2` and `2024-report` are names; `ord_8f3kz91q2` and `user12345` are not.
    digits >= 4 || (digits >= 2 && bytes.len() >= 16)
}

#[cfg(test)]
mod tests {
    use super::normalise_route;

    #[test]
    fn ids_are_replaced_and_names_stay() {
        for (path, route) in [
            ("/", "/"),
            ("", ""),
            ("/api/orders/42?full=1", "/api/orders/:id"),
            ("/api/v1/users/user12345/avatar#x", "/api/v1/users/:id/avatar"),
            ("/u/4bf92f35-77b3-4da6-a3ce-929d0e0e4736/", "/u/:id"),
            ("/t/4bf92f3577b34da6a3ce929d0e0e4736", "/t/:id"),
            ("/face/feed/deadbeef", "/face/feed/deadbeef"),
            ("/oauth2/token", "/oauth2/token"),
            ("https://shop.example/a/7?b", "/a/:id"),
            ("https://shop.example", "/"),
            ("*", "/*"),
        ] {
            let mut out = String::new();
            normalise_route(path, &mut out);
            assert_eq!(out, route, "{path}");
        }
        let mut out = String::new();
        normalise_route(&"/long-word".repeat(1000), &mut out);
        assert!(out.len() < 140 && out.ends_with("/…"), "{out}");
    }
}
