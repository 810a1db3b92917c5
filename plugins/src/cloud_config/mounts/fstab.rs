//! Lines of fstab(5), and an edit of the file that keeps all that others wrote.

use anyhow::{Result, bail};
use std::collections::HashSet;

/// The file.
pub(super) const PATH: &str = "/etc/fstab";

/// The option by which lines that were made here are known, as with cloud-init; mount(8) ignores it.
const MARK: &str = "comment=cloudconfig";

/// A line: what is mounted, where, its type, options, and two numbers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line([String; 6]);

impl Line {
    /// A line, marked as made here.
    pub(super) fn new(mut fields: [String; 6]) -> Result<Self> {
        if let Some(bad) = fields.iter().find(|field| field.contains(|c: char| c.is_control() && c != '\t')) {
            bail!("{bad:?} holds a control character");
        }
        if let Some(bad) = fields[4..].iter().find(|number| number.parse::<u8>().is_err()) {
            bail!("the last two fields are numbers, and {bad:?} is none (fstab(5))");
        }
        if !fields[3].split(',').any(|option| option == MARK) {
            fields[3] = format!("{},{MARK}", fields[3]);
        }
        let line = Self(fields);
        if !line.is_swap() && !line.point().starts_with('/') {
            bail!("the mount point {:?} is not absolute", line.point());
        }
        Ok(line)
    }

    pub(super) fn point(&self) -> &str {
        &self.0[1]
    }

    pub(super) fn is_swap(&self) -> bool {
        self.0[2] == "swap"
    }

    pub(super) fn has_option(&self, option: &str) -> bool {
        self.0[3].split(',').any(|other| other == option)
    }

    fn to_text(&self) -> String {
        self.0.each_ref().map(|field| escaped(field)).join(" ")
    }
}

fn escaped(field: &str) -> String {
    let mut text = String::new();
    for (index, c) in field.chars().enumerate() {
        match c {
            ' ' => text += "\\040",
            '\t' => text += "\\011",
            '\\' => text += "\\134",
            '#' if index == 0 => text += "\\043",
            c => text.push(c),
        }
    }
    text
}

/// The content with those of the lines that nobody else has written, and without others that were made here.
pub(super) fn edit(content: &[u8], wanted: &[&Line]) -> Vec<u8> {
    let lines = content.split_inclusive(|byte| *byte == b'\n');
    let mut kept: Vec<u8> = lines.filter(|line| !is_marked(line)).flatten().copied().collect();
    let of_others: HashSet<(Vec<u8>, Vec<u8>)> = kept
        .split(|byte| *byte == b'\n')
        .filter_map(fields)
        .filter_map(|mut fields| Some((fields.next()?.to_owned(), fields.next()?.to_owned())))
        .collect();
    let mut texts = Vec::new();
    for line in wanted {
        let text = line.to_text();
        let place = (escaped(&line.0[0]).into_bytes(), escaped(&line.0[1]).into_bytes());
        if !of_others.contains(&place) && !texts.contains(&text) {
            texts.push(text);
        }
    }
    if !texts.is_empty() && !kept.is_empty() && !kept.ends_with(b"\n") {
        kept.push(b'\n');
    }
    for text in texts {
        kept.extend(text.bytes());
        kept.push(b'\n');
    }
    kept
}

/// The fields of a line that has some.
fn fields(line: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let line = line.trim_ascii();
    let fields = || line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    (!line.is_empty() && !line.starts_with(b"#")).then(fields)
}

fn is_marked(line: &[u8]) -> bool {
    let options = fields(line).and_then(|mut fields| fields.nth(3));
    options.is_some_and(|options| options.split(|byte| *byte == b',').any(|option| option == MARK.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::{Line, edit};

    fn line(device: &str, point: &str) -> Line {
        Line::new([device, point, "auto", "ro", "0", "2"].map(str::to_owned)).unwrap()
    }

    #[test]
    fn what_others_wrote_stays_byte_for_byte_however_odd() {
        let others = b"# a\r\n\n\xff\xfe garbage\nLABEL=A  /  ext4\nx y z comment=cloudconfigured\n#x y z comment=cloudconfig\nend";
        assert_eq!(edit(others, &[]), others);
        let expected = [&others[..], b"\n/dev/a /a auto ro,comment=cloudconfig 0 2\n"].concat();
        assert_eq!(edit(others, &[&line("/dev/a", "/a")]), expected);
        assert_eq!(edit(&expected, &[&line("/dev/a", "/a")]), expected);
        assert_eq!(edit(&expected, &[]), [&others[..], b"\n"].concat());
    }

    #[test]
    fn what_another_line_mounts_already_is_not_repeated() {
        let others = b"/dev/a /a\\040b ext4 defaults 0 0\n";
        assert_eq!(edit(others, &[&line("/dev/a", "/a b")]), others);
        let twice = edit(b"", &[&line("/dev/a", "/a"), &line("/dev/a", "/a")]);
        assert_eq!(twice, b"/dev/a /a auto ro,comment=cloudconfig 0 2\n");
    }

    #[test]
    fn ten_thousand_lines_are_no_matter() {
        let others: String = (0..10_000).map(|n| format!("/dev/x{n} /m/{n} ext4 defaults 0 0\n")).collect();
        let wanted: Vec<Line> = (0..2000).map(|n| line(&format!("/dev/y{n}"), &format!("/n/{n}"))).collect();
        let wanted: Vec<&Line> = wanted.iter().collect();
        let once = edit(others.as_bytes(), &wanted);
        assert_eq!(once.iter().filter(|byte| **byte == b'\n').count(), 12_000);
        assert_eq!(edit(&once, &wanted), once);
    }

    #[test]
    fn a_device_that_looks_like_a_comment_is_none() {
        assert!(line("#x", "/a\\b").to_text().starts_with("\\043x /a\\134b "));
        assert!(Line::new(["a", "/b\nc", "d", "e", "0", "0"].map(str::to_owned)).is_err());
    }
}
