//! The pages of the manual and the completions of shells, written from the definition of the command line:
//! `UPDATE_DOCS=1 cargo test -p cosette --test packaging` writes what has changed.

#![allow(clippy::disallowed_methods, reason = "tests look at real files")]
#![allow(clippy::unwrap_used, missing_docs)]

use clap::Command;
use clap_complete::{Shell, generate};
use cosette::command_line::CommandLine;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging")
}

/// The contents by names below `packaging/`.
fn generated() -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    // The version would change every page at each release, and that of the binary is told by itself.
    let mut command = CommandLine::definition().version("");
    command.build();
    pages(&command, "cosette", &mut files);
    for (shell, name) in
        [(Shell::Bash, "cosette.bash"), (Shell::Zsh, "_cosette"), (Shell::Fish, "cosette.fish")]
    {
        let mut script = Vec::new();
        generate(shell, &mut CommandLine::definition(), "cosette", &mut script);
        files.insert(format!("completions/{name}"), script);
    }
    files
}

/// A page for a command and each below it: `cosette-build-disk.1`.
fn pages(command: &Command, name: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    let mut page = Vec::new();
    // clap keeps names for ever.
    let titled = command.clone().name(&*name.to_owned().leak()).display_name(name.to_owned());
    clap_mangen::Man::new(titled)
        .title(name)
        .manual("cosette")
        .source("cosette")
        .date("")
        .render(&mut page)
        .unwrap();
    files.insert(format!("man/{name}.1"), page);
    for below in command.get_subcommands().filter(|below| below.get_name() != "help" && !below.is_hide_set())
    {
        pages(below, &format!("{name}-{}", below.get_name()), files);
    }
}

#[test]
fn the_manual_and_the_completions_are_current() {
    let generated = generated();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let _ = fs::remove_dir_all(directory().join("man"));
        let _ = fs::remove_dir_all(directory().join("completions"));
        for (name, content) in &generated {
            let path = directory().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }
    let update = "run: UPDATE_DOCS=1 cargo test -p cosette --test packaging";
    for (name, content) in &generated {
        let found = fs::read(directory().join(name)).unwrap_or_default();
        assert!(found == *content, "packaging/{name} is out of date; {update}");
    }
    for kind in ["man", "completions"] {
        for entry in fs::read_dir(directory().join(kind)).unwrap() {
            let name = format!("{kind}/{}", entry.unwrap().file_name().to_str().unwrap());
            assert!(generated.contains_key(&name), "packaging/{name} belongs to no command; {update}");
        }
    }
}

#[test]
fn shells_take_the_completions_and_complete_commands_and_options() {
    let bash = |script: &str| {
        let completions = directory().join("completions/cosette.bash");
        std::process::Command::new("bash")
            .args(["--norc", "-c", &format!("source \"$0\"; {script}"), completions.to_str().unwrap()])
            .output()
    };
    let complete = |words: &str| {
        let words: Vec<&str> = words.split(' ').collect();
        let last = words.len() - 1;
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        bash(&format!(
            "COMP_WORDS=({}); COMP_CWORD={last}; _cosette cosette '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            quoted.join(" "),
            words[last],
            words[last - 1]
        ))
    };
    let Ok(output) = complete("cosette expl") else {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"SKIPPED: there is no bash\n");
        return;
    };
    let replies = |output: std::process::Output| String::from_utf8(output.stdout).unwrap();
    assert_eq!(replies(output), "explain\n");
    assert_eq!(replies(complete("cosette check --format s").unwrap()), "sarif\n");
}

#[test]
fn every_recipe_of_a_package_has_the_version_of_the_program() {
    let version = env!("CARGO_PKG_VERSION");
    for (file, line) in [
        ("cosette.spec", format!("Version:        {version}")),
        ("debian/changelog", format!("cosette ({version}-1) ")),
        ("Containerfile", format!("/cosette:{version} ")),
        ("../docs/packages.md", format!("cosette_{version}-1_amd64.deb")),
        ("../docs/packages.md", format!("cosette-{version}-1.x86_64.rpm")),
        ("../docs/packages.md", format!("/cosette:{version} ")),
    ] {
        let text = fs::read_to_string(directory().join(file)).unwrap();
        assert!(text.contains(&line), "`{line}` is missing in {file}");
    }
}
