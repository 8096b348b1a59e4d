//! Series that come and go leave nothing behind.

use std::time::Duration;

use watchfire_test_support::{Server, churn};

/// A build without optimisation would take minutes for the million that the bench `whole_path churn` has.
const SERIES: u64 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
/// About as long as the sending takes, so that most of them are there at once.
const LIFETIME: Duration = Duration::from_secs(30);

#[test]
fn the_memory_of_aged_out_series_is_given_back() {
    let server = Server::start(env!("CARGO_BIN_EXE_watchfire"), churn::CONFIG);
    let before = churn::settled_mib(&server);
    assert_eq!(churn::push(&server, SERIES, LIFETIME), SERIES);
    let most = server.memory_mib("VmRSS");
    churn::wait_gone(&server);
    let after = churn::wait_memory(&server, 1.3 * before);
    println!("RSS {before:.1} MiB, {most:.1} after the last of the series came, {after:.1} after all are gone");
    assert!(after <= 1.3 * before, "{before:.1} MiB before, {after:.1} MiB after");
}
