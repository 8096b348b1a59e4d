//! Records of JSON: one object, a list of objects, or one object per line.

use super::lines::Lines;
use super::{BodyError, Gathered, Gatherer, Marks, Place, Reason};
use crate::formats::Format;
use crate::json::resync::{self, Next};
use crate::json::{JsonError, JsonErrorKind, scan};

impl Gatherer<'_> {
    /// A JSON body: one object, a list of objects, or one object per line. `lines` says that it is the latter, else its
    /// content does.
    ///
    /// Errors: it is not JSON, and no lines of it are. Then nothing was gathered.
    pub fn json(&mut self, body: &[u8], lines: bool) -> Result<(), BodyError> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let text = match std::str::from_utf8(body) {
            Ok(text) => text,
            Err(_) if lines || self.second_line_is_record(body) => {
                self.json_lines(body);
                return Ok(());
            }
            Err(error) => {
                let is_list = body.get(scan::skip_blanks(body, 0)) == Some(&b'[');
                if !is_list || !self.json_list_with_strays(body) {
                    return Err(BodyError::Json { kind: JsonErrorKind::Utf8, at: error.valid_up_to() });
                }
                return Ok(());
            }
        };
        let start = scan::skip_blanks(body, 0);
        match body.get(start) {
            None => return Ok(()),
            Some(_) if lines => {}
            Some(b'[') => return self.json_list(text, start, body),
            Some(b'{') => {
                self.worker.draft.clear();
                match scan::parse_prefix(text, start, &mut self.worker.draft.tape) {
                    Ok(end) if scan::skip_blanks(body, end) == body.len() => {
                        self.out.single = true;
                        self.record(text, Format::Json, end - start, None, Marks::default(), None);
                        return Ok(());
                    }
                    Ok(_) => {}
                    Err(_) if self.second_line_is_record(body) => {}
                    Err(JsonError { kind, at }) => return Err(BodyError::Json { kind, at }),
                }
            }
            Some(_) if self.second_line_is_record(body) => {}
            Some(_) => {
                return match scan::parse(text, &mut self.worker.draft.tape) {
                    Ok(()) => Err(BodyError::NotRecords),
                    Err(JsonError { kind, at }) => Err(BodyError::Json { kind, at }),
                };
            }
        }
        self.json_lines_of_text(text);
        Ok(())
    }

    /// Whether the second line that is not blank starts an object: then a bad first line is just one bad line.
    fn second_line_is_record(&self, body: &[u8]) -> bool {
        let mut lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
        lines.next().is_some_and(|first| !matches!(first, b"{" | b"["))
            && lines.next().is_some_and(|line| line.starts_with(b"{"))
    }

    /// One object per line; a bad line is refused alone.
    fn json_lines(&mut self, body: &[u8]) {
        self.make_room(body.len());
        for (number, line) in (1..).zip(Lines::of(body).map(<[u8]>::trim_ascii)) {
            let named = self.named_errors();
            match std::str::from_utf8(line) {
                Ok(text) => self.json_line(text, body),
                Err(_) if line.len() > self.origin.line_max => self.too_long(line.len()),
                Err(error) => {
                    self.malformed_line(line, body, JsonError { kind: JsonErrorKind::Utf8, at: error.valid_up_to() })
                }
            }
            self.place_errors(named, number);
        }
    }

    /// The same of what is known to be text, so that no line of it has to be looked at for that.
    fn json_lines_of_text(&mut self, body: &str) {
        self.make_room(body.len());
        let bytes = body.as_bytes();
        let mut from = 0;
        for (number, line) in (1..).zip(Lines::of(bytes)) {
            let named = self.named_errors();
            let text = body.get(from..from + line.len()).unwrap_or_default();
            from += line.len() + 1;
            self.json_line(text.trim_ascii(), bytes);
            self.place_errors(named, number);
        }
    }

    fn json_line(&mut self, line: &str, body: &[u8]) {
        if line.len() > self.origin.line_max {
            self.too_long(line.len());
        } else if !line.is_empty() {
            self.json_text(line, body);
        }
    }

    fn malformed_line(&mut self, line: &[u8], body: &[u8], error: JsonError) {
        if self.out.rejected == 0 {
            let line_from = (line.as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
            self.out.first_wrong = Some(Place::of(body, line_from + error.at));
        }
        self.refuse(Reason::Malformed, || error.to_string());
    }

    /// One line of a body.
    fn json_text(&mut self, text: &str, body: &[u8]) {
        self.worker.draft.clear();
        match scan::parse(text, &mut self.worker.draft.tape) {
            Ok(()) => self.record(text, Format::Json, text.len(), None, Marks::default(), None),
            Err(error) => self.malformed_line(text.as_bytes(), body, error),
        }
    }

    /// A JSON list that is no UTF-8 in places: records in which those lie are refused. False: nothing was gathered.
    fn json_list_with_strays(&mut self, body: &[u8]) -> bool {
        if !self.grow.as_mut().is_none_or(|grow| grow(body.len())) {
            self.out.no_memory = true;
            return true;
        }
        // No JSON has a zero, so that what holds one is refused.
        let mut text = String::with_capacity(body.len());
        for chunk in body.utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(std::iter::repeat_n('\0', chunk.invalid().len()));
        }
        let start = scan::skip_blanks(body, 0);
        self.json_list(&text, start, body).is_ok()
    }

    /// A JSON list that starts at `start`; `body` is the text as it came. An item that is no JSON is refused alone.
    ///
    /// Errors: it is no list of JSON, and nothing of it could be taken. Then nothing was gathered.
    fn json_list(&mut self, text: &str, start: usize, body: &[u8]) -> Result<(), BodyError> {
        self.make_room(text.len());
        let bytes = text.as_bytes();
        let mut first_wrong: Option<JsonError> = None;
        let mut at = scan::skip_blanks(bytes, start + 1);
        let mut is_over = bytes.get(at) == Some(&b']');
        while !is_over {
            self.worker.draft.clear();
            let wrong = match scan::parse_prefix(text, at, &mut self.worker.draft.tape) {
                Ok(end) => {
                    if end - at > self.origin.line_max {
                        self.too_long(end - at);
                    } else {
                        self.record(text, Format::Json, end - at, None, Marks::default(), None);
                    }
                    at = scan::skip_blanks(bytes, end);
                    is_over = bytes.get(at) == Some(&b']');
                    if bytes.get(at) == Some(&b',') {
                        at = scan::skip_blanks(bytes, at + 1);
                    }
                    // What stands there without a comma is looked at as the next item.
                    continue;
                }
                Err(wrong) if bytes.get(wrong.at) == Some(&0) && body.get(wrong.at) != Some(&0) => {
                    JsonError { kind: JsonErrorKind::Utf8, ..wrong }
                }
                Err(wrong) => wrong,
            };
            first_wrong.get_or_insert(wrong);
            self.refuse(Reason::Malformed, || wrong.to_string());
            match resync::behind_bad_item(text, at, &mut self.worker.draft.tape) {
                Next::Item(next) => at = scan::skip_blanks(bytes, next),
                Next::End(next) => (is_over, at) = (true, next),
                Next::Nothing => (is_over, at) = (true, bytes.len()),
            }
        }
        let end = scan::skip_blanks(bytes, at + 1);
        if end < bytes.len() {
            let wrong = JsonError { kind: JsonErrorKind::Trailing, at: end };
            first_wrong.get_or_insert(wrong);
            self.refuse(Reason::Malformed, || wrong.to_string());
        }
        match first_wrong {
            Some(JsonError { kind, at }) if self.out.rejected == self.out.total => {
                self.out = Gathered::default();
                Err(BodyError::Json { kind, at })
            }
            _ => Ok(()),
        }
    }
}
