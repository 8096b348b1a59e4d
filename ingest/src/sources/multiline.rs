//! Which lines belong together: stack traces of Java, Python, Go, Rust and .NET.
//!
//! A [`Joiner`] is told the first line of a record and then each next one, and says whether it belongs. It looks at
//! text alone; time and limits are the business of [`super::cut`]. A trace joins the log line right before it when
//! that line tells of an error; else it is a record of its own.

use super::multiline_rules as rules;

/// Whose traces are joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Multiline {
    /// Every line is a record.
    Off,
    /// Those of all languages.
    #[default]
    Auto,
    /// Java and its relatives, and JavaScript, whose frames look alike.
    Java,
    /// Python.
    Python,
    /// Go.
    Go,
    /// Rust.
    Rust,
    /// .NET.
    Dotnet,
}

impl Multiline {
    /// All names, as the configuration writes them.
    pub const NAMES: [(&'static str, Multiline); 7] = [
        ("auto", Multiline::Auto),
        ("java", Multiline::Java),
        ("python", Multiline::Python),
        ("go", Multiline::Go),
        ("rust", Multiline::Rust),
        ("dotnet", Multiline::Dotnet),
        ("off", Multiline::Off),
    ];

    /// The one with this name.
    pub fn parse(name: &str) -> Option<Multiline> {
        Multiline::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, multiline)| multiline)
    }

    fn reads(self, language: Multiline) -> bool {
        self == Multiline::Auto || self == language
    }
}

/// What the lines of a record have been so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing can follow.
    Closed,
    /// A line that tells of an error: a trace may follow.
    Error,
    /// .NET: behind the line of a category, whose message is indented.
    Category,
    /// Java or .NET: in the trace.
    Frames,
    /// Python: between `Traceback` and the line that names the exception.
    Traceback,
    /// Python: behind that line, or in the trace of a group, whose lines are all indented.
    Raised,
    /// Python: behind the line that says how two traces of a chain belong together.
    Linked,
    /// Go: in the trace.
    Goroutines,
    /// Rust: the next line is the message.
    Panicked,
    /// Rust: behind the first line of the message.
    Message,
    /// Rust: behind the message.
    Backtrace,
}

impl State {
    fn is_trace(self) -> bool {
        !matches!(self, State::Closed | State::Error | State::Category)
    }
}

/// Whether a line belongs to those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Joins,
    /// The next line will tell.
    Unclear,
    /// It begins a record of its own.
    Begins,
}

/// Joins the lines of one record.
#[derive(Clone, Copy, Debug)]
pub struct Joiner {
    multiline: Multiline,
    state: State,
    /// The line before was blank, and not decided about.
    after_blank: bool,
    /// Lines before that are not decided about.
    unclear: usize,
    /// Whether there is a trace in it.
    has_trace: bool,
}

impl Joiner {
    /// Begins with the first line.
    pub fn begin(multiline: Multiline, line: &[u8]) -> Joiner {
        let state = if multiline == Multiline::Off { State::Closed } else { first_state(multiline, line) };
        let has_trace = state.is_trace();
        Joiner { multiline, state, after_blank: false, unclear: 0, has_trace }
    }

    /// Whether nothing can follow, so that nobody needs to wait.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Whether there is a stack trace among the lines.
    pub fn has_trace(&self) -> bool {
        self.has_trace
    }

    /// Decides about the next line.
    pub fn next(&mut self, line: &[u8]) -> Verdict {
        if line.trim_ascii().is_empty() {
            let may_be_inside = !matches!(self.state, State::Closed | State::Traceback);
            self.after_blank = true;
            return if may_be_inside { Verdict::Unclear } else { Verdict::Begins };
        }
        let after_blank = std::mem::take(&mut self.after_blank);
        if self.state == State::Message && !rules::ends_message(line) {
            if self.unclear == 0 && !after_blank && rules::is_indented(line) {
                return Verdict::Joins;
            }
            // Perhaps a line of the message: what ends a message tells.
            self.unclear += 1;
            let may_be_inside = self.unclear <= MESSAGE_LINES_MAX && !rules::begins_record(line);
            return if may_be_inside { Verdict::Unclear } else { Verdict::Begins };
        }
        match self.step(line, after_blank) {
            Some(state) => {
                self.unclear = 0;
                self.has_trace |= state.is_trace();
                self.state = state;
                Verdict::Joins
            }
            None => Verdict::Begins,
        }
    }

    /// The state behind a line that joins.
    fn step(&self, line: &[u8], after_blank: bool) -> Option<State> {
        match self.state {
            State::Closed => None,
            State::Error => self.after_error(line, after_blank),
            State::Category if rules::is_java_frame(line) => (!after_blank).then_some(State::Frames),
            State::Category => (!after_blank && rules::is_indented(line)).then_some(State::Category),
            State::Frames => (!after_blank && rules::continues_frames(line)).then_some(State::Frames),
            State::Traceback => {
                if rules::is_indented(line) {
                    Some(State::Traceback)
                } else {
                    let is_end = !after_blank && !rules::begins_record(line) && !rules::is_python_traceback(line);
                    is_end.then_some(State::Raised)
                }
            }
            State::Raised if rules::is_python_link(line) => Some(State::Linked),
            State::Raised => (!after_blank && rules::is_indented(line)).then_some(State::Raised),
            State::Linked => rules::is_python_traceback(line).then(|| traceback(line)),
            State::Goroutines => rules::continues_goroutines(line, after_blank).then_some(State::Goroutines),
            State::Panicked => (!rules::begins_record(line)).then_some(State::Message),
            State::Message => {
                let is_comparison = line.starts_with(b"  left: ") || line.starts_with(b" right: ");
                Some(if is_comparison { State::Message } else { State::Backtrace })
            }
            State::Backtrace => rules::continues_backtrace(line, after_blank).then_some(State::Backtrace),
        }
    }

