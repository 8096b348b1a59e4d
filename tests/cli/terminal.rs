//! On a terminal: colours, and widths.

use crate::program::{BINARY, Run, is_there, plain, server_with};

#[test]
fn colours_on_a_terminal_unless_they_are_not_wanted() {
    if !is_there("script", "colours on a terminal") {
        return;
    }
    let server = server_with(&[r#"{"message":"it burns","level":"error","service":"api"}"#]);
    let on_terminal = |line: &str, no_color: &str, term: &str| -> String {
        let mut command = plain("script");
        command.args(["-qec", &line.replace("watchfire", BINARY), "/dev/null"]);
        command.env("WATCHFIRE_URL", format!("http://{}", server.address)).env("NO_COLOR", no_color).env("TERM", term);
        let run: Run = command.output().expect("script runs").into();
        assert_eq!(run.code, 0, "{line}: {}", run.out);
        run.out.replace('\r', "")
    };
    let painted = "\u{1b}[1;31merror\u{1b}[0m";
    // A table without asking.
    let table = on_terminal("watchfire query logs burns", "", "xterm");
    assert!(table.starts_with("\u{1b}[1mTIME") && table.contains(painted), "{table:?}");
    for (line, no_color, term) in [
        ("watchfire query logs burns", "1", "xterm"),
        ("watchfire query logs burns", "", "dumb"),
        ("watchfire query logs burns --color never", "", "xterm"),
    ] {
        let plain = on_terminal(line, no_color, term);
        assert!(plain.starts_with("TIME") && !plain.contains('\u{1b}'), "{line}: {plain:?}");
    }
    assert!(on_terminal("watchfire query logs burns --color always", "1", "xterm").contains(painted));
    let line = on_terminal("watchfire tail burns --since 1h -n 1", "", "xterm");
    assert!(line.contains("\u{1b}[1;31mERROR   \u{1b}[0m") && line.contains("it burns"), "{line:?}");
    // A graph takes the terminal's width.
    let graph = on_terminal("watchfire query logs --since 1h -o graph --color never", "", "xterm");
    assert!(graph.lines().all(|line| line.chars().count() <= 80), "{graph}");
    let wide = on_terminal("stty cols 120; watchfire query logs --since 1h -o graph --color never", "", "xterm");
    assert!(wide.lines().any(|line| (100..=120).contains(&line.chars().count())), "{wide}");
    // So do tables of what stands now, whose columns would wrap; in a pipe they are whole.
    let top = "watchfire top --once --color never";
    for columns in [30, 60] {
        for line in [top, "watchfire query logs --since 1h -o graph --color never"] {
            let cut = on_terminal(&format!("stty cols {columns}; {line}"), "", "xterm");
            assert!(cut.lines().all(|line| line.chars().count() <= columns), "{line} in {columns}: {cut}");
        }
    }
    // Columns that do not fit are not there at all.
    let narrow = on_terminal(&format!("stty cols 60; {top}"), "", "xterm");
    let sources: Vec<&str> = narrow.lines().skip(2).take_while(|line| !line.is_empty()).collect();
    assert!(sources[0].starts_with("SOURCE") && sources[0].ends_with("ERROR %"), "{narrow}");
    assert!(sources.iter().all(|line| !line.contains('…')), "{narrow}");
    let added = on_terminal(
        "watchfire silence add service=api --comment 'until the disks are new' --author anna",
        "1",
        "xterm",
    );
    for (line, columns, first, last) in [
        ("watchfire silence list --color never", 100, "STATE", "COMMENT"),
        ("watchfire query range log_events_total --since 1h -o table --color never", 60, "METRIC", "MAX"),
    ] {
        let narrow = on_terminal(&format!("stty cols {columns}; {line}"), "", "xterm");
        let wide = on_terminal(&format!("{line} | cat"), "", "xterm");
        let (narrow_title, title) =
            (narrow.lines().next().unwrap_or_default(), wide.lines().next().unwrap_or_default());
        assert!(narrow_title.starts_with(first) && narrow_title.ends_with(last), "{line}: {narrow}");
        assert!(
            title.split_whitespace().count() > narrow_title.split_whitespace().count(),
            "{line} {added}: {wide}{narrow}"
        );
    }
    let piped = on_terminal(&format!("stty cols 30; {top} | cat"), "", "xterm");
    assert!(piped.contains("SOURCE") && piped.contains("TREND"), "{piped}");
}
