//! A million series, pushed and aged out: what the process takes before, with them, and after.

use std::time::{Duration, Instant};

use watchfire_test_support::churn;

use crate::Options;

const SERIES: u64 = 1_000_000;
const LIFETIME: Duration = Duration::from_secs(60);

/// Pushes them by `POST /api/v1/metrics` and waits until they are gone and their memory is given back.
pub fn run(_: &Options) {
    let server = crate::start(churn::CONFIG);
    let started = server.memory_mib("VmRSS");
    let before = churn::settled_mib(&server);
    let (begun, cpu) = (Instant::now(), server.cpu());
    assert_eq!(churn::push(&server, SERIES, LIFETIME), SERIES, "every series is accepted");
    let (wall, cpu) = (begun.elapsed(), server.cpu() - cpu);
    let (most, living) = (server.memory_mib("VmRSS"), churn::living(&mut server.client()));
    churn::wait_gone(&server);
    let at_once = server.memory_mib("VmRSS");
    let after = churn::wait_memory(&server, 0.0);
    println!(
        "{SERIES} series in {:.1} s, {:.1} s CPU; RSS {started:.1} MiB at the start, {before:.1} after the first pushes, {most:.1} with \
         {living} series, {at_once:.1} when they are gone, {after:.1} once the threads that took them have ended, {:.2} × before",
        wall.as_secs_f64(),
        cpu.as_secs_f64(),
        after / before,
    );
}
