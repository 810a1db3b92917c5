//! The binary end to end: help texts, exit statuses, reports and JSON, as sessions in `tests/cmd`, and the picture of the README.
//!
//! A session is Markdown with ```` ```console ```` blocks; `TRYCMD=overwrite cargo test --test command_line` writes
//! what is printed into those of `tests/cmd`, to be read before it is believed. A session begins with a copy of the
//! folder `.in` beside it and must leave what stands in `.out`.

#![allow(clippy::disallowed_methods, reason = "tests look at real files")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn the_sessions_print_what_they_show() {
    trycmd::TestCases::new().case("tests/cmd/*.md");
}

/// The README shows a terminal; `UPDATE_DOCS=1` paints it anew.
#[test]
fn the_terminal_of_the_readme_is_a_real_one() {
    let directory = tempfile::tempdir().unwrap();
    copy("tests/readme".as_ref(), &directory.path().join("readme"));
    let mut session = String::new();
    for arguments in [
        "check oem",
        "--root tree plan -s boot oem",
        "--root tree apply -s boot oem",
        "--root tree apply -s boot oem",
    ] {
        let cosette = Command::new(env!("CARGO_BIN_EXE_cosette"))
            .args(["--color", "always"])
            .args(arguments.split(' '))
            .current_dir(directory.path().join("readme"))
            .output()
            .unwrap();
        session += &format!("\x1b[1;32m$\x1b[0m cosette {arguments}\n");
        for bytes in [cosette.stderr, cosette.stdout] {
            session.extend(String::from_utf8(bytes).unwrap().lines().map(|line| without_time(line) + "\n"));
        }
        session += "\n";
    }
    let greeting = fs::read_to_string(directory.path().join("readme/tree/etc/motd")).unwrap();
    assert_eq!(greeting, "Welcome to Example Linux 4\n");
    let picture = anstyle_svg::Term::new().render_svg(&session);
    let path = Path::new("../docs/terminal.svg");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, picture).unwrap();
    } else {
        assert!(
            fs::read_to_string(path).ok() == Some(picture),
            "not current: UPDATE_DOCS=1 cargo test -p cosette --test command_line terminal\n{session}"
        );
    }
}

/// Times are others each time: the picture has that of a quiet machine.
fn without_time(line: &str) -> String {
    match (line.rsplit_once(" in "), line.trim_end_matches("\x1b[0m").ends_with(" ms")) {
        (Some((before, _)), true) => format!("{before} in 0.4 ms"),
        _ => line.to_owned(),
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap().path();
        let target = to.join(entry.file_name().unwrap());
        if entry.is_dir() {
            copy(&entry, &target);
        } else {
            fs::copy(&entry, target).unwrap();
        }
    }
}
