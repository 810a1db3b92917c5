//! The binary end to end: help texts, exit statuses, reports and JSON, as sessions in `tests/cmd` and the README.
//!
//! A session is Markdown with ```` ```console ```` blocks; `TRYCMD=overwrite cargo test --test command_line` writes
//! what is printed into those of `tests/cmd`, to be read before it is believed. A session begins with a copy of the
//! folder `.in` beside it and must leave what stands in `.out`.

#![allow(clippy::disallowed_methods, reason = "tests look at real files")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::Path;

#[test]
fn the_sessions_print_what_they_show() {
    trycmd::TestCases::new().case("tests/cmd/*.md");
}

/// The README shows real times, which are others each time.
#[test]
fn the_session_of_the_readme_is_a_real_one() {
    let directory = tempfile::tempdir().unwrap();
    let readme = fs::read_to_string("../README.md").unwrap();
    let session: Vec<String> = readme.lines().map(without_time).collect();
    fs::write(directory.path().join("readme.md"), session.join("\n") + "\n").unwrap();
    for end in ["in", "out"] {
        copy(format!("tests/readme.{end}").as_ref(), &directory.path().join(format!("readme.{end}")));
    }
    trycmd::TestCases::new().case(directory.path().join("readme.md").display().to_string());
}

fn without_time(line: &str) -> String {
    match (line.rsplit_once(" in "), line.ends_with(" ms")) {
        (Some((before, _)), true) => format!("{before} in [..] ms"),
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
