//! Which lines of a document may be shown in an excerpt.
//!
//! Findings point into texts that may be no YAML at all, so this goes by lines and their indentation. It would
//! rather keep a harmless line back than show a secret: the position of a finding is always told.

use cosette_schema::suggest;
use std::ops::Range;

/// Keys whose values, or whatever stands below them, may hold secrets. Misspelt ones count as well.
const KEYS: [&str; 21] = [
    "auth",
    "authorized_keys",
    "bootcmd",
    "commands",
    "condition",
    "content",
    "delete_entities",
    "ensure_entities",
    "entity",
    "environment",
    "git",
    "packages",
    "passwd",
    "password",
    "phone_home",
    "power_state",
    "runcmd",
    "ssh_authorized_keys",
    "systemd_firstboot",
    "users",
    "write_files",
];

/// Parts of names that speak of secrets: `api_token`, `privateKey`.
const PARTS: [&str; 7] = ["pass", "secret", "token", "credential", "private", "_key", "apikey"];

/// Longer lines are not looked at, in bytes.
const LONGEST: usize = 1000;
/// This many lines above are looked at.
const FARTHEST: usize = 1000;

/// The line on which a mark begins and the part of it that is marked; nothing if it may hold a secret.
///
/// Of a marked key, the value is left out. Marks over many lines end with the first.
pub(super) fn line_to_show(text: &str, mark: Range<usize>) -> Option<(String, Range<usize>)> {
    let begin = text.get(..mark.start)?.rfind('\n').map_or(0, |at| at + 1);
    let line = text[begin..].lines().next().unwrap_or_default();
    if line.is_empty() || line.len() > LONGEST {
        return None;
    }
    let start = (mark.start - begin).min(line.len());
    let end = line.ceil_char_boundary((mark.end - begin).max(start + 1).min(line.len()));
    let is_first = line[..start].bytes().all(|byte| matches!(byte, b' ' | b'-' | b'"' | b'\''));
    if is_first && let Some(value) = behind_key(line, end) {
        let rest = if line[value..].trim().is_empty() { "" } else { " ..." };
        return Some((format!("{}{rest}", &line[..value]), start..end));
    }
    let has_address = line.contains("://") && line.contains(['@', '?', '#']);
    let secret = has_address
        || line.contains("script://")
        || line.split(no_name).any(is_secret)
        || is_below_secret(&text[..begin], line);
    (!secret).then(|| (line.to_owned(), start..end))
}

/// Where the value begins, if what ends at `end` is a key.
fn behind_key(line: &str, end: usize) -> Option<usize> {
    let colon = end + line[end..].find(|c| !matches!(c, ' ' | '"' | '\''))?;
    line[colon..].starts_with(':').then_some(colon + 1)
}

/// Whether one of the keys that a line stands below may hold secrets. That is assumed of lines that continue
/// a value, and of those whose beginning is too far away.
fn is_below_secret(above: &str, line: &str) -> bool {
    if !line.contains(char::is_alphanumeric) {
        return false;
    }
    if key(line).is_none() && !is_item(line) {
        return true;
    }
    let mut inner = line;
    for outer in above.lines().rev().take(FARTHEST) {
        let is_above = indentation(outer) < indentation(inner)
            || indentation(outer) == indentation(inner) && is_item(inner) && !is_item(outer);
        if outer.trim().is_empty() || !is_above {
            continue;
        }
        if key(outer).is_some_and(is_secret) {
            return true;
        }
        inner = outer;
    }
    indentation(inner) > 0
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn is_item(line: &str) -> bool {
    line.trim_start().starts_with("- ")
}

/// The key with which a line begins.
fn key(line: &str) -> Option<&str> {
    let (key, _) = line.split_once(':')?;
    Some(key.trim_matches(no_name))
}

fn no_name(c: char) -> bool {
    !c.is_alphanumeric() && c != '_' && c != '-'
}

fn is_secret(name: &str) -> bool {
    let name = name.trim_start_matches('-').to_lowercase();
    name == "if" || PARTS.iter().any(|part| name.contains(part)) || suggest(&name, KEYS).is_some()
}

#[cfg(test)]
mod tests {
    use super::line_to_show;

    /// The line that is shown for a mark over `marked`.
    fn shown(text: &str, marked: &str) -> Option<String> {
        let start = text.find(marked).unwrap();
        line_to_show(text, start..start + marked.len()).map(|(line, mark)| {
            assert_eq!(line.get(mark), marked.lines().next(), "{line}");
            line
        })
    }

    #[test]
    fn a_harmless_line_is_shown() {
        assert_eq!(shown("a: b\n---\nc: d", "---").unwrap(), "---");
        let text = "stages:\n  boot:\n  - name: x\n    dns: {nameservers: 8.8.8.8}\n    files: /etc/issue\n";
        assert_eq!(shown(text, "8.8.8.8").unwrap(), "    dns: {nameservers: 8.8.8.8}");
        assert_eq!(shown(text, "/etc/issue").unwrap(), "    files: /etc/issue");
        assert_eq!(shown("a: b\nc: d", "b\nc").unwrap(), "a: b");
        assert_eq!(shown("a: [\n", "[").unwrap(), "a: [");
    }

    #[test]
    fn a_key_is_shown_without_its_value() {
        assert_eq!(shown("- pasword: hunter2", "pasword").unwrap(), "- pasword: ...");
        assert_eq!(shown("  'pasword' : hunter2", "pasword").unwrap(), "  'pasword' : ...");
        assert_eq!(shown("users:\n  root:\n    naem:\n", "naem").unwrap(), "    naem:");
        assert_eq!(shown("root: {passwd: hunter2, naem: x}", "naem"), None);
    }

    #[test]
    fn a_line_that_may_hold_a_secret_is_not_shown() {
        for line in [
            "passwd: \"hunter2",
            "Pasword: [hunter2]",
            "x: {apiToken: hunter2}",
            "stages.boot[0].commands[0]=hunter2",
            "users:\n  root: hunter2",
            "- commands:\n  - echo: hunter2",
            "commands:\n- hunter2",
            "- path: /x\n  content:\n    x: [hunter2]",
            "- environment:\n\n    A: [hunter2]",
            "content: |\nhunter2",
            "runcmd:\n- [sh, -c, hunter2]",
            "url: [\"https://ann:hunter2@h/x\"]",
            "url: [\"https://h/x?token=hunter2\"]",
            "content: |\n-----hunter2",
            "    x: [hunter2]",
        ] {
            assert_eq!(shown(line, "hunter2"), None, "{line}");
        }
        assert_eq!(shown(&format!("a: x{}", "y".repeat(1000)), "x"), None, "a long line");
    }

    #[test]
    fn marks_at_the_end_of_a_text_or_outside_do_no_harm() {
        assert_eq!(line_to_show("a: ä", 5..9).map(|(_, mark)| mark), Some(5..5));
        assert_eq!(line_to_show("", 0..0).map(|(line, _)| line), None);
        assert_eq!(line_to_show("a: b\n", 5..5).map(|(line, _)| line), None);
        assert_eq!(line_to_show("a", 7..9), None);
    }
}
