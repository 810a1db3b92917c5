//! From text to tokens, by the rules of Go's text/template: `{{`, `}}`, trim markers, comments.

use super::ast::Offset;

/// A token and its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Token<'t> {
    pub(super) at: Offset,
    pub(super) kind: Kind<'t>,
}

/// Kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind<'t> {
    /// The end of the source.
    End,
    /// Text outside of actions, never empty.
    Text(&'t str),
    /// `{{`
    Open,
    /// `}}`
    Close,
    /// White space inside an action.
    Space,
    /// `(`
    LeftParen,
    /// `)`
    RightParen,
    /// `|`
    Pipe,
    /// `,`
    Comma,
    /// `=`
    Assign,
    /// `:=`
    Declare,
    /// `.`
    Dot,
    /// `nil`
    Nil,
    /// `true` or `false`
    Bool(bool),
    /// `.name`, without the dot
    Field(&'t str),
    /// `$name`, with the dollar sign
    Variable(&'t str),
    /// The name of a function.
    Identifier(&'t str),
    /// `if`, `end` and the like.
    Keyword(&'t str),
    /// A number as written.
    Number(&'t str),
    /// `'a'`, with quotes.
    Character(&'t str),
    /// `"text"`, with quotes.
    Quoted(&'t str),
    /// `` `text` ``, without quotes.
    Raw(&'t str),
}

impl Kind<'_> {
    /// What a message calls it.
    pub(super) fn describe(self) -> String {
        match self {
            Self::End => "the end of the text".to_owned(),
            Self::Text(_) => "text".to_owned(),
            Self::Open => "`{{`".to_owned(),
            Self::Close => "`}}`".to_owned(),
            Self::Space => "a space".to_owned(),
            Self::LeftParen => "`(`".to_owned(),
            Self::RightParen => "`)`".to_owned(),
            Self::Pipe => "`|`".to_owned(),
            Self::Comma => "`,`".to_owned(),
            Self::Assign => "`=`".to_owned(),
            Self::Declare => "`:=`".to_owned(),
            Self::Dot => "`.`".to_owned(),
            Self::Nil => "`nil`".to_owned(),
            Self::Bool(value) => format!("`{value}`"),
            Self::Field(name) => format!("`.{name}`"),
            Self::Variable(word)
            | Self::Identifier(word)
            | Self::Keyword(word)
            | Self::Number(word)
            | Self::Character(word) => format!("`{word}`"),
            Self::Quoted(_) | Self::Raw(_) => "a text in quotes".to_owned(),
        }
    }
}

/// Why the source cannot be read, and where.
#[derive(Debug, PartialEq)]
pub(super) struct SyntaxError {
    pub(super) at: Offset,
    pub(super) message: String,
}

const KEYWORDS: [&str; 10] =
    ["block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"];

/// Reads one token after the other.
pub(super) struct Lexer<'t> {
    source: &'t str,
    at: Offset,
    inside: bool,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(source: &'t str) -> Self {
        Self { source, at: 0, inside: false }
    }

    /// The next token; behind the last, [`Kind::End`] for ever.
    pub(super) fn next(&mut self) -> Result<Token<'t>, SyntaxError> {
        if self.inside { self.inside_action() } else { self.outside() }
    }

    fn outside(&mut self) -> Result<Token<'t>, SyntaxError> {
        loop {
            let start = self.at;
            let rest = &self.source[start..];
            let Some(open) = rest.find("{{") else {
                self.at = self.source.len();
                return Ok(self.text(start, rest));
            };
            let after = &rest[open + 2..];
            let trims = after.starts_with('-') && after[1..].starts_with(is_space);
            let marker = if trims { 2 } else { 0 };
            let text = if trims { rest[..open].trim_end_matches(is_space) } else { &rest[..open] };
            if !text.is_empty() {
                // The `{{` is looked at again with the next token.
                self.at += open;
                return Ok(Token { at: start, kind: Kind::Text(text) });
            }
            self.at += open + 2 + marker;
            if self.source[self.at..].starts_with("/*") {
                self.comment(start + open)?;
                continue;
            }
            self.inside = true;
            return Ok(Token { at: start + open, kind: Kind::Open });
        }
    }

    fn text(&self, at: Offset, text: &'t str) -> Token<'t> {
        let kind = if text.is_empty() { Kind::End } else { Kind::Text(text) };
        Token { at, kind }
    }

    fn comment(&mut self, at: Offset) -> Result<(), SyntaxError> {
        let Some(end) = self.source[self.at..].find("*/") else {
            return Err(SyntaxError { at, message: "the comment does not end".to_owned() });
        };
        self.at += end + 2;
        if !self.close() {
            let message = "a comment is alone in its action: `*/` and `}}` belong together".to_owned();
            return Err(SyntaxError { at: self.at, message });
        }
        Ok(())
    }

    /// Moves behind `}}` or ` -}}` if it is here, and in the second case behind the space after it.
    fn close(&mut self) -> bool {
        let rest = &self.source[self.at..];
        if rest.starts_with("}}") {
            self.at += 2;
            return true;
        }
        let trims = rest.starts_with(is_space) && rest[1..].starts_with("-}}");
        if trims {
            let after = &rest[4..];
            self.at += 4 + after.len() - after.trim_start_matches(is_space).len();
        }
        trims
    }

    fn inside_action(&mut self) -> Result<Token<'t>, SyntaxError> {
        let at = self.at;
        if self.close() {
            self.inside = false;
            return Ok(Token { at, kind: Kind::Close });
        }
        let rest = &self.source[at..];
        let mut characters = rest.chars();
        let Some(first) = characters.next() else {
            return Err(SyntaxError { at, message: "the action does not end: `}}` is missing".to_owned() });
        };
        let second = characters.next();
        let kind = match first {
            c if is_space(c) => {
                // A space that belongs to ` -}}` is left for it.
                let spaces = rest.len() - rest.trim_start_matches(is_space).len();
                let spaces = if rest[spaces..].starts_with("-}}") { spaces - 1 } else { spaces };
                if spaces == 0 {
                    return self.unexpected(at, first);
                }
                self.at += spaces;
                return Ok(Token { at, kind: Kind::Space });
            }
            ':' if second == Some('=') => self.take(2, Kind::Declare),
            '=' => self.take(1, Kind::Assign),
            '|' => self.take(1, Kind::Pipe),
            ',' => self.take(1, Kind::Comma),
            '(' => self.take(1, Kind::LeftParen),
            ')' => self.take(1, Kind::RightParen),
            '"' => Kind::Quoted(self.quoted(b'"')?),
            '\'' => Kind::Character(self.quoted(b'\'')?),
            '`' => {
                let Some(length) = rest[1..].find('`') else {
                    return Err(SyntaxError {
                        at,
                        message: "the text in back quotes does not end".to_owned(),
                    });
                };
                self.at += length + 2;
                Kind::Raw(&rest[1..=length])
            }
            '$' => {
                let length = 1 + word_length(&rest[1..]);
                self.at += length;
                self.end_of_word(Kind::Variable(&rest[..length]))?
            }
            '.' if !second.is_some_and(|c| c.is_ascii_digit()) => {
                let length = word_length(&rest[1..]);
                self.at += 1 + length;
                let kind = if length == 0 { Kind::Dot } else { Kind::Field(&rest[1..=length]) };
                self.end_of_word(kind)?
            }
            c if c.is_ascii_digit() || c == '.' || c == '+' || c == '-' => Kind::Number(self.number()?),
            c if is_word(c) => {
                let word = &rest[..word_length(rest)];
                self.at += word.len();
                self.end_of_word(match word {
                    "true" => Kind::Bool(true),
                    "false" => Kind::Bool(false),
                    "nil" => Kind::Nil,
                    word if KEYWORDS.contains(&word) => Kind::Keyword(word),
                    word => Kind::Identifier(word),
                })?
            }
            c => return self.unexpected(at, c),
        };
        Ok(Token { at, kind })
    }

    fn take(&mut self, length: usize, kind: Kind<'t>) -> Kind<'t> {
        self.at += length;
        kind
    }

    /// A word must be followed by something that cannot be part of it.
    fn end_of_word(&self, kind: Kind<'t>) -> Result<Kind<'t>, SyntaxError> {
        let rest = &self.source[self.at..];
        match rest.chars().next() {
            Some(c) if !is_space(c) && !".,|:()=".contains(c) && !rest.starts_with("}}") => {
                self.unexpected(self.at, c)
            }
            _ => Ok(kind),
        }
    }

    fn quoted(&mut self, quote: u8) -> Result<&'t str, SyntaxError> {
        let at = self.at;
        let bytes = self.source.as_bytes();
        let mut end = at + 1;
        loop {
            match bytes.get(end) {
                Some(b'\\') if bytes.get(end + 1).is_some_and(|&b| b != b'\n') => end += 2,
                Some(b'\n') | None => {
                    return Err(SyntaxError { at, message: "the text in quotes does not end".to_owned() });
                }
                Some(&byte) if byte == quote => break,
                Some(_) => end += 1,
            }
        }
        self.at = end + 1;
        Ok(&self.source[at..self.at])
    }

    fn number(&mut self) -> Result<&'t str, SyntaxError> {
        let rest = &self.source[self.at..];
        let mut previous = ' ';
        let hexadecimal =
            rest.trim_start_matches(['+', '-']).get(..2).is_some_and(|p| p.eq_ignore_ascii_case("0x"));
        let length = rest
            .char_indices()
            .find(|&(index, c)| {
                let sign =
                    (c == '+' || c == '-') && (index == 0 || (!hexadecimal && "eE".contains(previous)));
                previous = c;
                !(sign || c == '.' || is_word(c))
            })
            .map_or(rest.len(), |(index, _)| index);
        self.at += length;
        Ok(&rest[..length])
    }

    fn unexpected<T>(&self, at: Offset, c: char) -> Result<T, SyntaxError> {
        Err(SyntaxError { at, message: format!("unexpected `{}` in an action", c.escape_debug()) })
    }
}

/// White space of Go's templates; there is no other.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn word_length(text: &str) -> usize {
    text.find(|c| !is_word(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(source: &str) -> Result<Vec<Kind<'_>>, SyntaxError> {
        let mut lexer = Lexer::new(source);
        let mut kinds = Vec::new();
        loop {
            match lexer.next()?.kind {
                Kind::End => return Ok(kinds),
                Kind::Space => {}
                kind => kinds.push(kind),
            }
        }
    }

    #[test]
    fn reads_text_and_actions() {
        use Kind::{Close, Field, Identifier, Number, Open, Pipe, Quoted, Text, Variable};
        assert_eq!(kinds("a b"), Ok(vec![Text("a b")]));
        assert_eq!(kinds(""), Ok(vec![]));
        assert_eq!(
            kinds(r#"a{{ .x | f "q\"" $y -3 }}b"#),
            Ok(vec![
                Text("a"),
                Open,
                Field("x"),
                Pipe,
                Identifier("f"),
                Quoted(r#""q\"""#),
                Variable("$y"),
                Number("-3"),
                Close,
                Text("b")
            ])
        );
    }

    #[test]
    fn trims_only_where_a_space_is_next_to_the_marker() {
        use Kind::{Close, Number, Open, Text};
        assert_eq!(kinds("a \n{{- 1 -}}\n b"), Ok(vec![Text("a"), Open, Number("1"), Close, Text("b")]));
        assert_eq!(kinds("a {{-1}} b"), Ok(vec![Text("a "), Open, Number("-1"), Close, Text(" b")]));
        assert_eq!(kinds("a {{- /* c */ -}} b"), Ok(vec![Text("a"), Text("b")]));
        assert_eq!(kinds("a {{/* }} */}} b"), Ok(vec![Text("a "), Text(" b")]));
    }

    #[test]
    fn says_what_it_cannot_read() {
        for (source, at, message) in [
            ("ab{{", 4, "the action does not end: `}}` is missing"),
            ("{{ \"a }}", 3, "the text in quotes does not end"),
            ("{{ \"a\n\" }}", 3, "the text in quotes does not end"),
            ("{{ `a }}", 3, "the text in back quotes does not end"),
            ("{{/* a }}", 0, "the comment does not end"),
            ("{{/* a */ b}}", 9, "a comment is alone in its action: `*/` and `}}` belong together"),
            ("{{ a% }}", 4, "unexpected `%` in an action"),
            ("{{ é\u{a0} }}", 5, "unexpected `\\u{a0}` in an action"),
            ("{{ # }}", 3, "unexpected `#` in an action"),
            ("{{ \"a\\", 3, "the text in quotes does not end"),
        ] {
            assert_eq!(kinds(source), Err(SyntaxError { at, message: message.to_owned() }), "{source}");
        }
    }
}
