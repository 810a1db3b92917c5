//! The kernel command line, split into its arguments.
//!
//! As in the kernel, white space separates arguments, double quotes protect it and are removed, and a value begins
//! behind the first `=`. Beyond the kernel, as people write commands into it: `\"` and `\\` within double quotes
//! stand for the character, and single quotes around a whole argument or value protect too. A lone apostrophe, as
//! in `it's`, stays what it is.

use crate::Span;

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// What stands before the first `=`, or all of it when there is none.
    pub key: String,
    /// What stands behind the first `=`.
    pub value: Option<String>,
    /// Where the argument stands, with its quotes.
    pub span: Span,
    /// Whether a double quote was opened in it that is never closed, so that it swallowed all that follows.
    pub unclosed: bool,
}

/// The arguments of a command line in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments(Vec<Argument>);

impl Arguments {
    /// Splits the content of `/proc/cmdline`.
    pub fn parse(text: &str) -> Self {
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let mut reader = Reader { text, at, line: 1, column: 1, no_closing_quote: false };
        Self(std::iter::from_fn(|| reader.argument()).collect())
    }

    /// The value of the last argument of this key, because a later one overrides; the empty text if it has none.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.all(key).next_back()
    }

    /// The values of all arguments of this key, in their order; the empty text for one that has none.
    pub fn all<'a>(&'a self, key: &str) -> impl DoubleEndedIterator<Item = &'a str> {
        let of_key = move |argument: &&Argument| argument.key == key;
        self.0.iter().filter(of_key).map(|argument| argument.value.as_deref().unwrap_or_default())
    }

    /// All arguments in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, Argument> {
        self.0.iter()
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    line: u32,
    column: u32,
    /// Whether no single quote from here on ends a value; so that looking for one stays linear.
    no_closing_quote: bool,
}

impl Reader<'_> {
    fn argument(&mut self) -> Option<Argument> {
        while self.peek().is_some_and(char::is_whitespace) {
            self.next();
        }
        self.peek()?;
        let (line, column, start) = (self.line, self.column, self.at);
        let mut key = String::new();
        let mut value: Option<String> = None;
        let mut quoted = false;
        self.single_quoted(&mut key, &mut value);
        while let Some(c) = self.peek() {
            if c.is_whitespace() && !quoted {
                break;
            }
            self.next();
            match c {
                '"' => quoted = !quoted,
                '\\' if quoted && matches!(self.peek(), Some('"' | '\\')) => {
                    value.as_mut().unwrap_or(&mut key).extend(self.next());
                }
                '=' if value.is_none() => {
                    value = Some(String::new());
                    if !quoted {
                        self.single_quoted(&mut key, &mut value);
                    }
                }
                _ => value.as_mut().unwrap_or(&mut key).push(c),
            }
        }
        let span = Span { line, column, start: start as u32, end: self.at as u32 };
        Some(Argument { key, value, span, unclosed: quoted })
    }

    /// Reads what single quotes protect if they begin here and end with the argument.
    fn single_quoted(&mut self, key: &mut String, value: &mut Option<String>) {
        if self.peek() != Some('\'') || self.no_closing_quote {
            return;
        }
        let begin = self.at + 1;
        let rest = &self.text[begin..];
        let closing = rest
            .match_indices('\'')
            .map(|(at, _)| at)
            .find(|at| rest[at + 1..].chars().next().is_none_or(char::is_whitespace));
        let Some(closing) = closing else {
            self.no_closing_quote = true;
            return;
        };
        while self.at <= begin + closing {
            let within = (begin..begin + closing).contains(&self.at);
            match self.next() {
                Some('=') if within && value.is_none() => *value = Some(String::new()),
                Some(c) if within => value.as_mut().unwrap_or(key).push(c),
                _ => {}
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        if c == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(text: &str) -> Vec<(String, Option<String>)> {
        Arguments::parse(text).iter().map(|argument| (argument.key.clone(), argument.value.clone())).collect()
    }

    fn argument(key: &str, value: Option<&str>) -> (String, Option<String>) {
        (key.to_owned(), value.map(str::to_owned))
    }

    #[test]
    fn arguments_are_split_at_spaces_and_at_the_first_equals_sign() {
        assert_eq!(
            arguments("BOOT_IMAGE=(hd0)/x root=LABEL=COS ro  quiet\n"),
            [
                argument("BOOT_IMAGE", Some("(hd0)/x")),
                argument("root", Some("LABEL=COS")),
                argument("ro", None),
                argument("quiet", None),
            ]
        );
        assert_eq!(arguments(" \n\t "), []);
        assert_eq!(arguments("\u{feff}ro"), [argument("ro", None)]);
        let arguments = Arguments::parse("cos.setup=http://h/x?a=b cos.setup=/y cos.setupx=z quiet");
        assert_eq!(arguments.all("cos.setup").collect::<Vec<_>>(), ["http://h/x?a=b", "/y"]);
        assert_eq!(arguments.get("cos.setup"), Some("/y"));
        assert_eq!(arguments.get("quiet"), Some(""));
        assert_eq!(arguments.get("cos"), None);
    }

    #[test]
    fn quotes_protect_spaces_and_are_removed() {
        for (text, key, value) in [
            ("a=\"b c\"", "a", "b c"),
            ("\"a=b c\"", "a", "b c"),
            ("a=b\" \"c", "a", "b c"),
            ("a='b c'", "a", "b c"),
            ("'a=b c'", "a", "b c"),
            ("a='it's fine'", "a", "it's fine"),
            ("a=it's", "a", "it's"),
            ("a='b", "a", "'b"),
            ("a=\"say \\\"hi\\\" \\\\ \\n\"", "a", "say \"hi\" \\ \\n"),
            ("a=\\x", "a", "\\x"),
            ("a=\"\"", "a", ""),
            ("a=", "a", ""),
        ] {
            assert_eq!(arguments(text), [argument(key, Some(value))], "{text}");
        }
    }

    #[test]
    fn an_unclosed_double_quote_swallows_the_rest_and_says_so() {
        let arguments = Arguments::parse("a=b c=\"d e=f");
        assert_eq!(arguments.get("c"), Some("d e=f"));
        assert_eq!(arguments.iter().map(|argument| argument.unclosed).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn places_count_characters_and_bytes() {
        let arguments = Arguments::parse("ä=ö b=\"c d\"\ne");
        let spans: Vec<_> = arguments.iter().map(|argument| argument.span).collect();
        assert_eq!(spans[1], Span { line: 1, column: 5, start: 6, end: 13 });
        assert_eq!(spans[2], Span { line: 2, column: 1, start: 14, end: 15 });
    }
}
