//! Why something is as it is: the steps that touched a file, a user or a unit, and what they did to it.
//!
//! The reports know what was done; the documents, which steps are about it, and did nothing or have not run.

use crate::report::boots::{Boot, Place};
use crate::report::{EffectReport, Outcome, Report, StepReport};
use crate::stage::Documents;
use cosette_plugins::Action;
use cosette_plugins::step::Step;
use serde::Serialize;
use std::path::Path;

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A path in the root.
    Path(String),
    /// The name of a user.
    User(String),
    /// The name of a unit, with its suffix.
    Unit(String),
}

/// A step that is about it.
#[derive(Debug, Serialize)]
pub struct Touch {
    /// Its stage: `boot.after`.
    pub stage: String,
    /// The document that it stands in.
    pub document: String,
    /// The line on which it begins.
    pub line: u32,
    /// Its name.
    pub name: Option<String>,
    /// What came of it; nothing when it has not run.
    pub outcome: Option<Outcome>,
    /// Why it was skipped.
    pub reason: Option<String>,
    /// When its stage began.
    pub started: Option<String>,
    /// What it did to it, or found to be so.
    pub effects: Vec<EffectReport>,
}

/// What a boot did to it: the steps that touched it, the latest first.
#[derive(Debug, Serialize)]
pub struct OfBoot {
    /// The boot.
    pub boot: Place,
    /// The steps.
    pub steps: Vec<Touch>,
}

/// Boots one after the other that did the same.
#[derive(Debug)]
pub struct Same<'a> {
    /// The latest of them.
    pub to: &'a Place,
    /// The earliest.
    pub from: &'a Place,
    /// What each did; the boots are those of the latest.
    pub steps: &'a [Touch],
}

/// What a step did, by which boots are compared.
#[derive(PartialEq, Eq)]
struct Deed<'a> {
    document: &'a str,
    stage: &'a str,
    name: Option<&'a str>,
    effects: Vec<(&'a str, &'a str, bool)>,
}

/// A step that is about something by its text: document, line and stage.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    document: String,
    line: u32,
    stage: String,
    name: Option<String>,
}

impl Named {
    /// Whether a step stood in the same stage of the same document.
    fn is_like(&self, step: &StepReport) -> bool {
        (&self.document, &self.stage) == (&step.document, &step.stage)
    }
}

impl Subject {
    /// Reads what was asked for: `PATH`, `user NAME` or `unit NAME`. A relative path is one of the directory.
    pub fn parse(words: &[String], directory: &Path) -> Result<Self, String> {
        match words {
            [kind, name] if kind == "user" => Ok(Self::User(name.clone())),
            [kind, name] if kind == "unit" && name.contains('.') => Ok(Self::Unit(name.clone())),
            [kind, name] if kind == "unit" => Ok(Self::Unit(format!("{name}.service"))),
            [path] if !path.is_empty() && path != "user" && path != "unit" => {
                let path: std::path::PathBuf = directory.join(path).components().collect();
                Ok(Self::Path(path.display().to_string()))
            }
            _ => Err("name a path, or `user NAME`, or `unit NAME`".to_owned()),
        }
    }

    /// Whether an effect is one on it.
    fn is_of(&self, effect: &EffectReport) -> bool {
        let target = effect.target.as_str();
        match self {
            Self::Path(path) => {
                let is_whole =
                    [Action::Unpack, Action::Checkout].iter().any(|action| effect.action == action.as_str());
                target == path || is_whole && Path::new(path).starts_with(target)
            }
            Self::User(_) => false,
            Self::Unit(unit) if effect.action == Action::Systemd.as_str() => {
                target.split(' ').any(|word| word == unit)
            }
            Self::Unit(unit) => is_path_of_unit(target, unit),
        }
    }

    /// Whether a step is about it by its text.
    fn is_in(&self, step: &Step) -> bool {
        match self {
            Self::Path(path) => step.replaces().any(|(replaced, _)| replaced == path),
            Self::User(name) => step.accounts().any(|account| account == *name),
            Self::Unit(unit) => {
                step.units().any(|named| named == *unit)
                    || step.replaces().any(|(replaced, _)| is_path_of_unit(replaced, unit))
            }
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => f.write_str(path),
            Self::User(name) => write!(f, "user {name}"),
            Self::Unit(name) => write!(f, "unit {name}"),
        }
    }
}

