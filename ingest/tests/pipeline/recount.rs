//! Counting again finds what was lost or counted twice.

use std::ops::ControlFlow;

use watchfire_engine::{Derived, Increment, SourcePosition, TimeRange};
use watchfire_ingest::extract::Extractor;
use watchfire_ingest::recount::{Live, MetricRecount, recount};
use watchfire_model::{LabelSet, Timestamp};

use crate::pipe::Pipe;

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_is_found_and_told_by_series() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = Pipe::open(folder.path());
    for service in ["api", "web", "web"] {
        let (status, body) =
            pipe.post("/ingest", &format!(r#"{{"service":"{service}","message":"m","level":"error"}}"#)).await;
        assert_eq!(status, 202, "{body}");
    }
    pipe.counted(3).await;
    let now = Timestamp::now();
    let second = |millis: i64| Timestamp::from_millis(millis.div_euclid(1000) * 1000);
    let range = TimeRange { start: second(now.millis() - 60_000), end: second(now.millis() + 2000) };
    let count = || {
        let mut extractor = Extractor::new(&[], 600_000, now).expect("no rules, no mistakes");
        let never = &mut || ControlFlow::Continue(());
        recount(&pipe.store, &pipe.engine, &mut extractor, &Live::new(), range, never)
            .expect("asked well")
            .expect("not stopped")
    };
    let found = count();
    assert_eq!(found.records, 3);
    assert!(found.metrics.iter().all(MetricRecount::agrees), "{found:?}");

    // One count that no record stands for.
    let source = SourcePosition { queue: "elsewhere".into(), epoch: 1, partition: 0, first_offset: 0, next_offset: 1 };
    let labels = LabelSet::from_pairs([("__name__", "error_count"), ("service", "web")]).expect("labels");
    let mut derived = Derived::new(source);
    derived.increments.push(Increment {
        labels: labels.clone(),
        at: second(now.millis() + 999),
        count: 1.0,
        late: false,
    });
    pipe.engine.apply(&derived).expect("applied");
    let found = count();
    let wrong: Vec<_> = found.metrics.iter().filter(|metric| !metric.agrees()).collect();
    let [errors] = wrong.as_slice() else { panic!("one metric differs: {found:?}") };
    assert_eq!((errors.metric.as_str(), errors.difference()), ("error_count", 1.0));
    let [series] = errors.series.as_slice() else { panic!("one series differs: {errors:?}") };
    assert_eq!((&series.labels, series.stored, series.counted), (&labels, 2.0, 3.0));
}
