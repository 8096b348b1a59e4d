use super::*;

/// The text that is left, with each native histogram as `bounds counts count sum`.
fn converted(text: &str, format: Format, keep: bool) -> (String, Vec<String>) {
    let converted = convert(Parser::new(text.as_bytes(), format), Beside::default(), keep).expect("it can be read");
    let natives = converted.natives.iter().map(|Native { at, histogram, exemplars }| {
        assert!(converted.text.get(*at) == Some(&b'{'), "the place of a series");
        let counts: Vec<_> = histogram.positive().iter().map(|(place, count)| format!("{place}:{count}")).collect();
        let exemplars: Vec<_> = exemplars.iter().map(|exemplar| exemplar.value).collect();
        let (bounds, count, sum) = (histogram.bounds(), histogram.count(), histogram.sum());
        format!("{bounds:?} {} {count} {sum} {exemplars:?}", counts.join(" "))
    });
    let natives = natives.collect();
    // What it became is read as it stands.
    let mut parser = converted.parser();
    while parser.next_entry().expect("it can be read again").is_some() {}
    (String::from_utf8(converted.text).expect("text"), natives)
}

#[test]
fn the_series_of_a_histogram_become_one() {
    let text = "# for people\n# HELP h Help.\n# TYPE h histogram\n\
                h_bucket{le=\"1\",a=\"x\"} 2 5000\nh_bucket{a=\"x\",le=\"2.5\"} 2 5000\nh_bucket{a=\"x\",le=\"+Inf\"} 7 5000\n\
                h_sum{a=\"x\"} 9.5 5000\nh_count{a=\"x\"} 7 5000\n\n# TYPE g gauge\ng_count 4";
    let native = "{\"h\",\"a\"=\"x\"} NaN 5000\n";
    let (rest, natives) = converted(text, Format::Classic, false);
    assert_eq!(rest, format!("# HELP h Help.\n# TYPE h histogram\n{native}# TYPE g gauge\ng_count 4\n"));
    assert_eq!(natives, ["[1.0, 2.5] 0:2 1:0 2:5 7 9.5 []"]);
    let (kept, natives) = converted(text, Format::Classic, true);
    assert!(kept.contains("h_sum{a=\"x\"} 9.5 5000\n") && kept.contains(native), "{kept}");
    assert_eq!(natives.len(), 1);
}

#[test]
fn open_metrics_tells_times_in_seconds_and_exemplars() {
    let text = "# TYPE h histogram\nh_bucket{le=\"1.0\"} 2 5.25 # {id=\"a\"} 0.5 4.0\nh_bucket{le=\"+Inf\"} 3 5.25 # {id=\"b\"} 7\n\
                h_count 3 5.25\nh_sum 8 5.25\nh_created 1.0\n# EOF\n";
    let (rest, natives) = converted(text, Format::OpenMetrics, false);
    assert_eq!(rest, "# TYPE h histogram\nh_created 1.0\n{\"h\"} NaN 5.250\n# EOF\n");
    assert_eq!(natives, ["[1.0] 0:2 1:1 3 8 [0.5]"]);
}

#[test]
fn parts_may_stand_anywhere_in_their_family_and_some_may_be_missing() {
    for (lines, expected) in [
        // All buckets first, in any order.
        (
            "h_bucket{a=\"x\",le=\"+Inf\"} 3\nh_bucket{a=\"y\",le=\"+Inf\"} 1\nh_bucket{a=\"x\",le=\"1\"} 2\nh_count{a=\"x\"} 3\nh_sum{a=\"x\"} 4\n",
            vec!["[1.0] 0:2 1:1 3 4 []", "[] 0:1 1 0 []"],
        ),
        // No bucket beyond all bounds, with a count and without.
        ("h_bucket{le=\"1\"} 2\nh_count 5\n", vec!["[1.0] 0:2 1:3 5 0 []"]),
        ("h_bucket{le=\"1\"} 2\n", vec!["[1.0] 0:2 2 0 []"]),
        // Nothing but how many.
        ("h_count 5\nh_sum 1\n", vec!["[] 0:5 5 1 []"]),
        // Of the same bound the first counts; halves are counts too.
        ("h_bucket{le=\"1\"} 0.5\nh_bucket{le=\"1.0\"} 9\nh_bucket{le=\"+Inf\"} 2\n", vec!["[1.0] 0:0.5 1:1.5 2 0 []"]),
        ("h_bucket{le=\"-1\"} 1\nh_bucket{le=\"+Inf\"} 1\n", vec!["[-1.0] 0:1 1 0 []"]),
    ] {
        let (rest, natives) = converted(&format!("# TYPE h histogram\n{lines}"), Format::Classic, false);
        assert_eq!(natives, expected, "{lines}");
        assert!(!rest.contains("h_"), "{rest}");
    }
}

