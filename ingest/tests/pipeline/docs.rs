//! The commands of `docs/send-data.md`, run against the endpoints; their answers must be those on the page.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::pipe::Pipe;

/// The fenced blocks of a page: language and content.
fn blocks(page: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language, String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, content))) => {
                content.push_str(line);
                content.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// What differs from run to run is replaced by its name.
fn masked(answer: &str) -> String {
    let masks = [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "TIME"),
        (r#"("id"|"seq"):\d+"#, "$1:SEQ"),
    ];
    masks.iter().fold(answer.trim_end().to_owned(), |text, (pattern, name)| {
        regex::Regex::new(pattern).expect("a sound pattern").replace_all(&text, *name).into_owned()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_page_do_what_it_says() {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("SKIP: curl is not installed");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder for the test");
    let pipe = Pipe::open(folder.path());
    let address = pipe.listen().await;
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/send-data.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let blocks = blocks(&page);
    let mut run = 0;
    for pair in blocks.windows(2) {
        let [("sh", command), ("json", expected)] = pair else { continue };
        let command = command.replace("127.0.0.1:8080", &address);
        let output = tokio::task::spawn_blocking(move || Command::new("sh").arg("-c").arg(command).output());
        let output = output.await.expect("the task does not panic").expect("sh runs");
        assert_eq!(masked(&String::from_utf8_lossy(&output.stdout)), expected.trim_end(), "{}", pair[0].1);
        run += 1;
    }
    assert!(run >= 7, "only {run} commands were found on the page");
    pipe.close().await;
}
