//! The book, `docs/`, and the README say what is so: every block of code in them is run or checked, and every link
//! leads somewhere.
//!
//! | block | is good when |
//! |---|---|
//! | `yaml` | `cosette check` has nothing to say that the page does not show; what a file is, says its first line: `# /etc/cosette/config.yaml` |
//! | `console` | it is printed like that, from a copy of `tests/book/PAGE.in`; without that folder: the commands are understood |
//! | `sh`, `dockerfile` | a shell takes it, and cosette understands each of its commands in it |
//! | `json`, `toml`, `ini`, `lua` | it has the shape of one |
//! | `rust` | `testdata/add-plugin` says so, which builds it |
//! | `text` | always: it is for people |

#![allow(clippy::disallowed_methods, reason = "tests look at real files")]
#![allow(clippy::unwrap_used, missing_docs)]

use cosette::command_line::CommandLine;
use cosette::lifecycle::config::Config;
use cosette_plugins::image::Policy;
use cosette_plugins::system::{Live, Mode, System};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// A block of code, and the place of its first line.
struct Block {
    place: String,
    language: String,
    text: String,
}

#[test]
fn every_block_is_true() {
    let mut wrong = Vec::new();
    for page in pages().iter().filter(|page| !page.starts_with("docs/reference")) {
        let text = fs::read_to_string(repository().join(page)).unwrap();
        for block in blocks(page, &text) {
            match check(&block, session_of(page).is_some()) {
                Err(error) if !is_shown(&error, &text) => {
                    wrong.push(format!("{}: {error}\n{}", block.place, block.text));
                }
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_sessions_of_the_book_are_real_ones() {
    let directory = tempfile::tempdir().unwrap();
    let cases = trycmd::TestCases::new();
    for page in pages() {
        let Some(folder) = session_of(&page) else { continue };
        let name = page.file_stem().unwrap().to_str().unwrap();
        let case = directory.path().join(name).with_extension("md");
        let text = fs::read_to_string(repository().join(&page)).unwrap();
        fs::write(&case, text.lines().map(|line| without_time(line) + "\n").collect::<String>()).unwrap();
        let copied =
            Command::new("cp").arg("-r").arg(&folder).arg(case.with_extension("in")).status().unwrap();
        assert!(copied.success());
        cases.case(case.display().to_string());
    }
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    let site = repository().join("docs").canonicalize().unwrap();
    for page in pages() {
        let text = fs::read_to_string(repository().join(&page)).unwrap();
        for link in links(&text) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => repository().join(&page),
                path => repository().join(&page).parent().unwrap().join(path),
            };
            if !target.exists() {
                wrong.push(format!("{}: {link}", page.display()));
            } else if page.starts_with("docs") && !target.canonicalize().unwrap().starts_with(&site) {
                wrong.push(format!(
                    "{}: {link} is not in the site: link to a page, or only name it",
                    page.display()
                ));
            } else if !anchor.is_empty() && !anchors(&fs::read_to_string(&target).unwrap()).contains(anchor) {
                wrong.push(format!("{}: {link} has no such heading", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_summary_has_every_page_once() {
    let summary = fs::read_to_string(repository().join("docs/SUMMARY.md")).unwrap();
    let mut listed: Vec<_> = links(&summary).map(|link| format!("docs/{link}")).collect();
    let mut there: Vec<_> = pages().iter().map(|page| page.display().to_string()).collect();
    there.retain(|page| page.starts_with("docs/") && page != "docs/SUMMARY.md");
    listed.sort();
    there.sort();
    assert_eq!(listed, there);
}

/// Whether a page shows all of these findings: then it means the mistake.
fn is_shown(findings: &str, page: &str) -> bool {
    let mut headings =
        findings.lines().filter(|line| line.starts_with("warning: ") || line.starts_with("error: "));
    findings.contains(" = help") && headings.all(|heading| page.contains(heading))
}

fn check(block: &Block, is_run: bool) -> Result<(), String> {
    match block.language.as_str() {
        "yaml" => yaml(&block.text),
        "console" if is_run => Ok(()),
        "console" => {
            block.text.lines().filter_map(|line| line.strip_prefix("$ ")).try_for_each(commands_of_cosette)
        }
        "sh" => {
            fed(Command::new("sh").arg("-n"), &block.text)?;
            commands_of_cosette(&block.text)
        }
        "dockerfile" => dockerfile(&block.text),
        "json" => {
            let parses = |text: &str| serde_json::from_str::<serde_json::Value>(text);
            parses(&block.text)
                .or_else(|_| parses(&format!("{{{}}}", block.text)))
                .map(drop)
                .map_err(|e| e.to_string())
        }
        "ini" => {
            shape_of(&block.text, |line| line.starts_with('[') && line.ends_with(']') || line.contains('='))
        }
        "toml" => {
            shape_of(&block.text, |line| line.starts_with('[') && line.ends_with(']') || line.contains(" = "))
        }
        "lua" if block.text.matches('{').count() == block.text.matches('}').count() => Ok(()),
        "rust" | "text" => Ok(()),
        other => Err(format!("nobody checks `{other}`")),
    }
}

/// What the text is, says its first line, if it is not a stage document.
fn yaml(text: &str) -> Result<(), String> {
    let root = tempfile::tempdir().map_err(|error| error.to_string())?;
    let sys = || System::new(root.path(), Arc::new(Live), Mode::Apply).map_err(|error| error.to_string());
    let first = text.lines().next().unwrap_or_default();
    let etc = root.path().join("etc/cosette");
    fs::create_dir_all(&etc).unwrap();
    match first {
        "# /etc/cosette/config.yaml" => {
            fs::write(etc.join("config.yaml"), text).unwrap();
            let findings = Config::load(&sys()?).1;
            if findings.is_empty() { Ok(()) } else { Err(format!("{findings:?}")) }
        }
        "# /etc/cosette/policy.yaml" => {
            fs::write(etc.join("policy.yaml"), text).unwrap();
            Policy::load(&sys()?).map(drop).map_err(|error| format!("{error:?}"))
        }
        _ if text.contains("apiVersion:") => {
            let mut findings = cosette_schema::Findings::new(cosette_schema::Origin::new("kubernetes"));
            cosette_schema::yaml::parse(text, &mut findings).map(drop).ok_or_else(|| "no YAML".to_owned())
        }
        _ => fed(Command::new(env!("CARGO_BIN_EXE_cosette")).args(["check", "-"]), text)
            .and_then(|said| if said.ends_with(": 0 errors, 0 warnings\n") { Ok(()) } else { Err(said) }),
    }
}

/// What the program says of the text on its standard input.
fn fed(program: &mut Command, text: &str) -> Result<String, String> {
    let mut child =
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    if output.status.success() { Ok(said) } else { Err(said) }
}

/// Whether cosette takes the commands of a script that are for it.
fn commands_of_cosette(script: &str) -> Result<(), String> {
    for line in script.replace("\\\n", " ").lines() {
        let mut words = words(line);
        if words.first().is_some_and(|word| word == "sudo") {
            words.remove(0);
        }
        let end = words.iter().position(|word| matches!(word.as_str(), "|" | ">" | ">>" | "&&" | "||" | ";"));
        words.truncate(end.unwrap_or(words.len()));
        let program =
            words.first().and_then(|word| Path::new(word).file_name()).and_then(|name| name.to_str());
        if matches!(program, Some("cosette" | "yip" | "cos-setup" | "elemental")) {
            match CommandLine::read(words.iter().map(Into::into)) {
                Err(error) if error.use_stderr() => return Err(error.to_string()),
                _ => {}
            }
        }
    }
    Ok(())
}

/// The words of a line of a shell: quotes hold together, and a comment ends it.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn dockerfile(text: &str) -> Result<(), String> {
    for line in text.replace("\\\n", " ").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (instruction, rest) = line.split_once(' ').unwrap_or((line, ""));
        match instruction {
            "RUN" => {
                fed(Command::new("sh").arg("-n"), rest)?;
                commands_of_cosette(rest)?;
            }
            "FROM" | "COPY" | "ARG" | "ENV" | "LABEL" | "ENTRYPOINT" => {}
            other => return Err(format!("`{other}` is no instruction of a Dockerfile")),
        }
    }
    Ok(())
}

/// Every line is empty, a comment, or a good one.
fn shape_of(text: &str, good: impl Fn(&str) -> bool) -> Result<(), String> {
    let is_good = |line: &&str| line.is_empty() || line.starts_with('#') || good(line);
    match text.lines().find(|line| !is_good(line)) {
        Some(line) => Err(format!("`{line}`")),
        None => Ok(()),
    }
}

/// The blocks of a page.
fn blocks(page: &Path, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in (1..).zip(text.lines()) {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                let place = format!("{}:{}", page.display(), number + 1);
                open = Some(Block { place, language: language.to_owned(), text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{}: a block has no end", page.display());
    blocks
}

/// The targets of the links of a text that lead to files of the project.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(')')?.0))
        .filter(|link| !link.contains("://"))
}

/// The names of the headings, as they are on the page.
fn anchors(text: &str) -> BTreeSet<String> {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let name = |heading: &str| {
        heading
            .trim_start_matches('#')
            .trim()
            .to_lowercase()
            .chars()
            .filter(kept)
            .collect::<String>()
            .replace(' ', "-")
    };
    text.lines().filter(|line| line.starts_with('#')).map(name).collect()
}

/// The folder that a page begins its session with, if its sessions are run.
fn session_of(page: &Path) -> Option<PathBuf> {
    let folder = Path::new("tests/book").join(page.file_stem()?).with_extension("in");
    (page.starts_with("docs") && folder.exists()).then_some(folder)
}

/// The READMEs and all pages of the book, by their paths in the repository.
fn pages() -> Vec<PathBuf> {
    let mut pages = ["README.md", "testdata/README.md", "testdata/vm/README.md"].map(PathBuf::from).to_vec();
    let mut directories = vec![PathBuf::from("docs")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(repository().join(&directory)).unwrap() {
            let path = directory.join(entry.unwrap().file_name());
            if repository().join(&path).is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Times are others each time.
fn without_time(line: &str) -> String {
    match (line.rsplit_once(" in "), line.ends_with(" ms")) {
        (Some((before, _)), true) => format!("{before} in [..] ms"),
        _ => line.to_owned(),
    }
}
