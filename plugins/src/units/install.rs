//! The `[Install]` section of unit files, by the rules of systemd.unit(5) and systemd.syntax(7).
//!
//! Pure: text in, values and findings out. Values keep their specifiers, which need the name of the unit.

use super::UnitName;
use anyhow::{Result, bail};

/// What `[Install]` sections say, over a unit file and its drop-ins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Install {
    pub(super) wanted_by: Vec<String>,
    pub(super) required_by: Vec<String>,
    pub(super) upheld_by: Vec<String>,
    pub(super) aliases: Vec<String>,
    pub(super) also: Vec<String>,
    pub(super) default_instance: Option<String>,
}

impl Install {
    /// Adds what the content of a unit file or drop-in says. Lines that cannot be understood are left out and
    /// named in `warnings`; a section header that is not closed spoils the file.
    pub(super) fn read(&mut self, content: &[u8], warnings: &mut Vec<String>) -> Result<()> {
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        let mut here = false;
        for (number, line) in logical_lines(content) {
            let Ok(line) = String::from_utf8(line) else {
                warnings.push(format!("line {number} is not UTF-8 text and is left out"));
                continue;
            };
            let line = line.trim();
            if let Some(header) = line.strip_prefix('[') {
                let Some(section) = header.strip_suffix(']') else {
                    bail!("line {number}: the section header {line:?} is not closed");
                };
                here = section == "Install";
            } else if here && !line.is_empty() {
                match line.split_once('=') {
                    Some((key, value)) => self.assign(number, key.trim_end(), value.trim_start(), warnings),
                    None => warnings.push(format!("line {number} has no `=` and is left out")),
                }
            }
        }
        Ok(())
    }

    /// Whether there is anything that enabling could do.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self { default_instance: self.default_instance.clone(), ..Self::default() }
    }

    fn assign(&mut self, number: usize, key: &str, value: &str, warnings: &mut Vec<String>) {
        let list = match key {
            "WantedBy" => &mut self.wanted_by,
            "RequiredBy" => &mut self.required_by,
            "UpheldBy" => &mut self.upheld_by,
            "Alias" => &mut self.aliases,
            "Also" => &mut self.also,
            "DefaultInstance" => {
                self.default_instance = Some(value.to_owned()).filter(|value| !value.is_empty());
                return;
            }
            _ => return,
        };
        // An empty value forgets what was said before; only `Also=` cannot be taken back.
        if value.is_empty() && key != "Also" {
            list.clear();
        }
        match words(value) {
            Some(words) => list.extend(words),
            None => warnings.push(format!("line {number}: a quote is not closed; the line is left out")),
        }
    }
}

/// The lines of a file with those joined that end in a backslash, without comments; each with the number of
/// its first line.
fn logical_lines(content: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    let mut lines = content.split(|byte| *byte == b'\n').enumerate();
    std::iter::from_fn(move || {
        let (mut first, mut joined) = (0, Vec::new());
        for (index, line) in lines.by_ref() {
            let line = line.trim_ascii_start();
            if line.starts_with(b"#") || line.starts_with(b";") {
                continue;
            }
            if first == 0 {
                first = index + 1;
            }
            joined.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
            let backslashes = joined.iter().rev().take_while(|byte| **byte == b'\\').count();
            if backslashes % 2 == 0 {
                return Some((first, joined));
            }
            joined.pop();
            joined.push(b' ');
        }
        (first > 0).then_some((first, joined))
    })
}

/// The words of a list; quotes hold words together. `None` when a quote is not closed.
fn words(value: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let (mut word, mut quote): (Option<String>, _) = (None, None);
    for c in value.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_ascii_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// Replaces the specifiers that an `[Install]` section may use. A template stands for its default instance
/// where it has one.
///
/// Like systemctl, this refuses `%I`, `%J` and `%P`, whose values may be no names; the specifiers that ask
/// for facts of a machine (`%H`, `%m`, `%v`) are refused because the root is not yet that machine.
pub(super) fn expand(text: &str, unit: &UnitName, default_instance: Option<&str>) -> Result<String> {
    let named = match (unit.instance(), default_instance) {
        (Some(""), Some(instance)) => &unit.with_instance(instance)?,
        _ => unit,
    };
    let mut expanded = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            expanded.push(c);
            continue;
        }
        match chars.next() {
            Some('%') => expanded.push('%'),
            Some('i') => expanded.push_str(named.instance().unwrap_or_default()),
            Some('j') => {
                expanded.push_str(named.prefix().rsplit_once('-').map_or(named.prefix(), |(_, last)| last));
            }
            Some('n') => expanded.push_str(named.as_str()),
            Some('N') => expanded.push_str(named.stem()),
            Some('p') => expanded.push_str(named.prefix()),
            Some('u' | 'g') => expanded.push_str("root"),
            Some('U' | 'G') => expanded.push('0'),
            Some(other) => {
                bail!("{text:?} uses the specifier `%{other}`, which has no meaning in [Install] here")
            }
            None => bail!("{text:?} ends in a lone `%`"),
        }
    }
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> (Install, Vec<String>) {
        let (mut install, mut warnings) = (Install::default(), Vec::new());
        install.read(content.as_bytes(), &mut warnings).unwrap();
        (install, warnings)
    }

    #[test]
    fn lists_grow_continue_quote_and_are_forgotten() {
        let (install, warnings) = read(
            "\u{feff}[Unit]\nWantedBy=not.target\n\
             [Install]\nWantedBy=old.target\nWantedBy=\n WantedBy = \"a.target\" b.target \\\n# comment\n   c.target\n\
             ; comment\nAlso=x.socket\nAlso=\nAlso='y.socket'\nDefaultInstance=one\nUnknown=1\n[Unit]\nAlso=no\n",
        );
        assert_eq!(install.wanted_by, ["a.target", "b.target", "c.target"]);
        assert_eq!(install.also, ["x.socket", "y.socket"]);
        assert_eq!(install.default_instance.as_deref(), Some("one"));
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn malformed_lines_are_left_out_and_named() {
        let (mut install, mut warnings) = (Install::default(), Vec::new());
        install
            .read(
                b"[Install]\nnothing\nWantedBy=\"a\nAlias=\xff\nRequiredBy=b.target\\\\\nAlso=x\\",
                &mut warnings,
            )
            .unwrap();
        assert_eq!(install.required_by, ["b.target\\\\"]);
        assert_eq!(install.also, ["x"]);
        assert_eq!(
            warnings,
            [
                "line 2 has no `=` and is left out",
                "line 3: a quote is not closed; the line is left out",
                "line 4 is not UTF-8 text and is left out",
            ]
        );
        let error = install.read(b"[Unit]\n[Install\nWantedBy=a.target\n", &mut warnings).unwrap_err();
        assert_eq!(error.to_string(), "line 2: the section header \"[Install\" is not closed");
    }

    #[test]
    fn specifiers_stand_for_parts_of_the_name() {
        let unit = UnitName::parse("foo-bar@baz.service").unwrap();
        let expanded = expand("%i|%j|%n|%N|%p|%%|%u%U", &unit, Some("unused")).unwrap();
        assert_eq!(expanded, "baz|bar|foo-bar@baz.service|foo-bar@baz|foo-bar|%|root0");
        let template = UnitName::parse("a@.service").unwrap();
        assert_eq!(expand("%i-%n", &template, Some("x")).unwrap(), "x-a@x.service");
        assert_eq!(expand("[%i]", &template, None).unwrap(), "[]");
        for text in ["%I", "%H.target", "%"] {
            assert!(expand(text, &unit, None).is_err(), "{text}");
        }
    }
}
