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
    /// Java or .NET: behind the line that names an exception, or a further line of its message.
    Exception,
    /// Java or .NET: in the trace.
    Frames,
    /// Java: behind a line that is a name like that of a class, and an exception only if a frame follows.
    Named,
    /// Node: behind the brace at the end of a trace, in what else the error holds.
    Braced,
    /// Node: behind that, where only the line of the version may follow.
    Ended,
    /// Node: behind the place of an error that nobody caught, if a caret follows on the line of source.
    Place,
    /// Node: behind that caret.
    Caret,
    /// Node: behind the first line of what was thrown.
    Thrown,
    /// Python: between `Traceback` and the line that names the exception.
    Traceback,
    /// Python: behind that line, or in the trace of a group, whose lines are all indented.
    Raised,
    /// Python: behind the line that says how two traces of a chain belong together.
    Linked,
    /// Go: in the trace.
    Goroutines,
    /// Go: in a trace that a program took of itself, behind the place of a function.
    Stack,
    /// Rust: the next line is the message.
    Panicked,
    /// Rust: behind the first line of the message.
    Message,
    /// Rust: behind the message.
    Backtrace,
}

impl State {
    fn is_trace(self) -> bool {
        !matches!(self, State::Closed | State::Error | State::Exception | State::Category | State::Named | State::Place)
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
    /// Whether its first line began with a time, so that lines without one do not begin a record.
    is_dated: bool,
    /// Further lines of the message of an exception of Python that are in it, blank ones aside.
    message_lines: usize,
}

impl Joiner {
    /// Begins with the first line.
    pub fn begin(multiline: Multiline, line: &[u8]) -> Joiner {
        if multiline == Multiline::Off {
            return Joiner::of(multiline, State::Closed, false);
        }
        let line = &*rules::without_colors(line);
        let state = first_state(multiline, line);
        Joiner::of(multiline, state, state != State::Closed && rules::begins_record(line))
    }

    fn of(multiline: Multiline, state: State, is_dated: bool) -> Joiner {
        let has_trace = state.is_trace();
        Joiner { multiline, state, after_blank: false, unclear: 0, has_trace, is_dated, message_lines: 0 }
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
        let line = &*rules::without_colors(line);
        if line.trim_ascii().is_empty() {
            let may_be_inside = !matches!(self.state, State::Closed | State::Traceback);
            self.after_blank = true;
            return if may_be_inside { Verdict::Unclear } else { Verdict::Begins };
        }
        let after_blank = std::mem::take(&mut self.after_blank);
        match self.step(line, after_blank) {
            Some(state) => {
                self.unclear = 0;
                let is_message = state == State::Raised && self.state == state && !rules::is_indented(line);
                self.message_lines += usize::from(is_message);
                // What names an exception is a trace behind a line that tells of an error, and may be text by itself.
                self.has_trace |= state.is_trace() || state == State::Exception;
                self.state = state;
                Verdict::Joins
            }
            None if self.may_be_message(line) => {
                self.unclear += 1;
                Verdict::Unclear
            }
            None => Verdict::Begins,
        }
    }

    /// Whether it may be a further line of the message of a panic or an exception, or one that only the line behind it
    /// makes a part of a trace: what comes behind tells.
    fn may_be_message(&self, line: &[u8]) -> bool {
        let is_in_message = match self.state {
            State::Message | State::Thrown => true,
            State::Exception => !rules::is_exception_line(line) && !rules::is_uncaught(line),
            State::Error => {
                let reads = |language| self.multiline.reads(language);
                let is_begin = reads(Multiline::Java) && rules::is_class_line(line)
                    || reads(Multiline::Go) && rules::is_go_function(line);
                self.unclear == 0 && is_begin
            }
            State::Stack => self.may_be_in_stack(line),
            State::Place => self.unclear == 0,
            _ => false,
        };
        is_in_message && self.unclear < MESSAGE_LINES_MAX && !rules::begins_record(line)
    }

    /// Whether it may be the next function of a trace that a program of Go took of itself, or the message of the error around
    /// it, which has a trace of its own behind it.
    fn may_be_in_stack(&self, line: &[u8]) -> bool {
        match self.unclear {
            0 => rules::is_go_function(line) || self.is_dated || !rules::tells_of_error(line),
            1 => rules::is_go_function(line),
            _ => false,
        }
    }

    /// Whether it is a further line of the message of an exception of Python: among lines that begin with a time, one
    /// without begins no record.
    fn may_be_python_message(&self, line: &[u8]) -> bool {
        self.is_dated
            && self.message_lines < MESSAGE_LINES_MAX
            && !rules::begins_record(line)
            && !rules::is_python_traceback(line)
    }

