//! The eight log levels and every spelling that maps onto them.

/// Severity of a log record, least severe first; the order is the numeric order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Level {
    /// Finer than debugging.
    Trace = 0,
    /// For developers.
    Debug = 1,
    /// Normal operation; what a record without a level gets.
    #[default]
    Info = 2,
    /// Normal, but worth a look.
    Notice = 3,
    /// Something may go wrong.
    Warn = 4,
    /// Something went wrong.
    Error = 5,
    /// A part of the system is failing.
    Critical = 6,
    /// The system is unusable.
    Fatal = 7,
}

impl Level {
    /// All levels, least severe first.
    pub const ALL: [Level; 8] = [
        Level::Trace,
        Level::Debug,
        Level::Info,
        Level::Notice,
        Level::Warn,
        Level::Error,
        Level::Critical,
        Level::Fatal,
    ];

    /// The stored, lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Notice => "notice",
            Level::Warn => "warn",
            Level::Error => "error",
            Level::Critical => "critical",
            Level::Fatal => "fatal",
        }
    }

    /// The level with this number (`0` trace to `7` fatal), as stored on disk.
    pub fn from_u8(number: u8) -> Option<Level> {
        Level::ALL.get(usize::from(number)).copied()
    }

    /// A level's name, in any case, or one of the synonyms in use; `None` if it is none of them.
    pub fn parse(text: &str) -> Option<Level> {
        let text = text.trim();
        if text.len() > 16 {
            return None;
        }
        let mut lower = [0u8; 16];
        let lower = &mut lower[..text.len()];
        lower.copy_from_slice(text.as_bytes());
        lower.make_ascii_lowercase();
        Some(match &*lower {
            b"trace" | b"trc" | b"verbose" | b"finest" | b"finer" | b"t" | b"trace2" | b"trace3" | b"trace4" => {
                Level::Trace
            }
            b"debug" | b"dbg" | b"fine" | b"d" | b"debug2" | b"debug3" | b"debug4" => Level::Debug,
            b"info" | b"information" | b"informational" | b"inf" | b"i" | b"config" | b"log" | b"ok" | b"success"
            | b"info2" | b"info3" | b"info4" => Level::Info,
            b"notice" | b"note" | b"n" => Level::Notice,
            b"warn" | b"warning" | b"wrn" | b"w" | b"warn2" | b"warn3" | b"warn4" => Level::Warn,
            b"error" | b"err" | b"eror" | b"e" | b"severe" | b"failure" | b"error2" | b"error3" | b"error4" => {
                Level::Error
            }
            b"critical" | b"crit" | b"c" => Level::Critical,
            b"fatal" | b"ftl" | b"f" | b"alert" | b"emerg" | b"emergency" | b"panic" | b"dpanic" | b"fatal2"
            | b"fatal3" | b"fatal4" => Level::Fatal,
            [digit @ b'0'..=b'7'] => Level::from_syslog_severity(digit - b'0')?,
            _ => return None,
        })
    }

    /// The level of a syslog severity (RFC 5424, 6.2.1); `None` above 7.
    pub fn from_syslog_severity(severity: u8) -> Option<Level> {
        Some(match severity {
            0 | 1 => Level::Fatal,
            2 => Level::Critical,
            3 => Level::Error,
            4 => Level::Warn,
            5 => Level::Notice,
            6 => Level::Info,
            7 => Level::Debug,
            _ => return None,
        })
    }

    /// Whether records of this level count as errors (`error_count`): error, critical, fatal.
    pub fn is_error(self) -> bool {
        self >= Level::Error
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Level;

    #[test]
    fn every_name_and_number_reads_back() {
        for level in Level::ALL {
            assert_eq!(Level::parse(level.as_str()), Some(level));
            assert_eq!(Level::parse(&level.as_str().to_uppercase()), Some(level));
            assert_eq!(Level::from_u8(level as u8), Some(level));
        }
        assert_eq!(Level::from_u8(8), None);
    }

    #[test]
    fn synonyms_map_and_nonsense_does_not() {
        for (text, level) in [
            ("WARNING", Level::Warn),
            (" err ", Level::Error),
            ("Emergency", Level::Fatal),
            ("3", Level::Error),
            ("0", Level::Fatal),
            ("Informational", Level::Info),
        ] {
            assert_eq!(Level::parse(text), Some(level), "{text}");
        }
        for text in ["", "8", "loud", "errorerrorerrorerror", "é"] {
            assert_eq!(Level::parse(text), None, "{text}");
        }
    }
}
