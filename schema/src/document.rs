//! Documents: named stages, each an ordered list of steps.

use crate::cloud_config::{self, Header, Module};
use crate::decode::key;
use crate::yaml::{self, Node, Value};
use crate::{Decode, Diagnostic, Findings, Origin, Rule, Span, Spanned, excerpt, suggest};

/// What one text says.
#[derive(Clone, Debug)]
pub struct Document {
    /// Where the text came from.
    pub origin: Origin,
    /// The `name:` of the document.
    pub name: Option<String>,
    /// Its stages in source order.
    pub stages: Vec<Stage>,
}

impl Document {
    /// Adds steps to the end of a stage, which may be new.
    fn append(&mut self, stage: Stage) {
        match self.stages.iter_mut().find(|known| known.name.value == stage.name.value) {
            Some(known) => known.steps.extend(stage.steps),
            None => self.stages.push(stage),
        }
    }
}

/// One entry of `stages:`.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The name of the stage: `boot`, `rootfs.before`, or any other.
    pub name: Spanned<String>,
    /// Its steps in source order.
    pub steps: Vec<RawStep>,
}

/// One step, its keys not yet decoded: which keys there are is the knowledge of the plugins.
#[derive(Clone, Debug)]
pub struct RawStep {
    /// Where the step begins.
    pub span: Span,
    /// The module of cloud-init that it is, if it comes from the keys of a cloud-config.
    pub module: Option<&'static Module>,
    /// The value of each key, in source order; no key is there twice.
    pub fields: Vec<(Spanned<String>, Node)>,
}

/// Keys that belong into a step, for hints.
const STEP_KEYS: &[&str] = &[
    "after",
    "authorized_keys",
    "commands",
    "datasource",
    "delete_entities",
    "directories",
    "dns",
    "downloads",
    "ensure_entities",
    "environment",
    "environment_file",
    "files",
    "git",
    "hostname",
    "if",
    "if_files",
    "layout",
    "links",
    "modules",
    "node",
    "only_arch",
    "only_os",
    "only_os_version",
    "only_service_manager",
    "package_pins",
    "packages",
    "sysctl",
    "sysctl_file",
    "systemctl",
    "systemd_firstboot",
    "timesyncd",
    "unpack_images",
    "users",
];

/// Reads a document.
///
/// Returns everything that could be understood and all findings. Only the shape of the document is looked
/// at here; the keys of a step are decoded by the plugins.
pub fn parse(text: &str, origin: &Origin) -> (Document, Vec<Diagnostic>) {
    let mut findings = Findings::new(origin.clone());
    let header = Header::of(text, &mut findings);
    let root = if header == Header::Unsupported { None } else { yaml::parse(text, &mut findings) };
    let document = read(root, header, &mut findings);
    (document, findings.into_vec())
}

/// Makes a document of a tree; an empty one of none.
pub(crate) fn read(root: Option<Node>, header: Header, findings: &mut Findings) -> Document {
    let mut document = Document { origin: findings.origin().clone(), name: None, stages: Vec::new() };
    let Some(root) = root else { return document };
    let entries = match root.value {
        Value::Map(entries) => entries,
        _ if root.is_null() => return document,
        _ => {
            let found = root.kind();
            findings
                .error(root.span, format!("a document is a map with the key `stages`, found {found}"))
                .help("write `stages:`, below it the name of a stage, and below that its steps as a list");
            return document;
        }
    };
    let mut unknown = Vec::new();
    for (name, value) in entries {
        let Some(name) = key(&name, findings) else { continue };
        match &*name.value {
            "name" => document.name = Option::decode(&value, findings).flatten(),
            "stages" => document.stages = stages(value, findings),
            _ => unknown.push((name, value)),
        }
    }
    match header {
        Header::None | Header::Unsupported => {
            unknown.iter().for_each(|(name, value)| warn_of_unknown(name, value, findings))
        }
        Header::CloudConfig => {
            let own = std::mem::replace(&mut document.stages, cloud_config::read(&unknown, findings));
            own.into_iter().for_each(|stage| document.append(stage));
        }
        // The settings of other programs stand beside the stages; only the usual slip is worth a word.
        Header::Foreign => unknown
            .iter()
            .filter(|(name, _)| name.value == "stage")
            .for_each(|(name, value)| warn_of_unknown(name, value, findings)),
    }
    document
}

