//! Where a value comes from that a flag gives, or a variable of the environment in its place: what is wrong with it is
//! said of the one that gave it.

use std::ffi::OsString;

/// What a value is called: the flag if it stands on our command line, else the variable if it is set, else the flag.
pub fn given_by<'n>(flag: &'n str, variable: &'n str) -> &'n str {
    named(flag, variable, std::env::args_os(), std::env::var_os(variable).is_some())
}

fn named<'n>(flag: &'n str, variable: &'n str, mut arguments: impl Iterator<Item = OsString>, is_set: bool) -> &'n str {
    let is_flag = |argument: OsString| {
        let rest = argument.to_str().and_then(|text| text.strip_prefix(flag));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    if is_set && !arguments.any(is_flag) { variable } else { flag }
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn who_gave_a_value_is_named() {
        for (line, is_set, name) in [
            ("tail --url http://a", true, "--url"),
            ("tail --url=http://a", true, "--url"),
            ("tail --url=http://a", false, "--url"),
            ("tail --urls x", true, "WATCHFIRE_URL"),
            ("tail", true, "WATCHFIRE_URL"),
            ("tail", false, "--url"),
        ] {
            let arguments = line.split(' ').map(Into::into);
            assert_eq!(named("--url", "WATCHFIRE_URL", arguments, is_set), name, "{line}");
        }
    }
}
