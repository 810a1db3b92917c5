//! The name of this machine in hosts(5). What is not the line for it stays as it is, byte for byte.

/// The content of a new file.
pub(super) fn new(name: &str) -> Vec<u8> {
    format!("127.0.0.1 localhost {name}\n::1 localhost\n").into_bytes()
}

/// The content with the line for this machine naming it, in place of the name it had before.
pub(super) fn with_name(content: &[u8], name: &str, before: Option<&str>) -> Vec<u8> {
    let lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
    let line_for = |address: &[u8]| lines.iter().position(|line| Line::parse(line).is_for(address));
    let (at, loopback) = match line_for(b"127.0.1.1") {
        Some(at) => (Some(at), false),
        None => (line_for(b"127.0.0.1"), true),
    };
    let Some(at) = at else {
        let mut content = content.to_vec();
        if !content.is_empty() && !content.ends_with(b"\n") {
            content.push(b'\n');
        }
        content.extend(format!("127.0.0.1 localhost {name}\n").bytes());
        return content;
    };
    let mut line = Line::parse(lines[at]);
    line.rename(name.as_bytes(), before.unwrap_or_default().as_bytes(), loopback);
    [&lines[..at].concat()[..], &line.to_bytes(), &lines[at + 1..].concat()].concat()
}

/// The content with the first line for an address naming exactly these names; a missing line is added.
pub(crate) fn with_line(content: &[u8], address: &str, names: &[&str]) -> Vec<u8> {
    let lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
    let Some(at) = lines.iter().position(|line| Line::parse(line).is_for(address.as_bytes())) else {
        let end: &[u8] = if content.is_empty() || content.ends_with(b"\n") { b"" } else { b"\n" };
        return [content, end, format!("{address} {}\n", names.join(" ")).as_bytes()].concat();
    };
    let mut line = Line::parse(lines[at]);
    let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
    line.changed = line.names != names;
    line.names = names;
    [&lines[..at].concat()[..], &line.to_bytes(), &lines[at + 1..].concat()].concat()
}

/// A line in its parts.
struct Line<'l> {
    /// White space, the address, and white space.
    beginning: &'l [u8],
    address: &'l [u8],
    names: Vec<&'l [u8]>,
    /// The names as they were written.
    written: &'l [u8],
    changed: bool,
    /// White space, a comment, the line feed.
    end: &'l [u8],
}

impl<'l> Line<'l> {
    fn parse(line: &'l [u8]) -> Self {
        let comment = line.iter().position(|byte| *byte == b'#').unwrap_or(line.len());
        let fields = line[..comment].trim_ascii_end();
        let address = fields.trim_ascii_start();
        let address = &address[..address.iter().position(u8::is_ascii_whitespace).unwrap_or(address.len())];
        let behind = fields.len() - fields.trim_ascii_start().len() + address.len();
        let written = fields[behind..].trim_ascii_start();
        Self {
            beginning: &fields[..fields.len() - written.len()],
            address,
            names: written.split(u8::is_ascii_whitespace).filter(|name| !name.is_empty()).collect(),
            written,
            changed: false,
            end: &line[fields.len()..],
        }
    }

    fn is_for(&self, address: &[u8]) -> bool {
        self.address == address
    }

    /// Puts `name` among the names: in the place of `before`, else behind the others.
    fn rename(&mut self, name: &'l [u8], before: &[u8], loopback: bool) {
        let old = self.names.clone();
        if loopback && !self.names.contains(&&b"localhost"[..]) {
            self.names.insert(0, b"localhost");
        }
        let replaceable = |other: &[u8]| other == before && other != name && other != b"localhost";
        if !self.names.contains(&name) {
            let at = self.names.iter().position(|other| replaceable(other)).unwrap_or(self.names.len());
            self.names.insert(at, name);
        }
        self.names.retain(|other| !replaceable(other));
        self.changed = self.names != old;
    }

    fn to_bytes(&self) -> Vec<u8> {
        if !self.changed {
            return [self.beginning, self.written, self.end].concat();
        }
        let space: &[u8] = if self.beginning.ends_with(self.address) { b" " } else { b"" };
        [self.beginning, space, &self.names.join(&b' '), self.end].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::{with_line, with_name};

    fn rename(content: &str, before: Option<&str>) -> String {
        String::from_utf8(with_name(content.as_bytes(), "web", before)).unwrap()
    }

    #[test]
    fn aliases_are_kept_and_localhost_comes_first() {
        assert_eq!(rename("127.0.0.1 a b\n", None), "127.0.0.1 localhost a b web\n");
        assert_eq!(rename("127.0.0.1 boo\n", Some("boo")), "127.0.0.1 localhost web\n");
        assert_eq!(rename("127.0.0.1 a localhost\n", None), "127.0.0.1 a localhost web\n");
        assert_eq!(rename("127.0.0.1", None), "127.0.0.1 localhost web");
    }

    #[test]
    fn the_name_before_is_replaced_where_it_stands() {
        assert_eq!(rename("127.0.0.1 localhost old a\n", Some("old")), "127.0.0.1 localhost web a\n");
        assert_eq!(rename("127.0.0.1 localhost old web\n", Some("old")), "127.0.0.1 localhost web\n");
        assert_eq!(rename("127.0.0.1 localhost a\n", Some("localhost")), "127.0.0.1 localhost a web\n");
    }

    #[test]
    fn the_line_for_127_0_1_1_is_used_where_there_is_one() {
        assert_eq!(
            rename("127.0.0.1 localhost\n127.0.1.1\told.example.org old\n", Some("old")),
            "127.0.0.1 localhost\n127.0.1.1\told.example.org web\n"
        );
    }

    #[test]
    fn all_else_is_kept_byte_for_byte() {
        let content =
            b"# 127.0.0.1 x\n\n  127.0.0.1\t localhost   old # \xe4\r\n127.0.0.1 again\n\xff\xfe\n::1 a";
        let expected =
            b"# 127.0.0.1 x\n\n  127.0.0.1\t localhost web # \xe4\r\n127.0.0.1 again\n\xff\xfe\n::1 a";
        assert_eq!(with_name(content, "web", Some("old")), expected);
        let content = "127.0.0.1  localhost\t web   #x";
        assert_eq!(rename(content, Some("web")), content);
    }

    #[test]
    fn a_missing_line_is_added() {
        assert_eq!(rename("::1 localhost", None), "::1 localhost\n127.0.0.1 localhost web\n");
        assert_eq!(rename("", None), "127.0.0.1 localhost web\n");
    }

    #[test]
    fn a_line_can_be_given_other_names() {
        let with = |content: &str| with_line(content.as_bytes(), "127.0.1.1", &["a.b", "a"]);
        assert_eq!(with("127.0.0.1 x\n127.0.1.1\told # c\n"), b"127.0.0.1 x\n127.0.1.1\ta.b a # c\n");
        assert_eq!(with("127.0.1.1\ta.b  a\n"), b"127.0.1.1\ta.b  a\n");
        assert_eq!(with("::1 x"), b"::1 x\n127.0.1.1 a.b a\n");
        assert_eq!(with(""), b"127.0.1.1 a.b a\n");
    }

    #[test]
    fn an_address_that_only_begins_alike_is_another() {
        assert_eq!(rename("127.0.0.10 a\n", None), "127.0.0.10 a\n127.0.0.1 localhost web\n");
    }
}