fn warn_of_unknown(name: &Spanned<String>, value: &Node, findings: &mut Findings) {
    let shown = excerpt(name);
    let is_stage = matches!(&value.value, Value::List(items) if items.iter().any(|item| matches!(item.value, Value::Map(_))));
    let help = if STEP_KEYS.contains(&&*name.value) {
        format!(
            "`{shown}` belongs into a step: `stages:`, below it `default:` or another stage, below that `- {shown}: ...`"
        )
    } else if let Some(meant) = suggest(name, ["stages", "name"]) {
        format!("did you mean `{meant}`?")
    } else if is_stage {
        format!("if `{shown}` is a stage, write it below `stages:`")
    } else {
        "a document has the keys `name` and `stages`".to_owned()
    };
    findings.warn(name.span, format!("unknown key `{shown}`")).rule(Rule::UnknownKey).help(help);
}

fn stages(node: Node, findings: &mut Findings) -> Vec<Stage> {
    match node.value {
        Value::Map(entries) => entries
            .into_iter()
            .filter_map(|(name, steps)| {
                let name = key(&name, findings)?;
                let steps = steps_of(&name, steps, findings)?;
                Some(Stage { name, steps })
            })
            .collect(),
        _ if node.is_null() => Vec::new(),
        _ => {
            let found = node.kind();
            findings
                .error(node.span, format!("`stages` must be a map from stages to their steps, found {found}"))
                .help("write the name of each stage as a key below `stages:`, such as `boot:`, and its steps below that");
            Vec::new()
        }
    }
}

fn steps_of(stage: &Spanned<String>, node: Node, findings: &mut Findings) -> Option<Vec<RawStep>> {
    let stage = excerpt(stage);
    let found = node.kind();
    match node.value {
        Value::List(items) => Some(items.into_iter().filter_map(|item| step(item, findings)).collect()),
        Value::Map(entries) => {
            let first =
                entries.first().and_then(|(key, _)| key.text()).map_or("commands".to_owned(), excerpt);
            findings
                .error(node.span, format!("the stage `{stage}` must be a list of steps, found {found}"))
                .help(format!(
                    "begin each step with `- `: write `{stage}:` and on the next line `- {first}: ...`"
                ));
            None
        }
        Value::Scalar(scalar) if scalar.is_null() => Some(Vec::new()),
        Value::Scalar(_) => {
            findings
                .error(node.span, format!("the stage `{stage}` must be a list of steps, found {found}"))
                .help(format!("write `{stage}:` and on the next line `- commands: ...`"));
            None
        }
    }
}