    /// The state behind a line that joins.
    fn step(&self, line: &[u8], after_blank: bool) -> Option<State> {
        match self.state {
            State::Closed => None,
            State::Error if self.unclear == 0 => self.after_error(line, after_blank),
            State::Error | State::Stack if self.multiline.reads(Multiline::Go) && rules::is_go_place(line) => {
                (!after_blank && self.unclear > 0).then_some(State::Stack)
            }
            State::Stack => None,
            State::Error | State::Named => (!after_blank && rules::is_call_frame(line)).then(|| frames(line)),
            State::Category if rules::is_java_frame(line) => (!after_blank).then_some(State::Frames),
            State::Category => (!after_blank && rules::is_indented(line)).then_some(State::Category),
            State::Exception => self.after_exception(line, after_blank),
            State::Braced if rules::is_closing_brace(line) => Some(State::Ended),
            State::Braced => (!after_blank && rules::is_indented(line)).then_some(State::Braced),
            State::Frames | State::Ended | State::Thrown if rules::is_node_version(line) => Some(State::Closed),
            State::Ended => None,
            State::Frames => (!after_blank && rules::continues_frames(line)).then(|| frames(line)),
            State::Place => (!after_blank && self.unclear == 1 && rules::is_caret(line)).then_some(State::Caret),
            State::Caret if line.trim_ascii_end().ends_with(b"] {") => Some(State::Braced),
            State::Caret => (!rules::begins_record(line)).then_some(State::Thrown),
            State::Thrown if rules::begins_frames(line) => Some(frames(line)),
            State::Thrown => (self.unclear == 0 && !after_blank && rules::is_indented(line)).then_some(State::Thrown),
            State::Traceback => {
                if rules::is_indented(line) {
                    Some(State::Traceback)
                } else {
                    let is_end = !after_blank && !rules::begins_record(line) && !rules::is_python_traceback(line);
                    is_end.then_some(State::Raised)
                }
            }
            State::Raised if rules::is_python_link(line) => Some(State::Linked),
            State::Raised => {
                let goes_on = !after_blank && rules::is_indented(line) || self.may_be_python_message(line);
                goes_on.then_some(State::Raised)
            }
            State::Linked => rules::is_python_traceback(line).then(|| traceback(line)),
            State::Goroutines => rules::continues_goroutines(line, after_blank).then_some(State::Goroutines),
            State::Panicked => (!rules::begins_record(line)).then_some(State::Message),
            State::Message if !rules::ends_message(line) => {
                (self.unclear == 0 && !after_blank && rules::is_indented(line)).then_some(State::Message)
            }
            State::Message => {
                let is_comparison = line.starts_with(b"  left: ") || line.starts_with(b" right: ");
                Some(if is_comparison { State::Message } else { State::Backtrace })
            }
            State::Backtrace => rules::continues_backtrace(line, after_blank).then_some(State::Backtrace),
        }
    }

    /// A trace behind a line that names an exception.
    fn after_exception(&self, line: &[u8], after_blank: bool) -> Option<State> {
        if rules::begins_frames(line) {
            return Some(frames(line));
        }
        if self.unclear == 0 && !after_blank && rules::is_indented(line) {
            return Some(State::Exception);
        }
        if self.unclear == 0 { self.after_error(line, after_blank) } else { None }
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
        if reads(Multiline::Java) || reads(Multiline::Dotnet) {
            if rules::is_java_frame(line) {
                return Some(frames(line));
            }
            if self.state == State::Error && rules::is_exception_line(line) {
                return Some(State::Exception);
            }
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

/// Most lines of the message of a panic or an exception, behind the first.
const MESSAGE_LINES_MAX: usize = 10;

/// Behind a line of a trace of Java or .NET.
fn frames(line: &[u8]) -> State {
    match line {
        _ if rules::names_cause(line) => State::Exception,
        _ if rules::ends_with_brace(line) => State::Braced,
        _ => State::Frames,
    }
}

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
            return frames(line);
        }
        if reads(Multiline::Java) && rules::is_braced_error(line) {
            return State::Braced;
        }
        if reads(Multiline::Java) && rules::is_node_place(line) {
            return State::Place;
        }
        if rules::is_exception_line(line) || rules::is_uncaught(line) || rules::is_error_line(line) {
            return State::Exception;
        }
        if reads(Multiline::Java) && rules::is_class_line(line) {
            return State::Named;
        }
    }
    if rules::tells_of_error(line) { State::Error } else { State::Closed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::cut::{Cutter, End, Framing};

    /// The records that the lines of a text become.
    fn groups(multiline: Multiline, text: &str) -> Vec<String> {
        let mut cutter = Cutter::new(Framing::Lines(multiline), 1 << 20);
        let mut at = 0;
        std::iter::from_fn(|| cutter.next(text.as_bytes(), &mut at, End::Last))
            .map(|cut| String::from_utf8(cut.text.to_vec()).expect("of a text"))
            .collect()
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
    fn messages_of_exceptions_have_any_lines() {
        let next = "2024-01-01 10:00:01 INFO next";
        for trace in [
            "java.lang.IllegalStateException: multi\nline message\n\n  indented\n\tat a.b.C(D.java:1)\n\t... 3 more",
            "Exception in thread \"main\" a.b.XException: one\ntwo\nCaused by: a.b.YError: three\n\tat a.b.C(D.java:1)",
            "ERROR shop - failed\na.b.XException: one\ntwo\n\tat a.b.C(D.java:1)",
            "Unhandled exception. System.InvalidOperationException: Bad\n ---> System.Exception: inner\n   at A.B()\n   \
             --- End of inner exception stack trace ---\n   at Program.Main(String[] args) in /y.cs:line 9",
            "Unhandled exception. System.ArgumentException: Bad\nmessage\n   at A.B() in /x.cs:line 3",
            "Unhandled Exception: System.ArgumentException: Bad\n   at A.B() in /x.cs:line 3",
            "System.Data.SqlException (0x80131904): Timeout expired.\n   at A.B()\nClientConnectionId:1b2c\nError Number:-2,State:0,Class:11",
            "TypeError: one\ntwo\n    at f (a.js:1:2)",
        ] {
            assert_eq!(groups(Multiline::Auto, &format!("{trace}\n{next}")), [trace, next]);
        }
        // Without frames behind them they are what they are.
        for lines in [
            vec!["a.b.XException: no", "one", "two", next],
            vec!["a.b.XException", "a.b.XException", "a.b.XException"],
            vec!["a.b.XException: no", "one", "a.b.YException: no\n\tat a.b.C(D.java:1)"],
        ] {
            assert_eq!(groups(Multiline::Auto, &lines.join("\n")), lines);
        }
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