    /// A trace behind a line that tells of an error.
    fn after_error(&self, line: &[u8], after_blank: bool) -> Option<State> {
        let reads = |language| self.multiline.reads(language);
        if reads(Multiline::Rust) && rules::is_cause_list(line) {
            return Some(State::Backtrace);
        }
        if after_blank {
            return None;
        }
        if reads(Multiline::Java) && (rules::is_java_frame(line) || rules::is_exception_line(line))
            || reads(Multiline::Dotnet) && (rules::is_java_frame(line) || rules::is_exception_line(line))
        {
            return Some(State::Frames);
        }
        if reads(Multiline::Python) && rules::is_python_traceback(line) {
            return Some(traceback(line));
        }
        if reads(Multiline::Go) && rules::is_goroutine(line) {
            return Some(State::Goroutines);
        }
        None
    }
}

/// Most lines of the message of a panic.
const MESSAGE_LINES_MAX: usize = 10;

/// Behind the first line of a trace of Python.
fn traceback(line: &[u8]) -> State {
    if rules::is_python_group(line) { State::Raised } else { State::Traceback }
}

/// What the first line of a record is.
fn first_state(multiline: Multiline, line: &[u8]) -> State {
    if matches!(line.first(), Some(b'{' | b'<')) {
        return State::Closed;
    }
    let reads = |language| multiline.reads(language);
    if reads(Multiline::Python) && rules::is_python_traceback(line) {
        return traceback(line);
    }
    if reads(Multiline::Go) && rules::is_go_panic(line) {
        return State::Goroutines;
    }
    if reads(Multiline::Rust) && rules::is_rust_panic(line) {
        return State::Panicked;
    }
    if reads(Multiline::Dotnet) && rules::is_dotnet_category(line) {
        return State::Category;
    }
    if reads(Multiline::Java) || reads(Multiline::Dotnet) {
        if rules::is_java_frame(line) {
            return State::Frames;
        }
        if rules::is_exception_line(line) || rules::is_uncaught(line) {
            return State::Error;
        }
    }
    if rules::tells_of_error(line) { State::Error } else { State::Closed }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records that lines become, each as the numbers of its lines.
    fn groups(multiline: Multiline, text: &str) -> Vec<String> {
        let mut groups: Vec<String> = Vec::new();
        let mut joiner: Option<Joiner> = None;
        let mut blanks = 0;
        for line in text.lines() {
            match joiner.as_mut().map_or(Verdict::Begins, |joiner| joiner.next(line.as_bytes())) {
                Verdict::Joins => {
                    let last = groups.last_mut().expect("begun");
                    last.push_str(&"\n".repeat(blanks + 1));
                    last.push_str(line);
                    blanks = 0;
                }
                Verdict::Unclear => blanks += 1,
                Verdict::Begins => {
                    blanks = 0;
                    if !line.is_empty() {
                        groups.push(line.to_owned());
                        joiner = Some(Joiner::begin(multiline, line.as_bytes()));
                    }
                }
            }
        }
        groups
    }

    #[test]
    fn a_trace_joins_the_error_before_it_and_no_other_line() {
        let trace = "java.lang.IllegalStateException: no\n\tat shop.Main.main(Main.java:3)\nCaused by: java.io.IOException\n\t... 3 more";
        for (before, groups_expected) in
            [("2024-01-01 10:00:00 ERROR shop - failed", 2), ("2024-01-01 10:00:00 INFO shop - started", 3)]
        {
            let text = format!("{before}\n{trace}\n2024-01-01 10:00:01 INFO shop - next\n");
            assert_eq!(groups(Multiline::Auto, &text).len(), groups_expected, "{before}");
            assert_eq!(groups(Multiline::Java, &text).len(), groups_expected, "{before}");
            assert_eq!(groups(Multiline::Off, &text).len(), 6);
        }
        let joined = groups(Multiline::Java, &format!("ERROR failed\n{trace}\nINFO next"));
        assert_eq!(joined, [format!("ERROR failed\n{trace}"), "INFO next".to_owned()]);
    }

    #[test]
    fn chained_tracebacks_of_python_are_one_record() {
        let text = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\nKeyError: 'a'\n\n\
            During handling of the above exception, another exception occurred:\n\n\
            Traceback (most recent call last):\n  File \"a.py\", line 3, in <module>\nValueError: b";
        assert_eq!(groups(Multiline::Python, text), [text]);
        assert_eq!(groups(Multiline::Auto, &format!("{text}\n\nplain\n")), [text, "plain"]);
        assert_eq!(groups(Multiline::Go, text).len(), 8);
    }

    #[test]
    fn ordinary_lines_wait_for_nobody() {
        for line in ["GET / 200", "{\"level\":\"error\"}", "<11>1 - h error", "level=info msg=\"no errors\"", "done"] {
            assert!(Joiner::begin(Multiline::Auto, line.as_bytes()).is_closed(), "{line}");
        }
        for line in ["ERROR x", "level=error msg=x", "2024-01-01 [fatal] x", "Error: x", "panic: x"] {
            assert!(!Joiner::begin(Multiline::Auto, line.as_bytes()).is_closed(), "{line}");
        }
    }

    #[test]
    fn indented_lines_behind_an_ordinary_one_stay_alone() {
        assert_eq!(groups(Multiline::Auto, "usage: x\n  --flag  it\n  --other\n").len(), 3);
        assert_eq!(groups(Multiline::Auto, "an error\n\nanother line\n").len(), 2);
    }
}
