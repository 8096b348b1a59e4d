//! Several words of a command line as one search.

/// The arguments as one search: each is a term of its own, and all of them must hold.
///
/// What has blanks is put into brackets, as `OR` binds less than the blank between two arguments would; operators that
/// stand alone (`a OR b` without quotes) and single words stay as they are, so that a place in a refusal points into
/// what was written. One argument is the search itself.
pub fn search(arguments: &[String]) -> String {
    match arguments {
        [] => String::new(),
        [whole] => whole.clone(),
        terms => terms.iter().map(|term| bracketed(term)).collect::<Vec<_>>().join(" "),
    }
}

fn bracketed(term: &str) -> String {
    // `(a)OR(b)` needs no blank.
    let is_several = term.trim().contains(|c: char| c.is_whitespace() || c == ')');
    if is_several { format!("({term})") } else { term.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::search;

    #[test]
    fn each_argument_is_a_term_of_its_own() {
        for (arguments, wanted) in [
            (&[][..], ""),
            (&["a OR b"], "a OR b"),
            (&["level:error", "service:api OR service:web"], "level:error (service:api OR service:web)"),
            (&["service:api OR service:web", "-x", "(a)OR(b)"], "(service:api OR service:web) -x ((a)OR(b))"),
            (&["connection", "refused"], "connection refused"),
            (&["a", "OR", "b"], "a OR b"),
            (&["NOT", "a b"], "NOT (a b)"),
            (&["\"connection refused\"", "/x y/"], "(\"connection refused\") (/x y/)"),
        ] {
            let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(search(&arguments), wanted);
        }
    }
}
