//! From the notation of RE2 (as Go's `regexp/syntax` reads it) to that of the `regex` crate.
//!
//! **Invariant:** every literal character is written as an escape, so nothing of the pattern can take on a
//! meaning that only the `regex` crate knows (`&&`, `--`, `~~` and nested classes, `\<`, `\b{start}`, `(?x)`).

use super::PatternError;
use std::fmt::Write;

/// How deep groups may nest.
const MAX_DEPTH: usize = 100;
/// The largest number in `{n,m}`, as in RE2.
const MAX_REPEAT: u32 = 1000;

/// How much a pattern may weigh, in about the states of an automaton.
const MAX_WEIGHT: usize = 50_000;
/// What a class of Unicode weighs.
const UNICODE_CLASS: usize = 500;

/// Rewrites a pattern, or says why Go would refuse it. The number is about the size of its automaton.
pub(super) fn translate(pattern: &str) -> Result<(String, usize), PatternError> {
    let out = String::with_capacity(pattern.len() * 2);
    let mut translator = Translator { pattern, at: 0, out, weights: vec![0], last_weight: 0 };
    translator.expression()?;
    Ok((translator.out, translator.weights.into_iter().sum()))
}

struct Translator<'p> {
    pattern: &'p str,
    at: usize,
    out: String,
    /// What the groups that are open weigh so far, the outermost first.
    weights: Vec<usize>,
    /// What the last item weighs: it counts again when it is repeated.
    last_weight: usize,
}

/// What came last, which decides whether a repetition may follow.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    /// Nothing that could be repeated.
    Nothing,
    /// Something that can be repeated.
    Item,
    /// A repetition, which cannot be repeated again.
    Repetition,
}

impl<'p> Translator<'p> {
    fn expression(&mut self) -> Result<(), PatternError> {
        let mut groups = Vec::new();
        let mut last = Last::Nothing;
        while let Some(c) = self.peek() {
            let start = self.at;
            match c {
                '(' => {
                    if groups.len() >= MAX_DEPTH {
                        return Err(self.error(start, "the expression nests too deeply"));
                    }
                    if self.open_group()? {
                        groups.push(start);
                        self.weights.push(1);
                    }
                    last = Last::Nothing;
                    continue;
                }
                ')' => {
                    if groups.pop().is_none() {
                        return Err(self.error(start, "unexpected `)`; write `\\)` for the character"));
                    }
                    self.keep(c);
                    let weight = self.weights.pop().unwrap_or_default();
                    self.item(start, weight)?;
                    last = Last::Item;
                }
                '|' => {
                    self.keep(c);
                    last = Last::Nothing;
                }
                '^' | '$' | '.' => {
                    self.keep(c);
                    self.item(start, if c == '.' { 10 } else { 1 })?;
                    last = Last::Item;
                }
                '[' => {
                    let weight = self.class()?;
                    self.item(start, weight)?;
                    last = Last::Item;
                }
                '*' | '+' | '?' => {
                    self.at += 1;
                    self.repetition(start, last)?;
                    last = Last::Repetition;
                }
                '{' => {
                    last = match self.counts()? {
                        Some(times) => {
                            self.repetition(start, last)?;
                            self.item(start, self.last_weight.saturating_mul(times.saturating_sub(1)))?;
                            Last::Repetition
                        }
                        None => {
                            self.literal_here();
                            self.item(start, 1)?;
                            Last::Item
                        }
                    };
                }
                '\\' => {
                    let weight = self.escape()?;
                    self.item(start, weight)?;
                    last = Last::Item;
                }
                _ => {
                    self.literal_here();
                    self.item(start, c.len_utf8())?;
                    last = Last::Item;
                }
            }
        }
        match groups.last() {
            Some(&open) => Err(self.error(open, "missing `)`")),
            None => Ok(()),
        }
    }

