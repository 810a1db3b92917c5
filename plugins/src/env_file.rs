//! Files of variables, such as `/etc/environment`: assignments that systemd (`EnvironmentFile=`), pam_env(8)
//! and a POSIX shell (`.`) read, edited one by one so that everything else in the file stays as it is.
//!
//! Parsing never fails. Nothing that stands in a file is ever expanded.

use anyhow::{Result, bail};

/// The content of such a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvFile {
    pieces: Vec<Piece>,
}

/// A stretch of whole lines: one assignment, or one line of anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    raw: Vec<u8>,
    assignment: Option<Assignment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Assignment {
    /// What stands before the key: blanks and `export `.
    prefix: Vec<u8>,
    key: String,
    value: Vec<u8>,
    /// Whether systemd and a shell agree on the value. A shell would expand `$HOME`, end at a blank, and so on.
    agreed: bool,
}

impl EnvFile {
    /// Reads a file. Returns with it the number of the first line with a quote that is never closed, if there
    /// is one: systemd and shells take everything behind it for its value.
    pub fn parse(content: &[u8]) -> (Self, Option<usize>) {
        let (mut pieces, mut unclosed) = (Vec::new(), None);
        let (mut rest, mut number) = (content, 1);
        while !rest.is_empty() {
            let line = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |end| end + 1);
            let (length, assignment) = match assignment(rest) {
                Scan::Assignment(length, assignment) => (length, Some(assignment)),
                Scan::Other => (line, None),
                Scan::Unclosed => {
                    unclosed.get_or_insert(number);
                    (line, None)
                }
            };
            let (raw, behind) = rest.split_at(length);
            number += raw.iter().filter(|byte| **byte == b'\n').count();
            pieces.push(Piece { raw: raw.to_owned(), assignment });
            rest = behind;
        }
        (Self { pieces }, unclosed)
    }

    /// The value of a variable as systemd reads it; of several assignments the last one counts.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        let mut assignments = self.pieces.iter().rev().filter_map(|piece| piece.assignment.as_ref());
        assignments.find(|assignment| assignment.key == key).map(|assignment| &*assignment.value)
    }

    /// Sets a variable: its last assignment is replaced where it stands, or a new one added at the end. One
    /// that already has this value stays as it is written.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        if !is_name(key.as_bytes()) {
            bail!("{key:?} cannot be the name of a variable: only letters, digits and `_`, no digit first");
        }
        let quoted = quote(value)?;
        let is_it = |piece: &&mut Piece| piece.assignment.as_ref().is_some_and(|found| found.key == key);
        let mut prefix = Vec::new();
        if let Some(piece) = self.pieces.iter_mut().rev().find(is_it) {
            if let Some(found) = piece.assignment.take_if(|found| !found.is(value)) {
                prefix = found.prefix;
            } else {
                return Ok(());
            }
            *piece = Piece::new(prefix, key, value, &quoted);
            return Ok(());
        }
        if let Some(last) = self.pieces.last_mut()
            && !last.raw.ends_with(b"\n")
        {
            last.raw.push(b'\n');
        }
        self.pieces.push(Piece::new(prefix, key, value, &quoted));
        Ok(())
    }

    /// The content to write.
    pub fn into_bytes(self) -> Vec<u8> {
        self.pieces.into_iter().flat_map(|piece| piece.raw).collect()
    }
}

impl Piece {
    fn new(prefix: Vec<u8>, key: &str, value: &str, quoted: &str) -> Self {
        let mut raw = prefix.clone();
        raw.extend_from_slice(format!("{key}={quoted}\n").as_bytes());
        let value = value.as_bytes().to_owned();
        Self { raw, assignment: Some(Assignment { prefix, key: key.to_owned(), value, agreed: true }) }
    }
}

impl Assignment {
    fn is(&self, value: &str) -> bool {
        self.agreed && self.value == value.as_bytes()
    }
}

/// Whether pam_env(8) reads a value as it was meant. It ends every line at a `#`, even between quotes, and
/// keeps backslashes.
pub fn pam_agrees(value: &str) -> bool {
    !(value.contains('#') || value.contains('\'') && value.contains(NEEDS_ESCAPE))
}

