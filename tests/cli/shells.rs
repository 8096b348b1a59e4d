//! Completions load and work in real shells, and manual pages are set without a warning.

use crate::program::{BINARY, Run, is_there, plain};

fn shell(program: &str, script: &str, folder: &std::path::Path) -> Run {
    let arguments: &[&str] = if program == "zsh" { &["-f", "-c"] } else { &["--norc", "-c"] };
    let mut command = plain(program);
    command.args(arguments).arg(script).current_dir(folder).env("WATCHFIRE", BINARY);
    command.output().expect("the shell runs").into()
}

#[test]
fn bash_completes_our_words() {
    if !is_there("bash", "completions in bash") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let script = r#"set -e
        $WATCHFIRE completions bash > watchfire.bash
        source ./watchfire.bash
        complete -p watchfire
        ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _watchfire watchfire "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"; echo "${COMPREPLY[@]}"; }
        ask watchfire ta
        ask watchfire query ra
        ask watchfire query logs --output ""
        ask watchfire query logs --sin
        touch a-file; mkdir a-folder; compopt() { :; }
        ask watchfire query logs --service a
        ask watchfire query range --since a
        ask watchfire tail --level war
        ask watchfire import logs --format apache_
        ask watchfire serve --config a-fi
        compopt() { echo "$@"; }
        ask watchfire man --dir a"#;
    let run = shell("bash", script, folder.path());
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(run.code, 0, "{}{}", run.out, run.told);
    assert!(lines[0].contains("watchfire"), "{}", run.out);
    assert_eq!(
        &lines[1..],
        [
            "tail",
            "range",
            "table json jsonl csv graph",
            "--since",
            // What was typed, and no file.
            "a",
            "a",
            "warn",
            "apache_common apache_combined",
            "a-file",
            // Folders are the shell's own business.
            "-o plusdirs",
            "",
        ]
    );
}

#[test]
fn zsh_loads_our_completions() {
    if !is_there("zsh", "completions in zsh") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let script = r#"
        $WATCHFIRE completions zsh > _watchfire || exit 1
        fpath=($PWD $fpath)
        autoload -Uz compinit && compinit -u -d $PWD/dump || exit 1
        autoload +X _watchfire || exit 1
        print -r -- ${_comps[watchfire]}
        [[ ${functions[_watchfire]} == *jsonl* ]] && print loaded"#;
    let run = shell("zsh", script, folder.path());
    assert_eq!((run.code, run.out.as_str(), run.told.as_str()), (0, "_watchfire\nloaded\n", ""));
}

#[test]
fn other_shells_get_a_script() {
    for shell in ["fish", "elvish", "powershell"] {
        let run: Run = plain(BINARY).args(["completions", shell]).output().expect("it runs").into();
        assert_eq!(run.code, 0, "{shell}");
        assert!(run.out.contains("watchfire") && run.out.contains("tail"), "{shell}");
    }
}

#[test]
fn manual_pages_are_set_without_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    let run: Run =
        plain(BINARY).args(["man", "--dir", "man1"]).current_dir(folder.path()).output().expect("it runs").into();
    assert_eq!((run.code, run.told.as_str()), (0, ""));
    let pages: Vec<_> = std::fs::read_dir(folder.path().join("man1")).expect("the folder is there").flatten().collect();
    assert!(pages.len() > 10, "{} pages", pages.len());
    let has_groff = is_there("groff", "manual pages set by groff");
    let has_mandoc = is_there("mandoc", "manual pages checked by mandoc");
    for page in pages {
        if has_groff {
            let run: Run = plain("groff")
                .args(["-man", "-ww", "-Tutf8", "-z"])
                .arg(page.path())
                .output()
                .expect("groff runs")
                .into();
            assert_eq!((run.code, run.told.as_str()), (0, ""), "{}", page.path().display());
        }
        if has_mandoc {
            let run: Run = plain("mandoc")
                .args(["-T", "lint", "-W", "warning"])
                .arg(page.path())
                .output()
                .expect("mandoc runs")
                .into();
            // The pages have no date: the same program always writes the same ones.
            let told: Vec<&str> = run.out.lines().filter(|line| !line.contains("missing date, using")).collect();
            assert!(told.is_empty(), "{told:#?}");
        }
    }
    let single: Run = plain(BINARY).args(["man", "query", "logs"]).output().expect("it runs").into();
    let examples = "\n.SH EXAMPLES\n.nf\nwatchfire query logs level:error \\-\\-since 1h\n";
    for part in
        [".TH watchfire-query-logs 1 \"\" \"watchfire ", "[\\fIEXPR...\\fR]", "WATCHFIRE_URL", "EXIT STATUS", examples]
    {
        assert!(single.out.contains(part), "{part} in {}", single.out);
    }
    let import: Run = plain(BINARY).args(["man", "import", "logs"]).output().expect("it runs").into();
    let codes = "\n.br\n4 server not reached\n.br\n5 interrupted, some lines were refused, or files";
    assert!(import.out.contains(codes), "{}", import.out);
}
