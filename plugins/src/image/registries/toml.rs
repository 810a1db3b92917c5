//! As much of TOML as registries.conf is written in: tables, and keys with texts, booleans and lists. All else is an
//! error, not a guess. A whole reader would be 0.1 MB of the binary.

/// What stands on a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// `[a.b]` or `[[a.b]]`.
    Table(String),
    /// `key = value`.
    Value(String, Value),
}

/// A value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A text.
    Text(String),
    /// `true` or `false`.
    Flag(bool),
    /// A list or a number, of which none matters here.
    Other,
}

/// A text, line by line.
pub(super) struct Lines<'t> {
    text: &'t str,
    rest: &'t str,
}

/// The number of a line, and what is wrong there.
type Wrong = (usize, String);

/// How deep lists may lie in lists.
const DEEPEST: usize = 8;

impl<'t> Lines<'t> {
    /// Begins.
    pub(super) fn new(text: &'t str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { text, rest: text }
    }

    /// The number of the line.
    pub(super) fn number(&self) -> usize {
        let read = &self.text[..self.text.len() - self.rest.len()];
        1 + read.matches('\n').count()
    }

    /// The next line on which something stands.
    pub(super) fn next(&mut self) -> Result<Option<Line>, Wrong> {
        self.skip(true);
        let line = match self.rest.as_bytes() {
            [] => return Ok(None),
            [b'[', b'[', ..] => self.table("[[", "]]")?,
            [b'[', ..] => self.table("[", "]")?,
            _ => {
                let key = self.key()?;
                self.skip(false);
                self.expect("=")?;
                self.skip(false);
                Line::Value(key, self.value(0)?)
            }
        };
        self.skip(false);
        match self.rest.starts_with(['\n', '\r']) || self.rest.is_empty() {
            true => Ok(Some(line)),
            false => Err(self.wrong("something stands behind it")),
        }
    }

    fn table(&mut self, open: &str, close: &str) -> Result<Line, Wrong> {
        self.expect(open)?;
        let mut name = String::new();
        loop {
            self.skip(false);
            name += &self.key()?;
            self.skip(false);
            if !self.rest.starts_with('.') {
                break;
            }
            self.expect(".")?;
            name.push('.');
        }
        self.expect(close)?;
        Ok(Line::Table(name))
    }

    fn key(&mut self) -> Result<String, Wrong> {
        if self.rest.starts_with(['"', '\'']) {
            return self.quoted();
        }
        let bare = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
        match self.take(self.rest.find(|letter| !bare(letter)).unwrap_or(self.rest.len())) {
            "" => Err(self.wrong("a key is expected")),
            key => Ok(key.to_owned()),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, Wrong> {
        match self.rest.chars().next() {
            Some('"' | '\'') => self.quoted().map(Value::Text),
            Some('[') if depth == DEEPEST => Err(self.wrong("its lists lie in one another too deeply")),
            Some('[') => {
                self.expect("[")?;
                loop {
                    self.skip(true);
                    if self.rest.starts_with(']') {
                        self.expect("]")?;
                        return Ok(Value::Other);
                    }
                    self.value(depth + 1)?;
                    self.skip(true);
                    if !self.rest.starts_with(']') {
                        self.expect(",")?;
                    }
                }
            }
            Some('{') => {
                Err(self
                    .wrong("tables within a line are not read: write `[[registry]]` and a line for each key"))
            }
            _ => {
                let end = self.rest.find(|letter: char| letter.is_whitespace() || ",]#".contains(letter));
                match self.take(end.unwrap_or(self.rest.len())) {
                    "true" => Ok(Value::Flag(true)),
                    "false" => Ok(Value::Flag(false)),
                    number
                        if number
                            .starts_with(|letter: char| letter.is_ascii_digit() || "+-".contains(letter)) =>
                    {
                        Ok(Value::Other)
                    }
                    _ => Err(self.wrong("a value is expected; texts stand in quotes")),
                }
            }
        }
    }

    fn quoted(&mut self) -> Result<String, Wrong> {
        let literal = self.rest.starts_with('\'');
        if self.rest.starts_with("\"\"\"") || self.rest.starts_with("'''") {
            return Err(self.wrong("texts over several lines are not read"));
        }
        let mut text = String::new();
        let mut letters = self.rest.char_indices().skip(1);
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\'' if literal => return Ok(self.end(at, text)),
                '"' if !literal => return Ok(self.end(at, text)),
                '\n' => break,
                '\\' if !literal => match letters.next() {
                    Some((_, letter @ ('"' | '\\'))) => text.push(letter),
                    _ => return Err(self.wrong("such an escape is not read")),
                },
                letter => text.push(letter),
            }
        }
        Err(self.wrong("the text does not end"))
    }