/// What a backslash must stand before between double quotes.
const NEEDS_ESCAPE: [char; 4] = ['"', '\\', '$', '`'];

/// Writes a value so that all readers see the same text where that is possible: as it is; between double
/// quotes if they need no escapes; between single quotes; and only if there are single quotes in it, too,
/// between double quotes with the escapes that systemd and shells undo.
fn quote(value: &str) -> Result<String> {
    if value.contains(['\n', '\r']) {
        bail!("the value has more than one line, which a file of variables cannot hold");
    }
    if value.contains(|c: char| c.is_control() && c != '\t') {
        bail!("the value contains a control character, which a file of variables cannot hold");
    }
    Ok(if !value.is_empty() && value.bytes().all(is_plain) {
        value.to_owned()
    } else if !value.contains(NEEDS_ESCAPE) {
        format!("\"{value}\"")
    } else if !value.contains('\'') {
        format!("'{value}'")
    } else {
        let mut quoted = String::from("\"");
        for c in value.chars() {
            if NEEDS_ESCAPE.contains(&c) {
                quoted.push('\\');
            }
            quoted.push(c);
        }
        quoted + "\""
    })
}

/// Whether a byte means itself to every reader, without quotes.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_@%+,./:-".contains(&byte)
}

/// Whether this can be the name of a variable.
pub fn is_name(key: &[u8]) -> bool {
    key.first().is_some_and(|byte| !byte.is_ascii_digit())
        && key.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// What stands at the beginning of a line.
enum Scan {
    /// An assignment that is this long, the end of its line included.
    Assignment(usize, Assignment),
    /// A comment, a blank line or anything else.
    Other,
    /// An assignment with a quote that is not closed until the end of the file.
    Unclosed,
}

fn assignment(text: &[u8]) -> Scan {
    let blanks = |from: usize| text[from..].iter().take_while(|byte| b" \t".contains(byte)).count();
    let mut start = blanks(0);
    if text[start..].starts_with(b"export") && blanks(start + 6) > 0 {
        start += 6 + blanks(start + 6);
    }
    let length =
        text[start..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    let key = &text[start..start + length];
    if !is_name(key) || text.get(start + length) != Some(&b'=') {
        return Scan::Other;
    }
    let from = start + length + 1;
    let Some((end, value, agreed)) = value(&text[from..]) else { return Scan::Unclosed };
    let (prefix, key) = (text[..start].to_owned(), String::from_utf8_lossy(key).into_owned());
    Scan::Assignment(from + end, Assignment { prefix, key, value, agreed })
}

/// Reads a value to the end of its line: its length, its text and whether all agree on it; `None` when a
/// quote is not closed. The quotes and escapes are those of systemd.exec(5).
fn value(text: &[u8]) -> Option<(usize, Vec<u8>, bool)> {
    let (mut value, mut agreed) = (Vec::new(), true);
    let mut quote = None;
    // Blanks at the end do not belong to the value, unless they are quoted.
    let mut solid = 0;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        let next = text.get(at).copied();
        match (quote, byte) {
            (None, b'\n') => {
                value.truncate(solid);
                return Some((at, value, agreed));
            }
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if byte == open => quote = None,
            (None | Some(b'"'), b'\\') if next == Some(b'\n') => at += 1,
            (None, b'\\') if next.is_some() => {
                value.extend(next);
                at += 1;
            }
            (Some(b'"'), b'\\') if next.is_some_and(|next| NEEDS_ESCAPE.contains(&char::from(next))) => {
                value.extend(next);
                at += 1;
            }
            _ => {
                agreed &= match quote {
                    None => is_plain(byte) || byte == b'=',
                    Some(b'"') => byte != b'$' && byte != b'`',
                    Some(_) => true,
                };
                value.push(byte);
                if quote.is_none() && b" \t\r".contains(&byte) {
                    continue;
                }
            }
        }
        solid = value.len();
    }
    value.truncate(solid);
    quote.is_none().then_some((at, value, agreed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(before: &str, key: &str, value: &str) -> String {
        let (mut file, _) = EnvFile::parse(before.as_bytes());
        file.set(key, value).unwrap();
        String::from_utf8(file.into_bytes()).unwrap()
    }

    #[test]
    fn only_the_line_of_the_variable_changes() {
        let before = "# comment with A=1\n\n  export Z=1 \nA=old\nPATH=\"$PATH:/x\"\nnonsense\nB = 2\nA='older'\nEND=x";
        assert_eq!(
            set(before, "A", "new"),
            "# comment with A=1\n\n  export Z=1 \nA=old\nPATH=\"$PATH:/x\"\nnonsense\nB = 2\nA=new\nEND=x"
        );
        assert_eq!(set(before, "Z", "2"), before.replace("Z=1 ", "Z=2"));
        assert_eq!(set(before, "NEW", "n"), format!("{before}\nNEW=n\n"));
        assert_eq!(set(before, "B", "3"), format!("{before}\nB=3\n"));
    }

    #[test]
    fn an_assignment_that_means_the_value_already_stays_as_it_is_written() {
        for (line, value) in [
            ("A=\"x\"\n", "x"),
            ("A='x'\"y\"z\n", "xyz"),
            ("A=\"\\$x \\\" \\` \\\\\"\n", "$x \" ` \\"),
            ("A=a\\\nb\n", "ab"),
            ("export A=010", "010"),
            ("A=\n", ""),
            ("A=a=b\n", "a=b"),
        ] {
            assert_eq!(set(line, "A", value), line);
        }
        for (line, value) in
            [("A=$x\n", "$x"), ("A=\"$x\"\n", "$x"), ("A=x # y\n", "x # y"), ("A=a b\n", "a b")]
        {
            assert_ne!(set(line, "A", value), line, "a shell would read {line:?} otherwise");
        }
    }

    #[test]
    fn values_keep_their_text_in_the_plainest_quotes_that_do() {
        for (value, written) in [
            ("0644", "0644"),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("LABEL=COS_OEM:/oem", "\"LABEL=COS_OEM:/oem\""),
            ("x$y !", "'x$y !'"),
            ("it's", "\"it's\""),
            ("it's $5 \"\\`", "\"it's \\$5 \\\"\\\\\\`\""),
            ("a#b", "\"a#b\""),
            ("~", "\"~\""),
            ("grün", "\"grün\""),
            ("\\", "'\\'"),
            (" x\t", "\" x\t\""),
        ] {
            assert_eq!(set("", "A", value), format!("A={written}\n"));
            let (file, _) = EnvFile::parse(format!("A={written}\n").as_bytes());
            assert_eq!(file.get("A"), Some(value.as_bytes()));
        }
        let mut file = EnvFile::default();
        for (key, value) in [("A", "a\nb"), ("A", "a\0"), ("1A", ""), ("", ""), ("A-B", ""), ("A B", "")] {
            assert!(file.set(key, value).is_err(), "{key:?} {value:?}");
        }
    }

    #[test]
    fn a_value_may_span_lines_and_what_stands_in_it_is_no_assignment() {
        let before = "A='one\nB=not\n'\nB=2\n";
        assert_eq!(set(before, "B", "3"), "A='one\nB=not\n'\nB=3\n");
        assert_eq!(set(before, "A", "1"), "A=1\nB=2\n");
    }

    #[test]
    fn a_quote_that_is_never_closed_spoils_only_its_line() {
        let (mut file, unclosed) = EnvFile::parse(b"A=1\nB=\"open\nC=3\n");
        assert_eq!((file.get("B"), file.get("C"), unclosed), (None, Some(&b"3"[..]), Some(2)));
        file.set("C", "4").unwrap();
        assert_eq!(file.into_bytes(), b"A=1\nB=\"open\nC=4\n");
    }

    #[test]
    fn bytes_that_are_no_text_are_kept() {
        let before = b"\xff\xfe=1\nA=\"\xff\"\n\0\n";
        let (file, _) = EnvFile::parse(before);
        assert_eq!(file.get("A"), Some(&b"\xff"[..]));
        assert_eq!(file.into_bytes(), before);
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a real shell says what it reads")]
    fn a_shell_reads_the_same_values() {
        for value in
            ["", "a b", "x$y !", "it's", "it's $5 \"\\`", "a#b", "~", "*", "\\n", "`id`", "$(id)", "!!;&|<>"]
        {
            let script = format!("{}printf %s \"$A\"", set("", "A", value));
            let output = std::process::Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), value, "{script}");
        }
    }
}
