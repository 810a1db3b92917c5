//! What users may do as others: rules for sudo(8) and doas(1).
//!
//! **Invariant:** a rule that sudo would not understand is never written: one syntax error locks everybody out.

use crate::System;
use crate::system::{Command, File, NoChroot, NoProgram};
use anyhow::{Result, bail};

/// The file of cloud-init.
const SUDOERS: &str = "/etc/sudoers.d/90-cloud-init-users";

/// The rules of doas, all in one file.
const DOAS: &str = "/etc/doas.conf";

/// Begins the rules of a user; a blank line ends them.
const HEADING: &str = "# User rules for ";

/// Makes these the rules of the user for sudo; none takes away those that are there.
pub(super) fn sudo(sys: &System, user: &str, rules: &[String]) -> Result<()> {
    for rule in rules {
        check(rule)?;
    }
    let before = sys.read_text(SUDOERS)?;
    if before.is_none() && rules.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = rules.iter().map(|rule| format!("{user} {}", rule.trim())).collect();
    let after = with_rules(before.as_deref().unwrap_or_default(), user, &lines);
    if before.as_ref() != Some(&after) {
        verify(sys, &after)?;
    }
    sys.create_dir("/etc/sudoers.d", None, None)?;
    sys.write(File::new(SUDOERS, after).mode(0o440))?;
    include(sys)
}

/// Makes these the rules of the user for doas.
pub(super) fn doas(sys: &System, user: &str, rules: &[&str]) -> Result<()> {
    for rule in rules {
        let mut words = rule.split_whitespace();
        let begins = matches!(words.next(), Some("permit" | "deny"));
        if !begins || !words.any(|word| word == user) || rule.contains(char::is_control) {
            bail!("a rule for doas begins with `permit` or `deny` and names the user `{user}`");
        }
    }
    let before = sys.read_text(DOAS)?.unwrap_or_default();
    let lines: Vec<String> = rules.iter().map(|rule| rule.trim().to_owned()).collect();
    sys.write(File::new(DOAS, with_rules(&before, user, &lines)).default_mode(0o440))?;
    Ok(())
}

/// The content with these lines as the rules of the user.
fn with_rules(content: &str, user: &str, lines: &[String]) -> String {
    let heading = format!("{HEADING}{user}");
    let mut kept = Vec::new();
    let mut theirs = false;
    for line in content.lines() {
        if line.trim_end() == heading {
            theirs = true;
        } else if line.trim().is_empty() && theirs {
            theirs = false;
            continue;
        } else if line.starts_with(HEADING) {
            theirs = false;
        }
        if !theirs {
            kept.push(line);
        }
    }
    let mut text: String = kept.iter().map(|line| format!("{line}\n")).collect();
    if !lines.is_empty() {
        if !text.is_empty() && !text.ends_with("\n\n") {
            text.push('\n');
        }
        text += &format!("{heading}\n{}\n\n", lines.join("\n"));
    }
    text
}

/// Refuses what is clearly no rule, also where no visudo can be asked.
fn check(rule: &str) -> Result<()> {
    let rule = rule.trim();
    let even = |c: char| rule.matches(c).count().is_multiple_of(2);
    let brackets = rule.matches('(').count() == rule.matches(')').count();
    let ends_well = !rule.ends_with(['\\', ',', '=', ':', '!', '(']);
    if rule.contains(char::is_control) || !rule.contains('=') || !even('"') || !brackets || !ends_well {
        bail!("{rule:?} is no rule for sudo: expected one such as `ALL=(ALL) NOPASSWD:ALL`");
    }
    Ok(())
}

/// Asks visudo, if the root has one that can run.
fn verify(sys: &System, content: &str) -> Result<()> {
    if !sys.exists("/usr/sbin/visudo")? {
        return Ok(());
    }
    let command = Command::new("visudo -c", "/usr/sbin/visudo").argument("-cqf").argument("-").input(content);
    match sys.run(&command) {
        Ok(Some(output)) if !output.success() => bail!("visudo refuses the rules for sudo; none is changed"),
        Err(error) if error.is::<NoChroot>() || error.is::<NoProgram>() => Ok(()),
        result => result.map(drop),
    }
}

