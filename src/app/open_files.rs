//! How many files may be open at once: shells and service managers give 1,024 and let a process ask for more.

use watchfire_dashboard_api::serve::CONNECTIONS_MAX;
use watchfire_ingest::intake::Limits;

/// Files beside connections: those that are followed, blocks, logs, what is sent.
const KEPT: usize = 1024;
/// With fewer something may be short of them.
const ENOUGH: usize = 4 * KEPT;

/// Raises the limit as far as the system lets us, and says how many files may be open then.
pub(super) fn raise() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call writes a `rlimit` to where the pointer leads.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return ENOUGH;
    }
    let before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the call reads a `rlimit`.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        limit.rlim_cur = before;
    }
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}

/// Files that are left for everything else than connections.
fn kept(open_files: usize) -> usize {
    KEPT.min(open_files - open_files / 2)
}

/// How many of the files that are followed may be open at a time: a quarter of what connections leave.
pub(super) fn followed(open_files: usize) -> usize {
    (kept(open_files) / 4).min(Limits::default().followed_open)
}

/// How many connections there may be at a time if so many files may be open.
pub(super) fn connections(open_files: usize) -> usize {
    let most = (open_files - kept(open_files)).min(CONNECTIONS_MAX);
    if open_files < ENOUGH {
        tracing::warn!(
            open_files,
            connections = most,
            "few files may be open at once; give the process more (`ulimit -n`, `LimitNOFILE=`), at least 4096"
        );
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_everything_else() {
        for (open_files, most) in [(64, 32), (1024, 512), (2048, 1024), (4096, 3072), (usize::MAX, CONNECTIONS_MAX)] {
            assert_eq!(connections(open_files), most, "{open_files}");
        }
    }

    #[test]
    fn followed_files_are_a_part_of_what_is_left() {
        for (open_files, most) in [(64, 8), (256, 32), (1024, 128), (2048, 256), (usize::MAX, 256)] {
            assert_eq!(followed(open_files), most, "{open_files}");
        }
    }
}
