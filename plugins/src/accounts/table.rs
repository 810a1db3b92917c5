//! The lines of an account database.
//!
//! A line is an entry when the C library would read it as one; all others (blank, comments, NIS, malformed)
//! are kept as they are. Editing an entry changes the fields that are edited and no other byte.

use super::field::{check_value, parse_id};
use super::kind::{Column, Kind, NAME};
use anyhow::{Result, bail};
use std::ops::Range;

/// The text of an account database.
#[derive(Clone, PartialEq, Eq)]
pub struct Table {
    kind: Kind,
    lines: Vec<Line>,
}

#[derive(Clone, PartialEq, Eq)]
struct Line {
    text: Vec<u8>,
    /// What ends the line: `\n`, `\r\n`; behind the last one also nothing, or half of that.
    end: &'static [u8],
    class: Class,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Entry,
    /// A comment, or an entry that stands for those of a directory service (`+`, `+@admins`, `-mallory`).
    Other,
    NotAnEntry,
}

/// One entry, as it stands in the table.
#[derive(Clone, Copy)]
pub struct Entry<'t> {
    text: &'t [u8],
}

impl Table {
    /// Reads a table. Every sequence of bytes is one.
    pub fn parse(kind: Kind, content: &[u8]) -> Self {
        let lines =
            content.split_inclusive(|byte| *byte == b'\n').map(|line| Line::parse(kind, line)).collect();
        Self { kind, lines }
    }

    /// The table as it is written.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|line| line.text.iter().chain(line.end)).copied().collect()
    }

    /// Its entries, in their order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.lines.iter().filter(|line| line.class == Class::Entry).map(|line| Entry { text: &line.text })
    }

    /// The entry of this name; the first, if there are several, as the C library takes it.
    pub fn find(&self, name: &str) -> Option<Entry<'_>> {
        self.entries().find(|entry| entry.get(NAME) == name.as_bytes())
    }

    /// The numbers (from 1) of lines that are blank or malformed.
    pub fn malformed_lines(&self) -> impl Iterator<Item = usize> {
        let lines = self.lines.iter().enumerate();
        lines.filter(|(_, line)| line.class == Class::NotAnEntry).map(|(index, _)| index + 1)
    }

    /// The numbers in a column, those of malformed lines too: a line that somebody may yet mend keeps its
    /// number.
    pub fn ids(&self, column: Column) -> impl Iterator<Item = u32> {
        let lines = self.lines.iter().filter(|line| line.class != Class::Other);
        lines.filter_map(move |line| parse_id(Entry { text: &line.text }.get(column)))
    }

    /// Sets fields of an entry; a line that is too short for them becomes longer. Nothing is changed when
    /// one of the values cannot be a field or there is no such entry; whether there is one is returned.
    pub fn set(&mut self, name: &str, values: &[(Column, &str)]) -> Result<bool> {
        let Some(line) = self.lines.iter_mut().find(|line| line.is_entry_of(name)) else { return Ok(false) };
        line.text = with_fields(self.kind, &line.text, values)?;
        Ok(true)
    }

    /// Adds an entry: at the end, or before the entries that stand for a directory service.
    pub fn insert(&mut self, fields: &[(Column, &str)]) -> Result<()> {
        let empty = vec![b':'; self.kind.columns() - 1];
        let text = with_fields(self.kind, &empty, fields)?;
        let service = |line: &Line| matches!(line.text.first(), Some(b'+' | b'-'));
        let at = self.lines.iter().position(service).unwrap_or(self.lines.len());
        if let Some(before) = at.checked_sub(1).and_then(|before| self.lines.get_mut(before)) {
            before.end = match before.end {
                b"" => b"\n",
                b"\r" => b"\r\n",
                whole => whole,
            };
        }
        self.lines.insert(at, Line { text, end: b"\n", class: Class::Entry });
        Ok(())
    }

    /// Sets fields of an entry, or adds it. The name must be among the fields.
    pub fn put(&mut self, name: &str, fields: &[(Column, &str)]) -> Result<()> {
        if !self.set(name, fields)? {
            self.insert(fields)?;
        }
        Ok(())
    }

    /// Adds a name to the list in a field, unless it is there. Nothing happens when there is no such entry.
    pub fn add_to_list(&mut self, name: &str, column: Column, member: &str) -> Result<()> {
        check_value(column.name, member)?;
        if member.is_empty() || member.contains(|c: char| c == ',' || c.is_whitespace()) {
            bail!("{member:?} cannot be in the {}", column.name);
        }
        let line = self.lines.iter_mut().find(|line| line.is_entry_of(name));
        if let Some(line) = line {
            let list = Entry { text: &line.text }.get(column).trim_ascii_end();
            if !list.split(|byte| *byte == b',').any(|other| other.trim_ascii() == member.as_bytes()) {
                let separator = if list.is_empty() || list.ends_with(b",") { "" } else { "," };
                let list = [list, separator.as_bytes(), member.as_bytes()].concat();
                set_field(&mut line.text, column, &list);
            }
        }
        Ok(())
    }

    /// Removes all entries of this name.
    pub fn remove(&mut self, name: &str) {
        self.lines.retain(|line| !line.is_entry_of(name));
    }
}

