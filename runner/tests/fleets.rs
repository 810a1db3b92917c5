//! The Plan of `docs/fleets.md`: system-upgrade-controller takes it, and its command upgrades the machine when it is
//! run as the job runs it.

#![allow(clippy::disallowed_methods, reason = "tests look at real files")]
#![allow(clippy::unwrap_used, missing_docs)]

use cosette_schema::yaml::{self, Node, Style, Value};
use cosette_schema::{Findings, Origin};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Command;

/// The fields of a Plan that an author may want, by the API reference of system-upgrade-controller. An API server
/// drops a field that is not in the definition of the resource, and says nothing.
const FIELDS: &str = "
    apiVersion string, kind string, metadata.name string, metadata.namespace string,
    spec.concurrency integer, spec.jobActiveDeadlineSecs integer, spec.serviceAccountName string,
    spec.version string, spec.channel string, spec.exclusive boolean, spec.cordon boolean,
    spec.nodeSelector.matchExpressions[].key string, spec.nodeSelector.matchExpressions[].operator string,
    spec.nodeSelector.matchExpressions[].values[] string, spec.imagePullSecrets[].name string,
    spec.drain.force boolean, spec.drain.ignoreDaemonSets boolean, spec.drain.deleteEmptydirData boolean,
    spec.drain.disableEviction boolean, spec.drain.gracePeriod integer,
    spec.tolerations[].key string, spec.tolerations[].operator string, spec.tolerations[].effect string,
    spec.secrets[].name string, spec.secrets[].path string, spec.postCompleteDelay string,
    spec.upgrade.image string, spec.upgrade.command[] string, spec.upgrade.args[] string,
    spec.prepare.image string, spec.prepare.command[] string, spec.prepare.args[] string";

/// The scalars of the Plan by the names of their fields.
fn plan() -> BTreeMap<String, Vec<yaml::Scalar>> {
    let page = include_str!("../../docs/fleets.md");
    let (_, rest) = page.split_once("```yaml\napiVersion: upgrade.cattle.io/v1\n").unwrap();
    let text = format!("apiVersion: upgrade.cattle.io/v1\n{}", rest.split_once("\n```").unwrap().0);
    let mut scalars = BTreeMap::new();
    collect(&yaml::parse(&text, &mut Findings::new(Origin::new("plan"))).unwrap(), "", &mut scalars);
    scalars
}

fn collect(node: &Node, name: &str, scalars: &mut BTreeMap<String, Vec<yaml::Scalar>>) {
    match &node.value {
        Value::Scalar(scalar) => scalars.entry(name.to_owned()).or_default().push(scalar.clone()),
        Value::List(items) => items.iter().for_each(|item| collect(item, &format!("{name}[]"), scalars)),
        Value::Map(entries) => {
            for (key, value) in entries {
                let dot = if name.is_empty() { "" } else { "." };
                collect(value, &format!("{name}{dot}{}", key.text().unwrap()), scalars);
            }
        }
    }
}

fn texts(plan: &BTreeMap<String, Vec<yaml::Scalar>>, field: &str) -> Vec<String> {
    plan[field].iter().map(|scalar| scalar.text.to_string()).collect()
}

#[test]
fn the_plan_has_fields_that_the_controller_knows() {
    let known: BTreeMap<&str, &str> =
        FIELDS.split(',').map(|field| field.trim().split_once(' ').unwrap()).collect();
    let plan = plan();
    for (field, scalars) in &plan {
        for scalar in scalars {
            let text = &*scalar.text;
            let kind = match scalar.style {
                Style::Plain if text.parse::<i64>().is_ok() => "integer",
                Style::Plain if matches!(text, "true" | "false") => "boolean",
                _ => "string",
            };
            assert_eq!(known.get(field.as_str()), Some(&kind), "{field}: {text}");
        }
    }
    // The controller adds the version to a name without a tag only.
    assert!(texts(&plan, "spec.upgrade.image").iter().all(|image| !image.contains([':', '@'])));
}

/// The job: a pod without namespaces for processes and the network, in a view of files in which there is no cosette, and
/// with the variables that the controller sets. The machine: `cosette` and `systemctl` that only tell how they are called.
const JOB: &str = r#"
mount -t tmpfs programs "$PROGRAMS"
cat >"$PROGRAMS/cosette" <<'END'
#!/bin/sh
echo "cosette $*"
exit "$UPGRADE"
END
cat >"$PROGRAMS/systemctl" <<'END'
#!/bin/sh
echo "systemctl $*" >&2
echo "$MANAGER"
END
printf '#!/bin/sh\necho "sleep $*"\n' >"$PROGRAMS/sleep"
chmod 755 "$PROGRAMS"/*
mount -t proc proc /proc
export PATH="$PROGRAMS:$PATH"
unshare --mount sh -euc 'umount "$PROGRAMS"; exec "$@"' job "$@" || echo "the job failed: $?"
"#;

fn job(upgrade: &str, manager: &str) -> String {
    let programs = tempfile::tempdir().unwrap();
    let plan = plan();
    let output = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", JOB, "machine"])
        .args(texts(&plan, "spec.upgrade.command[]"))
        .args(texts(&plan, "spec.upgrade.args[]"))
        .env("PROGRAMS", programs.path())
        .envs([("SYSTEM_UPGRADE_PLAN_LATEST_VERSION", "3"), ("UPGRADE", upgrade), ("MANAGER", manager)])
        .output()
        .unwrap();
    [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat()
}

#[test]
fn the_job_upgrades_the_machine_and_waits_for_the_restart() {
    let possible = nix::unistd::geteuid().is_root()
        && Command::new("sh")
            .args(["-c", "command -v nsenter && unshare --mount --pid --fork true"])
            .output()
            .is_ok_and(|output| output.status.success());
    if !possible {
        std::io::stderr()
            .write_all(b"SKIPPED: the job of a Plan: needs root, unshare and nsenter\n")
            .unwrap();
        return;
    }
    let asked = "cosette upgrade --reboot registry.example/fleetos:3\n";
    let told = "systemctl is-system-running\n";
    assert_eq!(job("0", "running"), format!("{asked}{told}"));
    assert_eq!(job("0", "stopping"), format!("{asked}sleep infinity\n{told}"));
    assert_eq!(job("15", "running"), format!("{asked}the job failed: 15\n"));
}

#[test]
fn the_command_of_the_job_is_one_of_cosette() {
    let script = texts(&plan(), "spec.upgrade.args[]").pop().unwrap();
    let line = script.lines().next().unwrap().replace('"', "");
    let words = line.split(' ').take_while(|word| *word != "||");
    cosette::command_line::CommandLine::read(words.map(Into::into)).unwrap();
}