fn step(node: Node, findings: &mut Findings) -> Option<RawStep> {
    let span = node.span;
    let found = node.kind();
    match node.value {
        Value::Map(entries) => {
            // All keys are looked at, so that all findings are made; one that is no text spoils the step.
            let count = entries.len();
            let fields: Vec<_> = entries
                .into_iter()
                .filter_map(|(name, value)| Some((key(&name, findings)?, value)))
                .collect();
            (fields.len() == count).then_some(RawStep { span, module: None, fields })
        }
        Value::Scalar(scalar) if scalar.is_null() => {
            findings
                .warn(span, "this step is empty")
                .help("remove the `-`, or write the keys of a step behind it");
            None
        }
        _ => {
            findings.error(span, format!("a step is a map, found {found}")).help(
                "write its keys behind the `- `, such as `- commands:` with a list of commands below it",
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::tests::lines;

    /// The stages as `name: key key, key | ...`, and the findings.
    fn parsed(text: &str) -> (Vec<String>, Vec<String>) {
        let origin = Origin::new("test");
        let (document, diagnostics) = parse(text, &origin);
        let stages = document.stages.iter().map(|stage| {
            let steps = stage
                .steps
                .iter()
                .map(|step| step.fields.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" "));
            format!("{}: {}", stage.name.value, steps.collect::<Vec<_>>().join(", "))
        });
        (stages.collect(), lines(Findings::from_list(origin, diagnostics)))
    }

    #[test]
    fn a_document_has_a_name_and_stages_with_steps_in_source_order() {
        let text = "name: Branding\nstages:\n  rootfs.before:\n  - name: a\n    if: b\n    files: []\n  - commands: [x]\n  boot: []\n  none:\n";
        let (document, diagnostics) = parse(text, &Origin::new("/oem/90.yaml"));
        assert_eq!(diagnostics, []);
        assert_eq!(document.origin.as_str(), "/oem/90.yaml");
        assert_eq!(document.name.as_deref(), Some("Branding"));
        assert_eq!(parsed(text).0, ["rootfs.before: name if files, commands", "boot: ", "none: "]);
        assert_eq!(document.stages[0].steps[0].span.line, 4);
    }

    #[test]
    fn texts_that_say_nothing_are_fine() {
        for text in [
            "",
            "\n\n",
            "# only a comment\n",
            "---\n",
            "--- \n...\n",
            "~",
            "null\n",
            "stages:\n",
            "\u{feff}",
            "\u{feff}# x\n",
        ] {
            assert_eq!(parsed(text), (vec![], vec![]), "{text:?}");
        }
    }

    #[test]
    fn a_root_that_is_no_map_is_an_error() {
        for (text, found) in [("just words", "a single value"), ("- a", "a list")] {
            let help = "write `stages:`, below it the name of a stage, and below that its steps as a list";
            let message =
                format!("error 1:1 a document is a map with the key `stages`, found {found}; {help}");
            assert_eq!(parsed(text).1, [message]);
        }
    }

    #[test]
    fn a_stage_that_is_no_list_is_an_error_that_shows_how_to_write_it() {
        let (stages, findings) = parsed("stages: {test: {commands: [x]}, boot: [{if: x}], fs: foo}");
        assert_eq!(stages, ["boot: if"]);
        assert_eq!(
            findings,
            [
                "error 1:16 the stage `test` must be a list of steps, found a map; begin each step with `- `: write `test:` and on the next line `- commands: ...`",
                "error 1:54 the stage `fs` must be a list of steps, found a single value; write `fs:` and on the next line `- commands: ...`",
            ]
        );
        let (stages, findings) = parsed("stages: [foo, bar]");
        assert_eq!(stages, Vec::<String>::new());
        assert!(
            findings[0]
                .starts_with("error 1:9 `stages` must be a map from stages to their steps, found a list")
        );
    }

    #[test]
    fn a_step_that_is_no_map_is_left_out() {
        let (stages, findings) =
            parsed("stages:\n  test:\n  - echo hi\n  - if: a\n  -\n  - [x]\n  - ? [a]\n    : b\n");
        assert_eq!(stages, ["test: if"]);
        assert_eq!(findings.len(), 4);
        assert!(findings[0].starts_with("error 3:5 a step is a map, found a single value; write its keys"));
        assert!(findings[1].starts_with("warning 5:4 this step is empty"));
        assert!(findings[2].starts_with("error 6:5 a step is a map, found a list"));
        assert!(findings[3].starts_with("error 7:7 a key must be a text, found a list"));
    }

    #[test]
    fn unknown_keys_of_a_document_are_warned_of_with_what_was_probably_meant() {
        for (text, help) in [
            ("stage:\n  boot: []\n", "did you mean `stages`?"),
            ("nmae: x\n", "did you mean `name`?"),
            (
                "commands: [x]\n",
                "`commands` belongs into a step: `stages:`, below it `default:` or another stage, below that `- commands: ...`",
            ),
            ("boot:\n- commands: [x]\n", "if `boot` is a stage, write it below `stages:`"),
            ("install: {device: auto}\n", "a document has the keys `name` and `stages`"),
        ] {
            let key = text.split(':').next().unwrap();
            assert_eq!(parsed(text).1, [format!("warning 1:1 unknown key `{key}`; {help}")]);
        }
    }

    #[test]
    fn duplicate_keys_are_errors_with_both_places_and_the_first_stays() {
        let (stages, findings) = parsed("stages:\n  a: [{if: x, if: y}]\nstages:\n  b: []\n");
        assert_eq!(stages, ["a: if"]);
        assert_eq!(
            findings,
            [
                "error 2:15 the key `if` is given twice; the first is at 2:8 and is used: remove one of them, or make them one",
                "error 3:1 the key `stages` is given twice; the first is at 1:1 and is used: remove one of them, or make them one",
            ]
        );
    }

    #[test]
    fn steps_may_share_keys_through_anchors_and_merge_keys() {
        let (stages, findings) = parsed(
            "stages:\n  a:\n  - &shared\n    name: x\n    if: y\n  b:\n  - <<: *shared\n    name: z\n    commands: [c]\n  - *shared\n",
        );
        assert_eq!(findings, Vec::<String>::new());
        assert_eq!(stages, ["a: name if", "b: name commands if, name if"]);
    }

    #[test]
    fn keys_of_other_programs_under_their_header_are_not_warned_of() {
        for header in ["#kairos-config", "#node-config"] {
            let (stages, findings) =
                parsed(&format!("{header}\ninstall: {{}}\np2p: {{}}\nstages:\n  a: []\n"));
            assert_eq!((stages.len(), findings.len()), (1, 0));
            assert_eq!(parsed(&format!("{header}\nstage: {{}}\n")).1.len(), 1);
        }
    }

    #[test]
    fn unsupported_keys_of_a_cloud_config_are_named_in_warnings_and_its_stages_are_used() {
        let (stages, findings) = parsed(
            "# a comment\n\n#cloud-config  \r\nsnap: x\nruncmds: []\nbanana: 1\nname: y\nstages:\n  a: []\n",
        );
        assert_eq!(stages, ["a: "]);
        assert_eq!(
            findings,
            [
                "warning 4:1 `snap` is a key of cloud-init that is not supported; it is ignored; a step below `stages:` may do instead",
                "warning 5:1 unknown key `runcmds`; did you mean `runcmd`?",
                "warning 6:1 unknown key `banana`",
            ]
        );
    }

    #[test]
    fn a_cloud_config_header_with_a_space_is_warned_of() {
        let (_, findings) = parsed("# cloud-config\nstages: {}\n");
        assert_eq!(
            findings,
            [
                "warning 1:1 this line is only a comment; write `#cloud-config` without a space if the file is a cloud-config"
            ]
        );
        let far = format!("{}#cloud-config\nhostname: x\n", "#\n".repeat(10));
        assert!(parsed(&far).1[0].contains("unknown key `hostname`"));
        assert!(parsed("a: b\n#cloud-config\n").1[0].contains("unknown key `a`"));
    }

    #[test]
    fn headers_are_found_as_cloud_init_finds_them_and_what_is_no_document_is_told() {
        for text in
            ["\n\n#Cloud-Config\nruncmd: [a]\n", "\u{feff}## template: jinja\n#cloud-config\nruncmd: [a]\n"]
        {
            let (stages, findings) = parsed(text);
            assert_eq!(
                (stages, findings),
                (vec!["network.after: runcmd".to_owned()], Vec::<String>::new()),
                "{text}"
            );
        }
        let (stages, findings) = parsed("## template: jinja\n#cloud-config\nruncmd: ['{{ v1.name }}']\n");
        assert_eq!(stages.len(), 1);
        assert!(
            findings[0].starts_with("warning 1:1 the text is not rendered as a template of Jinja"),
            "{findings:?}"
        );
        let (stages, findings) = parsed("#cloud-config-archive\n- type: text/cloud-config\n  content: x\n");
        assert_eq!((stages.len(), findings.len()), (0, 1));
        assert!(
            findings[0].starts_with("error 1:1 `#cloud-config-archive` is not supported"),
            "{findings:?}"
        );
    }

    #[test]
    fn what_is_no_document_is_named() {
        for (text, message) in [
            (
                "#include\nhttps://example.org/a\n",
                "error 1:1 `#include` is not supported; give the addresses",
            ),
            ("#include-once\nhttps://example.org/a\n", "error 1:1 `#include-once` is not supported"),
            ("#part-handler\ndef list_types():\n", "error 1:1 `#part-handler` is not supported"),
            ("#cloud-boothook\necho: a: b\n", "error 1:1 `#cloud-boothook` is not supported"),
            ("#!/bin/sh\necho a: b: c\n", "error 1:1 this is a script, not a document"),
        ] {
            let (stages, findings) = parsed(text);
            assert_eq!((stages.len(), findings.len()), (0, 1), "{text}");
            assert!(findings[0].starts_with(message), "{findings:?}");
        }
        let (stages, findings) = parsed("#!/usr/bin/cosette\nstages: {boot: [{hostname: a}]}\n");
        assert_eq!((stages, findings), (vec!["boot: hostname".to_owned()], vec![]));
    }
}