impl Line {
    fn parse(kind: Kind, line: &[u8]) -> Self {
        let (text, end): (_, &'static [u8]) = if let Some(text) = line.strip_suffix(b"\r\n") {
            (text, b"\r\n")
        } else if let Some(text) = line.strip_suffix(b"\n") {
            (text, b"\n")
        } else if let Some(text) = line.strip_suffix(b"\r") {
            (text, b"\r")
        } else {
            (line, b"")
        };
        Self { text: text.to_vec(), end, class: Class::of(kind, text) }
    }

    fn is_entry_of(&self, name: &str) -> bool {
        self.class == Class::Entry && Entry { text: &self.text }.get(NAME) == name.as_bytes()
    }
}

/// The line with the fields set, if it is then an entry.
fn with_fields(kind: Kind, text: &[u8], fields: &[(Column, &str)]) -> Result<Vec<u8>> {
    let mut text = text.to_vec();
    for (column, value) in fields {
        check_value(column.name, value)?;
        set_field(&mut text, *column, value.as_bytes());
    }
    if Class::of(kind, &text) != Class::Entry {
        bail!("the name or a number is none that {} could hold", kind.path());
    }
    Ok(text)
}

/// Puts a value in place of a field; the line becomes longer if it is too short for it.
fn set_field(text: &mut Vec<u8>, column: Column, value: &[u8]) {
    let missing = (column.index + 1).saturating_sub(Entry { text }.len());
    text.extend(std::iter::repeat_n(b':', missing));
    if let Some(range) = (Entry { text }).range(column) {
        text.splice(range, value.iter().copied());
    }
}

impl Class {
    fn of(kind: Kind, text: &[u8]) -> Self {
        match text.first() {
            Some(b'#' | b'+' | b'-') => return Self::Other,
            None | Some(b':') => return Self::NotAnEntry,
            Some(_) => {}
        }
        let entry = Entry { text };
        let whole = (kind.least_columns()..=kind.columns()).contains(&entry.len());
        let numbered = kind.id_columns().iter().all(|column| parse_id(entry.get(*column)).is_some());
        if whole && numbered && !text.contains(&0) { Self::Entry } else { Self::NotAnEntry }
    }
}

