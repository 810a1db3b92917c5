//! Settings of sshd(8).

use crate::System;
use crate::system::File;
use crate::units::{self, Verb, systemd_is_running};
use anyhow::Result;

/// The file that holds them, or says where they are.
const MAIN: &str = "/etc/ssh/sshd_config";

/// The file of cloud-init, beside those of others.
const OWN: &str = "/etc/ssh/sshd_config.d/50-cloud-init.conf";

/// Makes sshd have this setting, now if it runs.
pub(super) fn set(sys: &System, name: &str, value: &str) -> Result<()> {
    let main = sys.read_text(MAIN)?;
    // Where only the vendor has a main file, it names the directory.
    let changed = match main {
        Some(main) if !includes(&main) => sys.write(File::new(MAIN, with_setting(&main, name, value)))?,
        _ => {
            let own = sys.read_text(OWN)?.unwrap_or_default();
            sys.create_dir(format!("{MAIN}.d"), None, None)?;
            sys.write(File::new(OWN, with_setting(&own, name, value)).default_mode(0o600))?
        }
    };
    if changed { reload(sys) } else { Ok(()) }
}

fn includes(main: &str) -> bool {
    main.lines().filter_map(|line| line.trim().split_once(char::is_whitespace)).any(|(key, value)| {
        key.eq_ignore_ascii_case("include")
            && value.split_whitespace().any(|pattern| {
                matches!(pattern.trim_matches('"'), "/etc/ssh/sshd_config.d/*.conf" | "sshd_config.d/*.conf")
            })
    })
}

/// The content with the setting, of which the first counts, before all that holds for some connections only.
fn with_setting(content: &str, name: &str, value: &str) -> String {
    let keyword = |line: &str| line.trim().split([' ', '\t', '=']).next().unwrap_or_default().to_owned();
    let lines: Vec<&str> = content.lines().collect();
    let matches = lines.iter().position(|line| keyword(line).eq_ignore_ascii_case("match"));
    let end = matches.unwrap_or(lines.len());
    let setting = format!("{name} {value}");
    let mut lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
    match lines[..end].iter().position(|line| keyword(line).eq_ignore_ascii_case(name)) {
        Some(at) => lines[at] = setting,
        None => lines.insert(end, setting),
    }
    lines.join("\n") + "\n"
}

fn reload(sys: &System) -> Result<()> {
    if !systemd_is_running(sys)? {
        return Ok(());
    }
    for unit in ["sshd.service", "ssh.service"] {
        let directories = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
        let mut there = false;
        for directory in directories {
            there |= sys.exists(format!("{directory}/{unit}"))?;
        }
        if !there {
            continue;
        }
        return units::control_one(sys, Verb::TryReloadOrRestart, unit);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Mode;
    use crate::testing::Machine;

    #[test]
    fn the_first_setting_counts_and_none_is_put_under_a_condition() {
        let set = |content: &str| with_setting(content, "PasswordAuthentication", "no");
        assert_eq!(set(""), "PasswordAuthentication no\n");
        assert_eq!(
            set("#PasswordAuthentication yes\nX y"),
            "#PasswordAuthentication yes\nX y\nPasswordAuthentication no\n"
        );
        assert_eq!(set("passwordauthentication=yes\nMatch all\n"), "PasswordAuthentication no\nMatch all\n");
        let conditional = "Port 22\nMatch User a\n  PasswordAuthentication yes\n";
        let expected = "Port 22\nPasswordAuthentication no\nMatch User a\n  PasswordAuthentication yes\n";
        assert_eq!(set(conditional), expected);
        assert_eq!(set(expected), expected);
    }

    #[test]
    fn a_file_of_its_own_is_used_where_it_is_read_and_sshd_is_told_if_it_runs() {
        let machine = Machine::new("-- /run/systemd/system/\n-- /usr/lib/systemd/system/ssh.service\n");
        let systemd = machine.boot(&[]);
        let sys = machine.system(Mode::Apply);
        set(&sys, "PasswordAuthentication", "yes").unwrap();
        set(&sys, "PasswordAuthentication", "yes").unwrap();
        machine
            .assert_tree("-- /etc/ssh/sshd_config.d/50-cloud-init.conf 0600\nPasswordAuthentication yes\n");
        assert_eq!(systemd.take_requests(), ["ReloadOrTryRestartUnit ssh.service"]);

        let main = "-- /etc/ssh/sshd_config 0600\nInclude /etc/ssh/sshd_config.d/*.conf\n";
        let machine = Machine::new(main);
        set(&machine.system(Mode::Apply), "PasswordAuthentication", "no").unwrap();
        machine.assert_tree("-- /etc/ssh/sshd_config.d/50-cloud-init.conf 0600\nPasswordAuthentication no\n");

        let machine = Machine::new("-- /etc/ssh/sshd_config 0640\n# Include /etc/ssh/sshd_config.d/*.conf\n");
        set(&machine.system(Mode::Apply), "PasswordAuthentication", "no").unwrap();
        machine.assert_tree(
            "-- /etc/ssh/sshd_config 0640\n# Include /etc/ssh/sshd_config.d/*.conf\nPasswordAuthentication no\n",
        );
    }
}
