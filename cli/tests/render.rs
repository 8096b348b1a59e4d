//! Tables, CSV and graphs as data: `tests/render/NAME.json` in, `NAME.golden` out. `UPDATE_GOLDEN=1` writes the
//! golden files anew.
//!
//! `{"table": {"columns": [["name", "left"], …], "rows": [["text", …], …]}}`, `{"csv": [["text", 1.5, null], …]}`, or
//! `{"graph": {"start", "end", "step", "columns", "rows", "ascii", "series": [{"name", "values": [1, null, …]}]}}`;
//! `"color": true` paints.

use std::path::Path;

use serde_json::Value;
use watchfire_cli::color::{Painter, Style};
use watchfire_cli::render::csv;
use watchfire_cli::render::graph::{Graph, Series};
use watchfire_cli::render::table::{Align, Cell, Table};
use watchfire_cli::time::Clock;
use watchfire_model::Timestamp;

#[test]
fn rendered_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/render");
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder is there").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("the file can be read");
        let case: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let rendered = render(&case);
        let golden = path.with_extension("golden");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &rendered).expect("the golden file can be written");
        }
        let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
        assert!(rendered == wanted, "{}:\n{rendered}\ninstead of\n{wanted}", path.display());
        seen += 1;
    }
    assert!(seen >= 8, "{seen} cases");
}

fn render(case: &Value) -> String {
    let painter = if case["color"] == true { Painter::colored() } else { Painter::plain() };
    if let Some(table) = case.get("table") {
        return render_table(table, painter);
    }
    if let Some(rows) = case["csv"].as_array() {
        return rows.iter().map(render_row).collect();
    }
    render_graph(&case["graph"], painter)
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn render_table(table: &Value, painter: Painter) -> String {
    let columns = table["columns"].as_array().expect("columns").iter().map(|column| {
        let align = if column[1] == "right" { Align::Right } else { Align::Left };
        (column[0].as_str().expect("a title"), align)
    });
    let mut rendered = Table::new(columns);
    for row in table["rows"].as_array().expect("rows") {
        rendered.row(texts(row).into_iter().map(Cell::new).collect());
    }
    rendered.render(painter)
}

fn render_row(row: &Value) -> String {
    let numbers: Vec<String> = row.as_array().expect("a row").iter().map(Value::to_string).collect();
    csv::row(row.as_array().expect("a row").iter().zip(&numbers).map(|(cell, number)| match cell {
        Value::String(text) => csv::Cell::Text(text),
        Value::Null => csv::Cell::Empty,
        _ => csv::Cell::Plain(number),
    }))
}

fn render_graph(graph: &Value, painter: Painter) -> String {
    let integer = |name: &str| graph[name].as_i64().unwrap_or_else(|| panic!("`{name}` is a number"));
    let (start, step_ms) = (integer("start"), integer("step"));
    let series: Vec<Series> = graph["series"]
        .as_array()
        .expect("series")
        .iter()
        .enumerate()
        .map(|(number, series)| {
            let values = series["values"].as_array().expect("values").iter().enumerate();
            let points = values.filter(|(_, value)| !value.is_null()).map(|(at, value)| {
                let value = value.as_f64().unwrap_or(f64::NAN);
                (Timestamp::from_millis(start + at as i64 * step_ms), value)
            });
            let name = series["name"].as_str().expect("a name").to_owned();
            Series { name, points: points.collect(), style: Style::Series(number) }
        })
        .collect();
    let clock = Clock::utc();
    let rendered = Graph {
        start: Timestamp::from_millis(start),
        end: Timestamp::from_millis(integer("end")),
        step_ms,
        series: &series,
        columns: integer("columns") as usize,
        rows: integer("rows") as usize,
        ascii: graph["ascii"] == true,
        clock: &clock,
    };
    rendered.render(painter)
}