impl<'t> Entry<'t> {
    /// A field; empty when the line is too short for it.
    pub fn get(self, column: Column) -> &'t [u8] {
        self.text.split(|byte| *byte == b':').nth(column.index).unwrap_or_default()
    }

    /// A field as text; bytes that are not UTF-8 are replaced, which only names and lists that are compared
    /// with UTF-8 can bear.
    pub fn text(self, column: Column) -> std::borrow::Cow<'t, str> {
        String::from_utf8_lossy(self.get(column))
    }

    /// A field as the number of a user or group.
    pub fn id(self, column: Column) -> Option<u32> {
        parse_id(self.get(column))
    }

    fn len(self) -> usize {
        self.text.split(|byte| *byte == b':').count()
    }

    fn range(self, column: Column) -> Option<Range<usize>> {
        let mut start = 0;
        for (index, field) in self.text.split(|byte| *byte == b':').enumerate() {
            if index == column.index {
                return Some(start..start + field.len());
            }
            start += field.len() + 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::kind::{PASSWORD, group, passwd, shadow};
    use super::*;

    const ODD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n\n# a comment\nbroken\n:x:1:1:::\ndup:x:5:5:::\r\n\
        dup:x:6:6:::\nshort:x:7:7\nlatin:x:8:8:J\xf6rg:/:\nbad:x:y:1:::\nlong:x:1:1:::/bin/sh:more\n  \n+::::::\n-mallory";

    fn lines(table: &Table) -> Vec<String> {
        table.to_bytes().split(|b| *b == b'\n').map(|l| String::from_utf8_lossy(l).into_owned()).collect()
    }

    #[test]
    fn what_is_not_edited_stays_byte_for_byte() {
        let table = Table::parse(Kind::User, ODD);
        assert_eq!(table.to_bytes(), ODD);
        let mut edited = table.clone();
        assert!(edited.set("root", &[(passwd::SHELL, "/bin/bash")]).unwrap());
        let rest = |bytes: &[u8]| bytes.splitn(2, |b| *b == b'\n').nth(1).map(<[u8]>::to_vec);
        assert_eq!(rest(&edited.to_bytes()), rest(ODD));
        assert_eq!(lines(&edited)[0], "root:x:0:0:root:/root:/bin/bash");
    }

    #[test]
    fn entries_are_the_lines_that_the_c_library_reads() {
        let table = Table::parse(Kind::User, ODD);
        let names: Vec<_> = table.entries().map(|entry| entry.text(NAME).into_owned()).collect();
        assert_eq!(names, ["root", "dup", "dup", "short", "latin"]);
        assert_eq!(table.malformed_lines().collect::<Vec<_>>(), [2, 4, 5, 10, 11, 12]);
        assert_eq!(table.find("dup").unwrap().id(passwd::UID), Some(5));
        assert_eq!(table.find("latin").unwrap().get(passwd::GECOS), b"J\xf6rg");
        assert!(table.find("broken").is_none() && table.find("").is_none() && table.find("+").is_none());
    }

    #[test]
    fn malformed_lines_keep_their_numbers() {
        let table = Table::parse(Kind::User, b"bad:x:1000:nobody:::\nlong:x:1001:1:::/bin/sh:more\n");
        assert_eq!(table.entries().count(), 0);
        assert_eq!(table.ids(passwd::UID).collect::<Vec<_>>(), [1000, 1001]);
    }

    #[test]
    fn new_entries_come_last_but_before_those_of_a_directory_service() {
        let mut table = Table::parse(Kind::Group, b"a:x:1:\n+:::");
        table.insert(&[(NAME, "b"), (PASSWORD, "x"), (group::GID, "2"), (group::MEMBERS, "m")]).unwrap();
        assert_eq!(table.to_bytes(), b"a:x:1:\nb:x:2:m\n+:::");
        let mut table = Table::parse(Kind::Group, b"a:x:1:");
        table.insert(&[(NAME, "b"), (PASSWORD, "x"), (group::GID, "2")]).unwrap();
        assert_eq!(table.to_bytes(), b"a:x:1:\nb:x:2:\n");
        let mut table = Table::parse(Kind::Shadow, b"");
        table.insert(&[(NAME, "b"), (PASSWORD, "!"), (shadow::LAST_CHANGED, "3")]).unwrap();
        assert_eq!(table.to_bytes(), b"b:!:3::::::\n");
    }

    #[test]
    fn short_lines_grow_and_line_endings_stay() {
        let mut table = Table::parse(Kind::User, ODD);
        table.set("short", &[(passwd::SHELL, "/bin/sh")]).unwrap();
        table.set("dup", &[(passwd::SHELL, "/bin/sh")]).unwrap();
        assert_eq!(lines(&table)[7], "short:x:7:7:::/bin/sh");
        assert_eq!(lines(&table)[5], "dup:x:5:5:::/bin/sh\r");
    }

    #[test]
    fn members_are_added_once_and_the_others_keep_their_bytes() {
        for (before, after) in [
            ("g:x:1:", "g:x:1:new"),
            ("g:x:1", "g:x:1:new"),
            ("g:x:1:a,newer\r\n", "g:x:1:a,newer,new\r\n"),
            ("g:x:1:a,\n", "g:x:1:a,new\n"),
            ("g:x:1:a, new ,b\n", "g:x:1:a, new ,b\n"),
            ("h:x:1:a\n", "h:x:1:a\n"),
        ] {
            let mut table = Table::parse(Kind::Group, before.as_bytes());
            table.add_to_list("g", group::MEMBERS, "new").unwrap();
            assert_eq!(String::from_utf8(table.to_bytes()).unwrap(), after);
        }
        let mut table = Table::parse(Kind::Group, b"g:x:1:J\xf6rg");
        table.add_to_list("g", group::MEMBERS, "new").unwrap();
        assert_eq!(table.to_bytes(), b"g:x:1:J\xf6rg,new");
        for bad in ["a:b", "a,b", " a", ""] {
            assert!(table.add_to_list("g", group::MEMBERS, bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn all_entries_of_a_name_are_removed_and_nothing_else() {
        let mut table = Table::parse(Kind::User, ODD);
        table.remove("dup");
        table.remove("broken");
        table.remove("nobody");
        assert_eq!(lines(&table).len(), lines(&Table::parse(Kind::User, ODD)).len() - 2);
        assert!(table.find("dup").is_none());
    }

    #[test]
    fn a_value_that_would_break_the_line_changes_nothing() {
        let mut table = Table::parse(Kind::User, ODD);
        assert!(table.set("root", &[(passwd::SHELL, "/bin/sh"), (passwd::GECOS, "a\nb::0:0:::")]).is_err());
        assert!(table.insert(&[(NAME, "x"), (passwd::GECOS, "a:b")]).is_err());
        assert!(table.insert(&[(NAME, "#x"), (passwd::UID, "1"), (passwd::GID, "1")]).is_err());
        assert!(table.insert(&[(NAME, "x"), (passwd::UID, "-1"), (passwd::GID, "1")]).is_err());
        assert!(table.set("root", &[(passwd::UID, "4294967295")]).is_err());
        assert_eq!(table.to_bytes(), ODD);
    }
}
