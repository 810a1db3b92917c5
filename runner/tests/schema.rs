//! The JSON Schema against the documents of all cases and of the default set: it accepts what decodes without a
//! finding, and rejects what has an unknown key or a value of the wrong type in a step.

#![allow(clippy::disallowed_methods, reason = "tests look at real files")]
#![allow(clippy::unwrap_used, missing_docs)]

use cosette_plugins::step::Step;
use cosette_plugins::testing::json;
use cosette_schema::{Diagnostic, Findings, Origin, parse, yaml};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Documents that the schema accepts in spite of a wrong type, and why it must.
const ACCEPTED: &[(&str, &str)] = &[];

const SCHEMA: &str = include_str!("../../schema/cosette.schema.json");

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

#[test]
fn the_schema_is_valid_itself() {
    assert!(jsonschema::meta::is_valid(&schema()));
    assert_eq!(schema()["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

#[test]
fn the_command_prints_the_schema() {
    let command = std::process::Command::new(env!("CARGO_BIN_EXE_cosette")).arg("schema").output().unwrap();
    assert_eq!(command.status.code(), Some(0));
    assert_eq!(str::from_utf8(&command.stdout), Ok(SCHEMA));
}

#[test]
fn the_schema_judges_as_decoding_does() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let (mut accepted, mut rejected, mut wrong) = (0, 0, Vec::new());
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        let (findings, of_steps) = judge(&text);
        let mut ignored = Findings::new(Origin::new("schema"));
        let Some(node) = yaml::parse(&text, &mut ignored) else { continue };
        let value = json(&node);
        let verdict = validator.validate(&value);
        let excused = ACCEPTED.iter().any(|(end, _)| path.ends_with(end));
        match verdict {
            Err(error) if findings.is_empty() => {
                wrong.push(format!("{}: rejected: {} {error}", path.display(), error.instance_path()));
            }
            Ok(()) if of_steps.iter().any(concerns_the_shape) && !excused => {
                wrong.push(format!("{}: accepted in spite of {of_steps:?}", path.display()));
            }
            Ok(()) => accepted += 1,
            Err(_) if excused => wrong.push(format!("{}: no exception any more", path.display())),
            Err(_) => rejected += 1,
        }
    }
    assert!(wrong.is_empty(), "{} documents\n{}", wrong.len(), wrong.join("\n"));
    assert!(accepted > 50 && rejected > 5, "{accepted} accepted, {rejected} rejected");
}

#[test]
fn slips_in_a_step_are_seen_and_foreign_keys_beside_the_stages_are_not() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let accepts = |text: &str| {
        let mut findings = Findings::new(Origin::new("schema"));
        validator.is_valid(&json(&yaml::parse(text, &mut findings).unwrap()))
    };
    assert!(accepts("install: {device: /dev/sda}\nstages: {boot: [{commands: [ls]}]}"));
    assert!(accepts("stages: {mine: [{users: {a: {no-create-home: yes}, b: {no_create_home: true}}}]}"));
    assert!(accepts("stages: {boot: ~}"));
    assert!(accepts("#cloud-config\nruncmd: ~\nhostname: a"));
    assert!(!accepts("#cloud-config\nruncmd: ls"));
    assert!(!accepts("#cloud-config\nwrite_files: [{path: /a, contents: b}]"));
    assert!(accepts("stages: {boot: [{files: [{path: /a, permissions: 0644, owner: 0}]}]}"));
    for step in [
        "comands: [ls]",
        "commands: ls",
        "files: [{path: /a, permisions: 0644}]",
        "files: [{path: a}]",
        "files: [{content: a}]",
        "files: [{path: /a, permissions: \"0888\"}]",
        "directories: [{path: /a, owner: -1}]",
        "files: [{path: /a, append: perhaps}]",
        "files: [{path: /a, encoding: rot13}]",
        "only_service_manager: upstart",
        "if_files: [/a]",
        "after: [step]",
    ] {
        assert!(!accepts(&format!("stages: {{boot: [{{{step}}}]}}")), "{step}");
        assert!(!accepts(&format!("stages: {{mine: [{{{step}}}]}}")), "{step}");
    }
}

/// All findings about a document, and those about its steps.
fn judge(text: &str) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
    let origin = Origin::new("schema");
    let (document, mut findings) = parse(text, &origin);
    let steps = document.stages.into_iter().flat_map(|stage| stage.steps);
    let steps: Vec<Step> = steps.map(|step| Step::decode(step, &origin)).collect();
    let of_steps: Vec<Diagnostic> = steps.iter().flat_map(|step| step.findings.clone()).collect();
    findings.extend(of_steps.iter().cloned());
    (findings, of_steps)
}

/// Whether it is about an unknown key or a wrong type.
fn concerns_the_shape(finding: &Diagnostic) -> bool {
    ["unknown key", "expected", "missing key"].iter().any(|begin| finding.message.starts_with(begin))
        || finding.message.starts_with("the key `") && finding.message.ends_with("needs a value")
}

fn documents() -> Vec<PathBuf> {
    let repository = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let entries = |directory: &Path| {
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        entries.collect::<Vec<_>>()
    };
    let mut directories = entries(&repository.join("testdata/cases"));
    directories.push(repository.join("units/oem"));
    let mut paths: Vec<PathBuf> = directories.iter().flat_map(|directory| entries(directory)).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    paths
}

#[test]
fn editors_are_told_where_the_schema_of_our_documents_is() {
    let schema = fs::canonicalize("../schema/cosette.schema.json").unwrap();
    for directory in ["../units/oem", "../testdata/vm/image/system/oem"] {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let line = text.lines().next().unwrap();
            let told = line.strip_prefix("# yaml-language-server: $schema=").unwrap();
            assert_eq!(
                fs::canonicalize(Path::new(directory).join(told)).unwrap(),
                schema,
                "{}",
                path.display()
            );
        }
    }
}

/// What an editor puts in for a key is what its documentation shows.
#[test]
fn snippets_hold_what_the_schema_accepts() {
    let schema = schema();
    let keys = schema["$defs"]["step"]["properties"].as_object().unwrap();
    let with_snippet = keys.values().filter(|key| key.get("defaultSnippets").is_some());
    assert!(with_snippet.count() > 20);
    let body = &keys["files"]["defaultSnippets"][0]["body"];
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(&serde_json::json!({ "stages": { "boot": [{ "files": body }] } })));
    assert!(schema["defaultSnippets"][0]["body"]["stages"].is_object());
}
