//! The outcome of test files as JUnit's XML, which build servers show.

use std::fmt::Write;

use super::Failure;

/// A file and its tests, each with what went wrong. A file that cannot be read has one test of its own name.
pub type FileOutcome = (String, Vec<(String, Vec<Failure>)>);

/// The whole document.
pub fn junit(files: &[FileOutcome]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for (file, tests) in files {
        let failed = tests.iter().filter(|(_, failures)| !failures.is_empty()).count();
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\">",
            escaped(file),
            tests.len()
        );
        for (name, failures) in tests {
            let _ = writeln!(out, "    <testcase name=\"{}\">", escaped(name));
            for Failure { line, column, message } in failures {
                let place = format!("{file}:{line}:{column}: ");
                let first = message.lines().next().unwrap_or_default();
                let _ = writeln!(
                    out,
                    "      <failure message=\"{}\">{}</failure>",
                    escaped(first),
                    escaped(&(place + message))
                );
            }
            out.push_str("    </testcase>\n");
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// As text and in quotes; what XML cannot hold is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(character),
            other if other.is_control() || matches!(other, '\u{fffe}' | '\u{ffff}') => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Failure, junit};

    #[test]
    fn names_and_messages_are_text() {
        let failure = Failure { line: 3, column: 7, message: "a < \"b\"\n    - \u{1b}x".to_owned() };
        let tests = vec![("good".to_owned(), vec![]), ("b & d".to_owned(), vec![failure])];
        assert_eq!(
            junit(&[("t.yml".to_owned(), tests)]),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  \
             <testsuite name=\"t.yml\" tests=\"2\" failures=\"1\" errors=\"0\">\n    \
             <testcase name=\"good\">\n    </testcase>\n    <testcase name=\"b &amp; d\">\n      \
             <failure message=\"a &lt; &quot;b&quot;\">t.yml:3:7: a &lt; &quot;b&quot;\n    - x</failure>\n    \
             </testcase>\n  </testsuite>\n</testsuites>\n"
        );
    }
}