/// Makes sudo read the directory, where its configuration does not say so. One that is elsewhere does.
fn include(sys: &System) -> Result<()> {
    let Some(content) = sys.read_text("/etc/sudoers")? else { return Ok(()) };
    let includes = |line: &str| {
        let rest = line.trim().strip_prefix(['#', '@']).and_then(|rest| rest.strip_prefix("includedir"));
        rest.is_some_and(|rest| rest.trim().trim_end_matches('/') == "/etc/sudoers.d")
    };
    if content.lines().any(includes) {
        return Ok(());
    }
    let end = if content.is_empty() || content.ends_with('\n') { "" } else { "\n" };
    sys.write(File::new("/etc/sudoers", format!("{content}{end}#includedir /etc/sudoers.d\n")))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Mode;
    use crate::testing::Machine;

    #[test]
    fn rules_of_a_user_are_replaced_and_those_of_others_kept() {
        let rules = |rules: &[&str]| rules.iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>();
        let one = with_rules("", "a", &rules(&["a ALL=ALL"]));
        let two = with_rules(&one, "b", &rules(&["b ALL=ALL", "b x=y"]));
        assert_eq!(two, "# User rules for a\na ALL=ALL\n\n# User rules for b\nb ALL=ALL\nb x=y\n\n");
        assert_eq!(with_rules(&two, "b", &rules(&["b ALL=ALL", "b x=y"])), two);
        assert_eq!(with_rules(&with_rules(&two, "a", &[]), "b", &[]), "");
        // cloud-init puts no blank line between a user and the next heading, nor one at the end.
        let foreign =
            "# Created by cloud-init\n\n# User rules for a\na OLD=ALL\n# User rules for ab\nab ALL=ALL\n";
        assert_eq!(
            with_rules(foreign, "a", &rules(&["a NEW=ALL"])),
            "# Created by cloud-init\n\n# User rules for ab\nab ALL=ALL\n\n# User rules for a\na NEW=ALL\n\n"
        );
    }

    #[test]
    fn nothing_that_sudo_would_not_understand_is_written() {
        let machine = Machine::new("-- /etc/sudoers 0440\nroot ALL=ALL\n-- /usr/sbin/visudo 0755\n");
        let sys = machine.system(Mode::Apply);
        let rule = |rule: &str| [rule.to_owned()];
        for wrong in
            ["", "ALL", "ALL=(ALL", "ALL=ALL\nmallory ALL=ALL", "ALL=\\", "ALL=(ALL) NOPASSWD:", "ALL=\"x"]
        {
            assert!(sudo(&sys, "a", &rule(wrong)).is_err(), "{wrong}");
        }
        machine.host.answer("BROKEN", 1, "");
        assert!(sudo(&sys, "a", &rule("ALL=BROKEN")).unwrap_err().to_string().contains("visudo refuses"));
        machine.assert_tree("");
        sudo(&sys, "a", &[]).unwrap();
        machine.assert_tree("");
        sudo(&sys, "a", &rule("ALL=(ALL) ALL")).unwrap();
        machine.host.take_commands();
        sys.take_effects();
        sudo(&sys, "a", &rule("ALL=(ALL) ALL")).unwrap();
        assert!(sys.take_effects().iter().all(|effect| !effect.changed));
        assert!(machine.host.take_commands().is_empty());
        machine.assert_tree(
            "-- /etc/sudoers 0440\nroot ALL=ALL\n#includedir /etc/sudoers.d\n\
             -- /etc/sudoers.d/90-cloud-init-users 0440\n# User rules for a\na ALL=(ALL) ALL\n\n",
        );
    }

    #[test]
    fn sudo_itself_agrees() {
        #[allow(clippy::disallowed_methods, reason = "asks the real program")]
        let there = std::path::Path::new("/usr/sbin/visudo").exists();
        if !there || !nix::unistd::Uid::effective().is_root() {
            eprintln!("SKIPPED: sudo_itself_agrees needs root and visudo");
            return;
        }
        let host = std::sync::Arc::new(crate::system::Live);
        let sys = System::new(std::path::Path::new("/"), host, Mode::Apply).unwrap();
        verify(&sys, "# User rules for a\na ALL=(ALL) NOPASSWD:ALL\n\n").unwrap();
        assert!(verify(&sys, "a ALL=(ALL NOPASSWD:ALL\n").is_err());
    }
}