/// Its file or that of its template, a link to it in `.wants`, or a drop-in.
fn is_path_of_unit(path: &str, unit: &str) -> bool {
    let path = Path::new(path);
    let template = unit.split_once('@').and_then(|(name, instance)| {
        let (_, kind) = instance.rsplit_once('.')?;
        Some(format!("{name}@.{kind}"))
    });
    [Some(unit), template.as_deref()].into_iter().flatten().any(|unit| {
        let drop_ins = format!("{unit}.d");
        path.file_name().is_some_and(|name| name == unit)
            || path.parent().and_then(Path::file_name).is_some_and(|name| *name == *drop_ins)
    })
}

/// The steps that are about something, the latest first; those that have not run come last.
pub fn touches(subject: &Subject, reports: &[Report], documents: &Documents) -> Vec<Touch> {
    let mut named = named(subject, documents);
    let mut touches = touched(subject, reports, |step| {
        let count = named.len();
        named.retain(|named| !(named.is_like(step) && named.line == step.line));
        named.len() < count
    });
    touches.extend(named.into_iter().map(|Named { document, line, stage, name }| Touch {
        stage,
        document,
        line,
        name,
        outcome: None,
        reason: None,
        started: None,
        effects: Vec::new(),
    }));
    touches
}

/// The steps of reports that did something to it, or are about it by their text, the latest first.
fn touched(
    subject: &Subject,
    reports: &[Report],
    mut is_named: impl FnMut(&StepReport) -> bool,
) -> Vec<Touch> {
    let mut touches = Vec::new();
    for report in reports.iter().rev() {
        for step in report.steps.iter().rev() {
            let is_named = is_named(step);
            let is_account = is_named && matches!(subject, Subject::User(_));
            let effects = step
                .effects
                .iter()
                .filter(|effect| is_account && effect.is_of_accounts() || subject.is_of(effect));
            let effects: Vec<EffectReport> = effects.cloned().collect();
            if is_named || !effects.is_empty() {
                touches.push(Touch {
                    stage: step.stage.clone(),
                    document: step.document.clone(),
                    line: step.line,
                    name: step.name.clone(),
                    outcome: Some(step.outcome),
                    reason: step.reason.clone(),
                    started: Some(report.started.clone()),
                    effects,
                });
            }
        }
    }
    touches
}

/// What an earlier boot did to something. Which steps are about a user, only the documents of today tell, where a step with a
/// name may stand on another line by now.
pub fn touches_then(subject: &Subject, reports: &[Report], documents: &Documents) -> Vec<Touch> {
    touched_then(subject, reports, &named(subject, documents))
}

fn touched_then(subject: &Subject, reports: &[Report], named: &[Named]) -> Vec<Touch> {
    touched(subject, reports, |step| {
        let has_moved = |named: &Named| named.name.is_some() && named.name == step.name;
        named.iter().any(|named| named.is_like(step) && (named.line == step.line || has_moved(named)))
    })
}

/// What boots before this one did to something, each by itself: the steps that did anything.
pub fn in_boots(subject: &Subject, boots: Vec<Boot>, documents: &Documents) -> Vec<OfBoot> {
    let named = named(subject, documents);
    let of_boot = |Boot { place, reports, .. }| {
        let mut steps = touched_then(subject, &reports, &named);
        steps.retain(|touch| !touch.effects.is_empty());
        OfBoot { boot: place, steps }
    };
    boots.into_iter().map(of_boot).collect()
}

/// Puts boots that did the same, one after the other, together.
pub fn together(boots: &[OfBoot]) -> Vec<Same<'_>> {
    let mut together: Vec<Same> = Vec::new();
    for OfBoot { boot, steps } in boots {
        match together.last_mut() {
            Some(same) if same.steps.iter().map(Touch::deed).eq(steps.iter().map(Touch::deed)) => {
                same.from = boot
            }
            _ => together.push(Same { to: boot, from: boot, steps }),
        }
    }
    together
}

/// Whether the documents still have the step, in whatever line.
pub fn is_there(touch: &Touch, documents: &Documents) -> bool {
    let stage = touch.stage.strip_suffix(".before").or_else(|| touch.stage.strip_suffix(".after"));
    let planned = documents.plan_of(stage.unwrap_or(&touch.stage));
    planned.steps.iter().any(|planned| {
        planned.origin.as_str() == touch.document
            && planned.stage.to_string() == touch.stage
            && planned.step.name == touch.name
    })
}

