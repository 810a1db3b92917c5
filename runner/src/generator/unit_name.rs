//! Names of units for paths, as systemd-escape(1) makes them.

use std::fmt::Write as _;

/// The longest name of a unit that can have a directory for its drop-ins.
const LONGEST: usize = 255 - ".d".len();

/// The name of the unit of this kind for a path: `dev-disk-by\x2dlabel-COS_OEM.device`. Nothing where the name would be
/// longer than names may be.
pub(super) fn for_path(path: &str, kind: &str) -> Option<String> {
    let name = format!("{}.{kind}", escaped(path));
    (name.len() <= LONGEST).then_some(name)
}

/// The name of the instance of a template for a path.
pub(super) fn instance(template: &str, path: &str) -> Option<String> {
    let name = format!("{template}@{}.service", escaped(path));
    (name.len() <= LONGEST).then_some(name)
}

fn escaped(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return "-".to_owned();
    }
    let mut name = String::new();
    for (at, byte) in parts.join("/").bytes().enumerate() {
        match byte {
            b'/' => name.push('-'),
            b'.' if at == 0 => name.push_str("\\x2e"),
            b':' | b'_' | b'.' => name.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => name.push(char::from(byte)),
            _ => {
                let _ = write!(name, "\\x{byte:02x}");
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the tool is asked")]
    fn paths_are_escaped_as_systemd_escape_does_it() {
        let cases = [
            ("/", "-"),
            ("/oem", "oem"),
            ("//run/initramfs//cos-state/", "run-initramfs-cos\\x2dstate"),
            ("/dev/disk/by-label/COS_OEM", "dev-disk-by\\x2dlabel-COS_OEM"),
            ("/dev/disk/by-label/a\\x20b", "dev-disk-by\\x2dlabel-a\\x5cx20b"),
            ("/.hidden/.too", "\\x2ehidden-.too"),
            ("/dev/grün%i$(x);@", "dev-gr\\xc3\\xbcn\\x25i\\x24\\x28x\\x29\\x3b\\x40"),
        ];
        for (path, name) in cases {
            assert_eq!(escaped(path), name, "{path}");
            let asked = std::process::Command::new("systemd-escape").args(["--path", "--", path]).output();
            match asked {
                Ok(output) => {
                    assert_eq!(String::from_utf8(output.stdout).unwrap().trim_end(), name, "{path}")
                }
                Err(_) => {
                    let _ =
                        writeln!(std::io::stderr(), "SKIPPED: comparison with systemd-escape: it is missing");
                }
            }
        }
        assert_eq!(for_path(&"/x".repeat(200), "mount"), None);
    }
}
