//! os-release(5): shell-like assignments that identify the operating system.

use std::collections::BTreeMap;

/// The assignments of an os-release file.
#[derive(Debug, Default, PartialEq)]
pub(super) struct OsRelease(BTreeMap<String, String>);

impl OsRelease {
    /// Reads a file. Lines that are not assignments are passed over; of two with one name the later counts.
    pub(super) fn parse(text: &str) -> Self {
        let assignments = text.lines().filter_map(|line| {
            let (name, value) = line.trim().split_once('=')?;
            let valid = !name.is_empty() && name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric());
            valid.then(|| (name.to_owned(), unquote(value)))
        });
        Self(assignments.collect())
    }

    /// A value that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// The value of a shell word: quotes are taken away, a backslash outside of them takes the next character as it
/// is, and within double quotes only before `"`, `$`, `\` and `` ` ``. What follows the word is no part of it.
fn unquote(word: &str) -> String {
    let mut out = String::new();
    let mut quote = None;
    let mut characters = word.chars().peekable();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, c) if c.is_whitespace() => break,
            (None, '\\') => out.extend(characters.next()),
            (Some('"'), '\\') => match characters.next_if(|c| "\"$\\`".contains(*c)) {
                Some(c) => out.push(c),
                None => out.push('\\'),
            },
            (_, c) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shell_words() {
        for (line, expected) in [
            ("A=debian", "debian"),
            ("A=\"Debian GNU/Linux 12\"", "Debian GNU/Linux 12"),
            ("A='it is \"so\"'", "it is \"so\""),
            (r#"A="a \"b\" \$c \\ \` \d""#, r#"a "b" $c \ ` \d"#),
            (r"A=a\ b\$", "a b$"),
            ("A=\"a\"'b'c", "abc"),
            ("A=a b", "a"),
            ("  A=a", "a"),
            ("A=\"open", "open"),
            ("A='a\\b'", "a\\b"),
        ] {
            assert_eq!(OsRelease::parse(line).get("A"), Some(expected), "{line}");
        }
    }

    #[test]
    fn comments_and_rubbish_are_passed_over_and_later_lines_win() {
        let release = OsRelease::parse("# A=1\n\nrubbish\n=x\nA B=3\nA=1\nA=2\nB=\n");
        assert_eq!(release, OsRelease([("A", "2"), ("B", "")].map(|(k, v)| (k.into(), v.into())).into()));
        assert_eq!(release.get("B"), None);
    }
}