    fn end(&mut self, at: usize, text: String) -> String {
        self.take(at + 1);
        text
    }

    fn take(&mut self, count: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        taken
    }

    fn expect(&mut self, what: &str) -> Result<(), Wrong> {
        match self.rest.strip_prefix(what) {
            Some(rest) => self.rest = rest,
            None => return Err(self.wrong(&format!("`{what}` is expected"))),
        }
        Ok(())
    }

    /// Passes over blanks and comments, and over line ends if they do not matter.
    fn skip(&mut self, lines: bool) {
        loop {
            let blank =
                |letter: char| letter == ' ' || letter == '\t' || lines && (letter == '\n' || letter == '\r');
            self.rest = self.rest.trim_start_matches(blank);
            if !self.rest.starts_with('#') {
                return;
            }
            self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
        }
    }

    fn wrong(&self, what: &str) -> Wrong {
        (self.number(), what.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Result<Vec<Line>, Wrong> {
        let mut lines = Lines::new(text);
        let mut all = Vec::new();
        while let Some(line) = lines.next()? {
            all.push(line);
        }
        Ok(all)
    }

    #[test]
    fn what_registries_conf_is_written_in_is_read() {
        let text = "# a comment\nlist = [\n  \"a\", # one\n  ['b', []],\n]\r\nnumber = 1_000\n[[ registry . \"mirror\" ]] # x\n\
            location = \"a\\\\b\\\"c\" \n\tinsecure=true\n[aliases]\n\"docker.io/x\" = 'y\\'\n";
        let value = |key: &str, value| Line::Value(key.to_owned(), value);
        assert_eq!(
            lines(text).unwrap(),
            [
                value("list", Value::Other),
                value("number", Value::Other),
                Line::Table("registry.mirror".into()),
                value("location", Value::Text("a\\b\"c".into())),
                value("insecure", Value::Flag(true)),
                Line::Table("aliases".into()),
                value("docker.io/x", Value::Text("y\\".into())),
            ]
        );
        assert_eq!(lines("\u{feff}"), Ok(vec![]));
    }

    #[test]
    fn all_else_is_an_error_with_its_line() {
        let deep = format!("\nx = {}", "[".repeat(100_000));
        for (text, line, expected) in [
            ("\n\nx = {a = 1}", 3, "tables within a line"),
            ("x = \"\"\"\n\"\"\"", 1, "several lines"),
            ("x = \"\\u00e9\"", 1, "escape"),
            ("x = \"a\ny = 1", 1, "does not end"),
            ("\nx = \"a", 2, "does not end"),
            ("x = yes", 1, "in quotes"),
            ("x =", 1, "a value is expected"),
            ("x", 1, "`=` is expected"),
            ("= 1", 1, "a key is expected"),
            ("[x", 1, "`]` is expected"),
            ("[[x]", 1, "`]]` is expected"),
            ("x = 'a' 'b'", 1, "something stands behind it"),
            ("x = [1", 1, "`,` is expected"),
            (&deep, 2, "too deeply"),
        ] {
            let (number, message) = lines(text).unwrap_err();
            assert!(number == line && message.contains(expected), "{text:.40}: {number} {message}");
        }
    }
}