    /// Counts an item.
    fn item(&mut self, start: usize, weight: usize) -> Result<(), PatternError> {
        self.last_weight = weight;
        if let Some(sum) = self.weights.last_mut() {
            *sum = sum.saturating_add(weight);
        }
        match self.weights.iter().fold(0, |sum: usize, weight| sum.saturating_add(*weight)) > MAX_WEIGHT {
            true => Err(self.error(start, "the expression is too large")),
            false => Ok(()),
        }
    }

    /// Reads `(`, `(?:`, `(?P<name>`, `(?flags)` or `(?flags:`; answers whether a group was opened.
    fn open_group(&mut self) -> Result<bool, PatternError> {
        let start = self.at;
        self.at += 1;
        let Some(rest) = self.rest().strip_prefix('?') else {
            self.out.push('(');
            return Ok(true);
        };
        for (opening, what) in [
            ("=", "look-ahead `(?=`"),
            ("!", "look-ahead `(?!`"),
            ("<=", "look-behind `(?<=`"),
            ("<!", "look-behind `(?<!`"),
            (">", "atomic group `(?>`"),
            ("#", "comment `(?#`"),
            ("P=", "back-reference `(?P=`"),
        ] {
            if rest.starts_with(opening) {
                return Err(self.error(start, &format!("RE2 has no {what}")));
            }
        }
        if let Some(name) = rest.strip_prefix("P<").or_else(|| rest.strip_prefix('<')) {
            let end = name.find('>').ok_or_else(|| self.error(start, "the name of a group ends with `>`"))?;
            let name = &name[..end];
            if name.is_empty() || !name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) {
                return Err(self.error(start, "the name of a group consists of letters, digits and `_`"));
            }
            let _ = write!(self.out, "(?P<{name}>");
            self.at += self.rest().find('>').unwrap_or_default() + 1;
            return Ok(true);
        }
        let end = rest.find([':', ')']).ok_or_else(|| self.error(start, "missing `)`"))?;
        let flags = &rest[..end];
        let on = flags.strip_suffix('-').is_none() && flags.matches('-').count() <= 1;
        if !on || !flags.chars().all(|flag| "imsU-".contains(flag)) {
            return Err(self.error(start, &format!("RE2 has no group that begins with `(?{flags}`")));
        }
        let opens = rest.as_bytes()[end] == b':';
        if flags.is_empty() && !opens {
            return Err(self.error(start, "a group without flags and content"));
        }
        self.out.push_str("(?");
        self.out.push_str(&rest[..=end]);
        self.at += 1 + end + 1;
        Ok(opens)
    }

    /// Ends a repetition operator that began at `start`, with the `?` that makes it prefer fewer.
    fn repetition(&mut self, start: usize, last: Last) -> Result<(), PatternError> {
        let operator = &self.pattern[start..self.at];
        match last {
            Last::Nothing => return Err(self.error(start, &format!("nothing to repeat before `{operator}`"))),
            Last::Repetition => {
                return Err(self.error(start, &format!("`{operator}` repeats a repetition; use a group")));
            }
            Last::Item => self.out.push_str(operator),
        }
        if self.peek() == Some('?') {
            self.keep('?');
        }
        Ok(())
    }

    /// Moves behind `{n}`, `{n,}` or `{n,m}` and answers the greatest number; what looks otherwise is text.
    fn counts(&mut self) -> Result<Option<usize>, PatternError> {
        let Some(end) = self.rest().find('}') else { return Ok(None) };
        let inner = &self.rest()[1..end];
        let (low, high) = match inner.split_once(',') {
            Some((low, high)) => (low, Some(high)),
            None => (inner, None),
        };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(low) || !high.is_none_or(|high| high.is_empty() || digits(high)) {
            return Ok(None);
        }
        let number = |text: &str| text.parse::<u32>().unwrap_or(u32::MAX);
        let (low, high) = (number(low), high.filter(|high| !high.is_empty()).map(number));
        if low > MAX_REPEAT || high.is_some_and(|high| high > MAX_REPEAT || high < low) {
            return Err(self.error(self.at, "a count of a repetition is at most 1000, the lower one first"));
        }
        self.at += end + 1;
        Ok(Some(high.unwrap_or(low).max(1) as usize))
    }

    /// An escape outside of a class; answers what it weighs.
    fn escape(&mut self) -> Result<usize, PatternError> {
        let mut after = self.rest()[1..].chars();
        match after.next() {
            Some('A' | 'z') => {
                self.out.push_str(&self.rest()[..2]);
                self.at += 2;
            }
            Some(c @ ('b' | 'B')) => {
                let _ = write!(self.out, "(?-u:\\{c})");
                self.at += 2;
            }
            Some('Q') => {
                let quoted = &self.rest()[2..];
                let (text, skip) = match quoted.split_once("\\E") {
                    Some((text, _)) => (text, text.len() + 2),
                    None => (quoted, quoted.len()),
                };
                // One item, so that an empty quotation is something, too.
                self.out.push_str("(?:");
                for c in text.chars() {
                    self.literal(c);
                }
                self.out.push(')');
                self.at += 2 + skip;
                return Ok(text.len());
            }
            _ => {
                let weight = self.class_escape()?;
                if weight == 0 {
                    let c = self.character_escape()?;
                    self.literal(c);
                }
                return Ok(weight.max(4));
            }
        }
        Ok(1)
    }

    /// `\d`, `\pL` and the like, as a class of its own; answers what it weighs, 0 when there is none.
    fn class_escape(&mut self) -> Result<usize, PatternError> {
        let mut after = self.rest()[1..].chars();
        let class = match after.next() {
            Some('d') => "[0-9]",
            Some('D') => "[^0-9]",
            Some('s') => r"[\t\n\x0c\r ]",
            Some('S') => r"[^\t\n\x0c\r ]",
            Some('w') => "[0-9A-Za-z_]",
            Some('W') => "[^0-9A-Za-z_]",
            Some(p @ ('p' | 'P')) => {
                self.unicode_class(p == 'P')?;
                return Ok(UNICODE_CLASS);
            }
            _ => return Ok(0),
        };
        self.out.push_str(class);
        self.at += 2;
        Ok(if class.starts_with("[^") { 12 } else { 4 })
    }

    fn unicode_class(&mut self, mut negated: bool) -> Result<(), PatternError> {
        let start = self.at;
        let rest = &self.rest()[2..];
        let (name, length) = match rest.strip_prefix('{') {
            Some(braced) => {
                let end = braced.find('}').ok_or_else(|| self.error(start, "missing `}`"))?;
                (&braced[..end], end + 2)
            }
            None => {
                let c =
                    rest.chars().next().ok_or_else(|| self.error(start, "the name of a class is missing"))?;
                (&rest[..c.len_utf8()], c.len_utf8())
            }
        };
        let name = match name.strip_prefix('^') {
            Some(name) => {
                negated = !negated;
                name
            }
            None => name,
        };
        let known = name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric());
        if name.is_empty() || !known || regex::Regex::new(&format!("\\p{{{name}}}")).is_err() {
            return Err(self.error(start, &format!("there is no class of characters called `{name}`")));
        }
        let _ = write!(self.out, "\\{}{{{name}}}", if negated { 'P' } else { 'p' });
        self.at += 2 + length;
        Ok(())
    }

    /// An escape that stands for one character.
    fn character_escape(&mut self) -> Result<char, PatternError> {
        let start = self.at;
        self.at += 1;
        let Some(c) = self.peek() else { return Err(self.error(start, "a `\\` at the end")) };
        self.at += c.len_utf8();
        let octal = |this: &mut Self, digits: usize| {
            let rest = &this.pattern[start + 1..];
            let length = rest.bytes().take(digits).take_while(|b| (b'0'..=b'7').contains(b)).count();
            this.at = start + 1 + length;
            u32::from_str_radix(&rest[..length], 8).ok().and_then(char::from_u32)
        };
        let character = match c {
            'a' => Some('\x07'),
            'f' => Some('\x0c'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\x0b'),
            '1'..='7' if !self.peek().is_some_and(|c| ('0'..='7').contains(&c)) => {
                return Err(self.error(start, &format!("RE2 has no back-reference `\\{c}`")));
            }
            '0'..='7' => octal(self, 3),
            'x' => {
                let rest = self.rest();
                let (digits, length) = match rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
                    Some((digits, _)) => (digits, digits.len() + 2),
                    None => (rest.get(..2).unwrap_or_default(), 2),
                };
                let hexadecimal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
                self.at += if hexadecimal { length } else { 0 };
                hexadecimal.then(|| u32::from_str_radix(digits, 16).ok()).flatten().and_then(char::from_u32)
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c),
            _ => None,
        };
        character.ok_or_else(|| {
            let hint = match c {
                'Z' => "; `\\z` is the end of the text",
                'k' => "; RE2 has no back-references",
                _ => "",
            };
            self.error(start, &format!("RE2 has no escape `\\{c}`{hint}"))
        })
    }

    /// A class in brackets. Items are written one by one, set operations and nested classes as characters.
    fn class(&mut self) -> Result<usize, PatternError> {
        let start = self.at;
        let mut weight = 4;
        self.keep('[');
        if self.peek() == Some('^') {
            self.keep('^');
            weight += 10;
        }
        let mut first = true;
        loop {
            match self.peek() {
                None => return Err(self.error(start, "missing `]`")),
                Some(']') if !first => {
                    self.keep(']');
                    return Ok(weight);
                }
                Some('[') if self.rest().starts_with("[:") && self.rest()[2..].contains(":]") => {
                    self.posix_class()?;
                }
                Some(c) => {
                    let escaped = if c == '\\' { self.class_escape()? } else { 0 };
                    if escaped == 0 {
                        self.class_range()?;
                    }
                    weight += escaped.max(2);
                }
            }
            first = false;
        }
    }

    fn posix_class(&mut self) -> Result<(), PatternError> {
        const NAMES: [&str; 14] = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
            "space", "upper", "word", "xdigit",
        ];
        let end = 2 + self.rest()[2..].find(":]").unwrap_or_default();
        let inner = &self.rest()[2..end];
        let name = inner.strip_prefix('^').unwrap_or(inner);
        if !NAMES.contains(&name) {
            return Err(self.error(self.at, &format!("there is no class of characters called `[:{name}:]`")));
        }
        let _ = write!(self.out, "[:{inner}:]");
        self.at += end + 2;
        Ok(())
    }

    /// One character of a class, or a range of them.
    fn class_range(&mut self) -> Result<(), PatternError> {
        let start = self.at;
        let low = self.class_character()?;
        self.literal(low);
        let mut after = self.rest().chars();
        if after.next() == Some('-') && after.next().is_some_and(|c| c != ']') {
            self.at += 1;
            let high = self.class_character()?;
            if high < low {
                return Err(self.error(start, "the ends of a range are the wrong way round"));
            }
            self.out.push('-');
            self.literal(high);
        }
        Ok(())
    }

    fn class_character(&mut self) -> Result<char, PatternError> {
        match self.peek() {
            None => Err(self.error(self.at, "missing `]`")),
            Some('\\') => self.character_escape(),
            Some(c) => {
                self.at += c.len_utf8();
                Ok(c)
            }
        }
    }

    /// Writes a character so that it has no meaning but itself.
    fn literal(&mut self, c: char) {
        if c.is_ascii_alphanumeric() {
            self.out.push(c);
        } else {
            let _ = write!(self.out, "\\x{{{:x}}}", u32::from(c));
        }
    }

    fn literal_here(&mut self) {
        if let Some(c) = self.peek() {
            self.literal(c);
            self.at += c.len_utf8();
        }
    }

    /// Moves an ASCII character to the output as it is.
    fn keep(&mut self, c: char) {
        self.out.push(c);
        self.at += 1;
    }

    fn rest(&self) -> &'p str {
        &self.pattern[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn error(&self, offset: usize, message: &str) -> PatternError {
        PatternError { message: message.to_owned(), offset }
    }
}