fn named(subject: &Subject, documents: &Documents) -> Vec<Named> {
    let mut named = Vec::new();
    for stage in documents.stages() {
        for planned in documents.plan_of(&stage).steps {
            if subject.is_in(&planned.step) {
                named.push(Named {
                    document: planned.origin.to_string(),
                    line: planned.step.span.line,
                    stage: planned.stage.to_string(),
                    name: planned.step.name,
                });
            }
        }
    }
    named
}

/// The keys of steps and modules of cloud-configs whose effects are on users.
const OF_ACCOUNTS: [&str; 8] = [
    "users",
    "authorized_keys",
    "ensure_entities",
    "delete_entities",
    "users_groups",
    "set_passwords",
    "ssh",
    "ssh_import_id",
];

impl EffectReport {
    /// Whether it is what steps about users do: to their databases, and below their homes.
    fn is_of_accounts(&self) -> bool {
        OF_ACCOUNTS.contains(&self.plugin.as_str())
    }
}

impl Same<'_> {
    /// Whether these steps did the same.
    pub fn is(&self, steps: &[&Touch]) -> bool {
        self.steps.iter().map(Touch::deed).eq(steps.iter().map(|touch| touch.deed()))
    }
}

impl Touch {
    /// What it comes down to. Lines move when something else in a document changes.
    fn deed(&self) -> Deed<'_> {
        let effects = self.effects.iter();
        Deed {
            document: &self.document,
            stage: &self.stage,
            name: self.name.as_deref(),
            effects: effects.map(|effect| (&*effect.action, &*effect.target, effect.changed)).collect(),
        }
    }

    /// Whether it changed anything.
    pub fn changed(&self) -> bool {
        self.effects.iter().any(|effect| effect.changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cosette_schema::Origin;
    use serde_json::json;

    fn subject(words: &[&str]) -> Result<Subject, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Subject::parse(&words, Path::new("/here"))
    }

    fn effect(action: &str, target: &str) -> EffectReport {
        let effect = json!({"plugin": "files", "action": action, "target": target, "changed": true});
        serde_json::from_value(effect).unwrap()
    }

    #[test]
    fn a_path_is_absolute_and_a_unit_has_a_suffix() {
        for (words, name) in [
            (&["/etc//motd/"][..], "/etc/motd"),
            (&["a/./b"], "/here/a/b"),
            (&["user", "alice"], "user alice"),
            (&["unit", "ssh"], "unit ssh.service"),
            (&["unit", "a.timer"], "unit a.timer"),
        ] {
            assert_eq!(subject(words).unwrap().to_string(), name);
        }
        for words in [&[""][..], &["user"], &["unit"], &["group", "wheel"]] {
            assert!(subject(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn boots_are_alike_when_the_same_steps_did_the_same_on_whatever_lines() {
        let boot = |offset: i64, line: u32, name: &str, changed: bool| {
            let place = Place { id: None, offset, started: None };
            let step = json!({"name": name, "document": "/oem/a.yaml", "line": line, "stage": "boot",
                "outcome": "applied", "reason": null, "duration_ms": 0.0, "programs_ms": 0.0, "errors": [],
                "effects": [{"plugin": "files", "action": "write", "target": "/a", "changed": changed}]});
            let summary = json!({"steps": 1, "applied": 1, "skipped": 0, "failed": 0, "changed": 1});
            let report = json!({"stage": "boot", "result": "applied", "started": "", "duration_ms": 0.0,
                "programs_ms": 0.0, "summary": summary, "diagnostics": [], "steps": [step]});
            Boot { place, reports: vec![serde_json::from_value(report).unwrap()], errors: Vec::new() }
        };
        let boots = || {
            vec![
                boot(-1, 3, "x", true),
                boot(-2, 9, "x", true),
                boot(-3, 9, "x", false),
                boot(-4, 9, "y", false),
                boot(-5, 9, "x", true),
            ]
        };
        let ranges = |subject: &str| -> Vec<(i64, i64, usize)> {
            let subject = Subject::Path(subject.to_owned());
            let boots = in_boots(&subject, boots(), &Documents::default());
            let together = together(&boots);
            together.iter().map(|same| (same.from.offset, same.to.offset, same.steps.len())).collect()
        };
        assert_eq!(ranges("/a"), [(-2, -1, 1), (-3, -3, 1), (-4, -4, 1), (-5, -5, 1)]);
        assert_eq!(ranges("/b"), [(-5, -1, 0)]);
    }

    #[test]
    fn a_step_is_there_wherever_it_stands_in_its_document() {
        let documents = Documents::of_text(
            "stages:\n  boot.after:\n  - name: x\n    commands: [y]\n",
            &Origin::new("/oem/a.yaml"),
        );
        let there = |document: &str, stage: &str, name: Option<&str>| {
            let touch = Touch {
                stage: stage.to_owned(),
                document: document.to_owned(),
                line: 99,
                name: name.map(str::to_owned),
                outcome: None,
                reason: None,
                started: None,
                effects: Vec::new(),
            };
            is_there(&touch, &documents)
        };
        assert!(there("/oem/a.yaml", "boot.after", Some("x")));
        assert!(!there("/oem/a.yaml", "boot", Some("x")) && !there("/oem/b.yaml", "boot.after", Some("x")));
        assert!(!there("/oem/a.yaml", "boot.after", Some("y")) && !there("/oem/a.yaml", "boot.after", None));
    }

    #[test]
    fn effects_are_known_by_their_targets() {
        let is_of = |words: &[&str], action: &str, target: &str| {
            subject(words).unwrap().is_of(&effect(action, target))
        };
        assert!(is_of(&["/a/b"], "write", "/a/b") && !is_of(&["/a/b"], "write", "/a"));
        assert!(
            is_of(&["/a/b"], "unpack", "/a")
                && is_of(&["/a/b"], "checkout", "/a")
                && !is_of(&["/ab"], "unpack", "/a")
        );
        let unit = &["unit", "ssh"];
        assert!(
            is_of(unit, "systemd", "start ssh.service") && !is_of(unit, "systemd", "start openssh.service")
        );
        assert!(is_of(unit, "link", "/etc/systemd/system/x.target.wants/ssh.service"));
        assert!(is_of(unit, "write", "/etc/systemd/system/ssh.service.d/a.conf"));
        assert!(!is_of(unit, "write", "/etc/systemd/system/sshd.service"));
        assert!(!is_of(&["user", "root"], "write", "/root"));
    }

    fn lines(words: &[&str], documents: &Documents) -> Vec<u32> {
        let touches = touches(&subject(words).unwrap(), &[], documents);
        let mut lines: Vec<u32> = touches.into_iter().map(|touch| touch.line).collect();
        lines.sort_unstable();
        lines
    }

    #[test]
    fn users_are_found_in_all_keys_that_name_them() {
        let text = "\
#cloud-config
users: [{name: alice}]
groups: [{wheel: [carol]}]
password: secret
chpasswd: {list: ['dave:secret']}
ssh_authorized_keys: [ssh-ed25519 x]
stages:
  boot:
  - authorized_keys: {alice: [x]}
  - users: {bob: {}}
  - ensure_entities: [{entity: 'kind: group, group_name: docker'}]
  - ensure_entities:
    - entity: |
        kind: group
        group_name: docker
        users: bob, carol
  - delete_entities:
    - entity: |
        kind: user
        username: dave
";
        let documents = Documents::of_text(text, &Origin::new("a.yaml"));
        let of = |name: &str| lines(&["user", name], &documents);
        assert_eq!(of("bob"), [10, 12]);
        assert_eq!(of("carol"), [2, 12]);
        // Described, with a password, and let in.
        assert_eq!(of("alice"), [2, 4, 6, 9]);
        assert_eq!(of("dave"), [4, 17]);
        assert_eq!(of("root"), [6]);
        assert!(of("nobody").is_empty());
    }

    #[test]
    fn units_are_found_in_all_keys_that_name_them() {
        let text = "\
stages:
  boot:
  - systemctl: {enable: [a], mask: [b.timer]}
  - systemctl: {overrides: [{service: a, content: '[Service]'}]}
  - systemctl: {start: [c@1]}
  - files: [{path: /etc/systemd/system/a.service, content: x}]
  - files: [{path: /etc/systemd/system/c@.service, content: x}]
  - timesyncd: {NTP: x}
";
        let documents = Documents::of_text(text, &Origin::new("a.yaml"));
        let of = |name: &str| lines(&["unit", name], &documents);
        assert_eq!(of("a"), [3, 4, 6]);
        assert_eq!(of("b.timer"), [3]);
        assert_eq!(of("c@1"), [5, 7]);
        assert_eq!(of("systemd-timesyncd"), [8]);
    }
}
