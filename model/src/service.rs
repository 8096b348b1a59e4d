//! Which service wrote this file?

/// Digits of a container's id.
const ID_DIGITS: usize = 64;

/// The service of a log file by its name, without folders: the container of `POD_NAMESPACE_CONTAINER-ID.log`, as a node of Kubernetes has
/// them; of others what stands before the first dot. `None` if that is nothing.
pub fn service_of_file(name: &str) -> Option<&str> {
    let stem = name.split('.').find(|part| !part.is_empty())?;
    Some(container_of(stem).unwrap_or(stem))
}

fn container_of(stem: &str) -> Option<&str> {
    let (names, id) = stem.rsplit_once('-')?;
    let is_id = id.len() == ID_DIGITS && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    // Names in Kubernetes have no underscores.
    let [_pod, _namespace, container] = *names.split('_').collect::<Vec<_>>() else { return None };
    (is_id && !container.is_empty()).then_some(container)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_found_in_the_name_of_its_file() {
        let id = "0123456789abcdef".repeat(4);
        for (name, service) in [
            ("app.log", Some("app")),
            ("app.log.1.gz", Some("app")),
            (".hidden", Some("hidden")),
            ("..", None),
            ("", None),
            ("a_b_c-1.log", Some("a_b_c-1")),
            (&format!("web-7d4b9_shop_nginx-{id}.log"), Some("nginx")),
            (&format!("web-7d4b9_shop_side-car-{id}.log"), Some("side-car")),
            (&format!("{id}-json.log"), Some(&*format!("{id}-json"))),
            (&format!("a_b_-{id}.log"), Some(&*format!("a_b_-{id}"))),
        ] {
            assert_eq!(service_of_file(name), service, "{name}");
        }
    }
}