#[test]
fn what_makes_no_histogram_stays_as_it_is() {
    for lines in [
        "# TYPE h histogram\nh_bucket{le=\"1\"} 3\nh_bucket{le=\"2\"} 2\nh_bucket{le=\"+Inf\"} 3\n",
        "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\nh_count 4\n",
        "# TYPE h histogram\nh_bucket{le=\"1\"} -3\nh_count 4\n",
        "# TYPE h histogram\nh_bucket{le=\"1\"} NaN\nh_bucket{le=\"+Inf\"} NaN\n",
        "# TYPE h histogram\nh_bucket{le=\"many\"} 3\nh_bucket{a=\"no bound\"} 3\n",
        "# TYPE h summary\nh_count 3\nh_sum 3\n",
        "h_bucket{le=\"+Inf\"} 3\n",
        "# TYPE h histogram\nother_bucket{le=\"+Inf\"} 3\n",
    ] {
        let (rest, natives) = converted(lines, Format::Classic, false);
        assert_eq!((rest.as_str(), natives.len()), (lines, 0));
    }
}

#[test]
fn what_is_native_is_not_converted() {
    let text =
        "# TYPE h histogram\nh_bucket{a=\"x\",le=\"+Inf\"} 3\n{\"h\",a=\"x\"} NaN\nh_bucket{a=\"y\",le=\"+Inf\"} 3\n";
    let histogram = converted_one("# TYPE h histogram\nh_count 1\n");
    let at = text.find("{\"h\"").expect("it stands there");
    let natives = vec![Native { at, histogram, exemplars: Vec::new() }];
    let converted =
        convert(Parser::new(text.as_bytes(), Format::Classic), Beside { natives, ..Beside::default() }, false)
            .expect("it can be read");
    let rest = "# TYPE h histogram\nh_bucket{a=\"x\",le=\"+Inf\"} 3\n{\"h\",a=\"x\"} NaN\n{\"h\",\"a\"=\"y\"} NaN\n";
    assert_eq!(String::from_utf8(converted.text).expect("text"), rest);
    let counts: Vec<_> = converted.natives.iter().map(|native| (native.at, native.histogram.count())).collect();
    assert_eq!(
        counts,
        [(rest.find("{\"h\",a=").expect("there"), 1.0), (rest.find("{\"h\",\"a\"").expect("there"), 3.0)]
    );
}

fn converted_one(text: &str) -> watchfire_model::Histogram {
    let converted =
        convert(Parser::new(text.as_bytes(), Format::Classic), Beside::default(), false).expect("it can be read");
    converted.natives.first().expect("one").histogram.clone()
}

proptest::proptest! {
    #[test]
    fn any_text_is_answered(text in "(# TYPE h histogram\n|h_bucket\\{le=\"[0-9.Inf+-]{0,4}\"\\} [0-9N.-]{1,3}\n|h_(sum|count) [0-9]{1,9}( [0-9]{1,4})?\n|.{0,5}\n){0,12}") {
        let body = text.as_bytes();
        if let Ok(converted) = convert(Parser::new(body, Format::Classic), Beside::default(), false) {
            let mut parser = converted.parser();
            while parser.next_entry().expect("what was read is read again").is_some() {}
        }
    }
}
