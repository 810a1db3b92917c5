//! Regular expressions as Go's `regexp` package (RE2) understands them.
//!
//! Stage files were written for Go, so that is the language here: `\d`, `\s`, `\w` and `\b` are ASCII, set
//! operations in classes do not exist, there is neither look-around nor back-reference, and a pattern that Go
//! refuses is refused. The search itself is that of the `regex` crate, whose rules for which match wins are the
//! same. Its time is linear in the text; the size of a compiled pattern is bounded.

mod re2;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::ops::Range;

/// The largest compiled pattern, in bytes.
const SIZE_LIMIT: usize = 8 << 20;

/// How many compiled patterns are kept, and how heavy one may be to be kept.
const KEPT: usize = 32;
const KEPT_WEIGHT: usize = 1000;

thread_local! {
    /// The patterns that were compiled last, the newest first. The same few conditions stand in many steps, and
    /// a `.`, which stands for all of Unicode, takes a tenth of a millisecond to compile.
    static COMPILED: RefCell<VecDeque<(Box<str>, Pattern)>> = const { RefCell::new(VecDeque::new()) };
}

/// A compiled regular expression. To clone it is cheap.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: regex::Regex,
    weight: usize,
}

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    /// What is wrong and, where there is one, the remedy.
    pub message: String,
    /// Byte offset into the pattern of what is wrong.
    pub offset: usize,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PatternError {}

impl Pattern {
    /// Compiles a pattern, or takes it from those that were compiled last.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        COMPILED.with_borrow_mut(|compiled| {
            if let Some((_, known)) = compiled.iter().find(|(text, _)| **text == *pattern) {
                return Ok(known.clone());
            }
            let new = Self::compile(pattern)?;
            if new.weight <= KEPT_WEIGHT {
                compiled.truncate(KEPT - 1);
                compiled.push_front((pattern.into(), new.clone()));
            }
            Ok(new)
        })
    }

    fn compile(pattern: &str) -> Result<Self, PatternError> {
        let (translated, weight) = re2::translate(pattern)?;
        let regex =
            regex::RegexBuilder::new(&translated).size_limit(SIZE_LIMIT).build().map_err(|error| {
                // Only what the translation leaves to the library comes here: sizes and names of classes.
                let message = match error {
                    regex::Error::CompiledTooBig(_) => "the expression is too large".to_owned(),
                    error => last_line(&error.to_string()),
                };
                PatternError { message, offset: 0 }
            })?;
        Ok(Self { regex, weight })
    }

    /// About the size of its automaton: a search takes time in proportion to it and to the length of the text.
    pub fn weight(&self) -> usize {
        self.weight.max(1)
    }

    /// Whether it matches anywhere in the text.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The first match.
    pub fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.regex.find(text).map(|found| found.as_str())
    }

    /// All matches that do not overlap, as byte ranges. An empty match right behind another match is none.
    pub fn find_all<'t>(&'t self, text: &'t str) -> impl Iterator<Item = Range<usize>> + 't {
        self.regex.find_iter(text).map(|found| found.range())
    }

    /// Replaces all matches.
    ///
    /// In the replacement `$1`, `${1}` and `$name` stand for groups. As in Go, `$name` takes as many word
    /// characters as there are (`$1x` is the group `1x`), a group that does not exist is empty, and `$$` is a
    /// dollar sign.
    pub fn replace_all(&self, text: &str, replacement: &str) -> String {
        let replaced = self.try_replace_all(text, replacement, |_, _| Ok::<(), Infallible>(()));
        replaced.unwrap_or_else(|never| match never {})
    }

    /// The same, asking before each match whether to go on, with the part of the text that is left and the
    /// result so far.
    pub fn try_replace_all<E>(
        &self,
        text: &str,
        replacement: &str,
        mut ask: impl FnMut(&str, &str) -> Result<(), E>,
    ) -> Result<String, E> {
        let replacement = rust_replacement(replacement);
        let mut out = String::with_capacity(text.len());
        let mut copied = 0;
        for captures in self.regex.captures_iter(text) {
            let Some(found) = captures.get(0) else { continue };
            ask(&text[found.end()..], &out)?;
            out.push_str(&text[copied..found.start()]);
            copied = found.end();
            captures.expand(&replacement, &mut out);
        }
        out.push_str(&text[copied..]);
        Ok(out)
    }

    /// The pieces between the matches, at most `limit` of them if there is one, the last being the rest.
    pub fn split<'t>(&self, text: &'t str, limit: Option<usize>) -> Vec<&'t str> {
        if limit == Some(0) {
            return Vec::new();
        }
        if text.is_empty() && !self.regex.as_str().is_empty() {
            return vec![text];
        }
        let mut pieces = Vec::new();
        let (mut piece, mut last) = (0, 0);
        for found in self.regex.find_iter(text) {
            if limit.is_some_and(|limit| pieces.len() + 1 >= limit) {
                break;
            }
            // Go: an empty match at the very beginning splits nothing off, nor does one at the very end.
            if found.end() != 0 {
                pieces.push(&text[piece..found.start()]);
            }
            (piece, last) = (found.end(), found.start());
        }
        if last != text.len() {
            pieces.push(&text[piece..]);
        }
        pieces
    }
}

/// The replacement in the notation of the `regex` crate. The difference: it looks for the name of a group in
/// braces only up to the brace, whatever stands there.
fn rust_replacement(replacement: &str) -> String {
    let mut out = String::with_capacity(replacement.len());
    let mut rest = replacement;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let braced = rest.strip_prefix('{');
        let name_of = braced.unwrap_or(rest);
        let length = name_of.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(name_of.len());
        let (name, after) = name_of.split_at(length);
        if let Some(after) = rest.strip_prefix('$') {
            out.push_str("$$");
            rest = after;
        } else if name.is_empty() || (braced.is_some() && !after.starts_with('}')) {
            // Not a reference: Go keeps the dollar sign.
            out.push_str("$$");
        } else {
            out.push_str("${");
            out.push_str(name);
            out.push('}');
            rest = if braced.is_some() { &after[1..] } else { after };
        }
    }
    out.push_str(rest);
    out
}

fn last_line(message: &str) -> String {
    let line = message.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("invalid expression");
    line.trim().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// What Go's regexp.MatchString answers.
    #[test]
    fn matches_what_go_matches() {
        for (expression, text, expected) in [
            ("bastion", "bastion-2", true),
            ("^bastion$", "bastion-2", false),
            ("Ubuntu.*|Debian.*", "Debian GNU/Linux 12", true),
            ("[Oo]penSUSE.*", "openSUSE Leap", true),
            ("(?i)ubuntu", "UBUNTU", true),
            ("(?i)\u{212a}", "k", true),
            ("(?i)straße", "STRASSE", false),
            // Perl's classes and the word boundary are ASCII.
            (r"\d", "٣", false),
            (r"\w", "é", false),
            (r"\W", "é", true),
            (r"^\s$", "\u{a0}", false),
            (r"^\s$", "\x0b", false),
            (r"\bb", "éb", true),
            (r"é\Bb", "éb", false),
            (r"a\Bb", "ab", true),
            (r"[\d]", "٣", false),
            (r"^[^\W]$", "é", false),
            (r"^[\D]$", "٣", true),
            (r"^[\w-]+$", "a-b", true),
            // Unicode classes are there all the same.
            (r"^\pL$", "é", true),
            (r"^\p{Greek}$", "λ", true),
            (r"^\p{^Greek}$", "λ", false),
            (r"^\P{^Greek}$", "λ", true),
            (r"^[\p{Lu}\d]+$", "Ä1", true),
            // Classes have neither operations nor nesting.
            ("^[a&&b]+$", "&b", true),
            ("^[+--]+$", ",", true),
            ("^[a~~b]+$", "~", true),
            ("^[[a]]$", "[]", true),
            ("^[]a]+$", "]a", true),
            ("^[^]a]$", "]", false),
            ("^[a-]+$", "-a", true),
            ("^[[:alpha:]_]+$", "ab_", true),
            ("^[[:^alpha:]]+$", "12", true),
            ("^[[:word:]]+$", "a_1", true),
            ("^[[:]$", ":", true),
            ("^[.$^|()]+$", "$|", true),
            ("^[^a]$", "\n", true),
            // The end of the text is the very end.
            ("a$", "a\n", false),
            ("(?m)a$", "a\n", true),
            (r"a\z", "a", true),
            (".", "\n", false),
            ("(?s).", "\n", true),
            // Braces that are no count are characters.
            ("^a{,2}$", "a{,2}", true),
            ("^{$", "{", true),
            ("^a{2}$", "aa", true),
            ("^a{1,}?$", "aaa", true),
            ("^}]$", "}]", true),
            // Escapes.
            (r"^\Qa.b*\E+$", "a.b*", true),
            (r"^\Qa.b", "a.b", true),
            (r"^\x41\x{42}\103$", "ABC", true),
            (r"^\0$", "\0", true),
            (r"^\<\>\_\-\ \#$", "<>_- #", true),
            (r"^\/etc\/$", "/etc/", true),
            ("^#  x$", "#  x", true),
            ("(?P<a>x)(?<b>y)", "xy", true),
            ("a|", "", true),
            ("()", "", true),
            ("^*", "a", true),
            ("(?i-s:a)b", "Ab", true),
            ("(?U)a+", "aa", true),
        ] {
            assert_eq!(pattern(expression).is_match(text), expected, "{expression} on {text:?}");
        }
    }

    #[test]
    fn refuses_what_go_refuses_and_says_where_and_why() {
        for (expression, offset, message) in [
            ("(", 0, "missing `)`"),
            ("ab(c", 2, "missing `)`"),
            ("a)", 1, "unexpected `)`; write `\\)` for the character"),
            ("^(?!ubuntu)", 1, "RE2 has no look-ahead `(?!`"),
            ("(?<=a)b", 0, "RE2 has no look-behind `(?<=`"),
            ("(?>a)", 0, "RE2 has no atomic group `(?>`"),
            ("(?x) a", 0, "RE2 has no group that begins with `(?x`"),
            ("(?i-)a", 0, "RE2 has no group that begins with `(?i-`"),
            ("(?)", 0, "a group without flags and content"),
            ("(?P<a.b>x)", 0, "the name of a group consists of letters, digits and `_`"),
            (r"(a)\1", 3, "RE2 has no back-reference `\\1`"),
            (r"a\Z", 1, "RE2 has no escape `\\Z`; `\\z` is the end of the text"),
            (r"\k<a>", 0, "RE2 has no escape `\\k`; RE2 has no back-references"),
            (r"\é", 0, "RE2 has no escape `\\é`"),
            (r"a\", 1, "a `\\` at the end"),
            (r"[a\b]", 2, "RE2 has no escape `\\b`"),
            ("[a", 0, "missing `]`"),
            ("[]", 0, "missing `]`"),
            ("[z-a]", 1, "the ends of a range are the wrong way round"),
            ("[[:foo:]]", 1, "there is no class of characters called `[:foo:]`"),
            ("[[:]x:]", 1, "there is no class of characters called `[:]x:]`"),
            (r"\p{Foo}", 0, "there is no class of characters called `Foo`"),
            ("*a", 0, "nothing to repeat before `*`"),
            ("a|*", 2, "nothing to repeat before `*`"),
            ("(?i)+", 4, "nothing to repeat before `+`"),
            ("a**", 2, "`*` repeats a repetition; use a group"),
            ("a++", 2, "`+` repeats a repetition; use a group"),
            ("a{2}{3}", 4, "`{3}` repeats a repetition; use a group"),
            ("a{1001}", 1, "a count of a repetition is at most 1000, the lower one first"),
            ("a{2,1}", 1, "a count of a repetition is at most 1000, the lower one first"),
            ("((a{1000}){1000}){1000}", 10, "the expression is too large"),
        ] {
            let error = Pattern::new(expression).expect_err(expression);
            assert_eq!((error.offset, error.message.as_str()), (offset, message), "{expression}");
        }
    }

    #[test]
    fn hostile_patterns_are_refused_in_little_time() {
        for expression in ["(".repeat(100_000), "a{0,1000}".repeat(10_000), "[".repeat(100_000)] {
            assert!(Pattern::new(&expression).is_err());
        }
        assert!(Pattern::new(&"a|".repeat(10_000)).is_ok());
    }

    #[test]
    fn replaces_as_go_replaces() {
        for (expression, text, replacement, expected) in [
            ("a(x*)b", "-ab-axxb-", "T", "-T-T-"),
            ("a(x*)b", "-ab-axxb-", "$1", "--xx-"),
            ("a(x*)b", "-ab-axxb-", "$1W", "---"),
            ("a(x*)b", "-ab-axxb-", "${1}W", "-W-xxW-"),
            ("(?P<n>x)", "axb", "[$n]", "a[x]b"),
            ("x", "axb", "$$1", "a$1b"),
            ("x", "axb", "$", "a$b"),
            ("x", "axb", "${1", "a${1b"),
            ("x", "axb", "$-", "a$-b"),
            ("", "ab", "-", "-a-b-"),
            ("b*", "abb", "-", "-a-"),
            ("y", "axb", "-", "axb"),
        ] {
            assert_eq!(pattern(expression).replace_all(text, replacement), expected, "{expression}");
        }
    }

    #[test]
    fn splits_as_go_splits() {
        for (expression, text, limit, expected) in [
            (",", "a,b,c", None, &["a", "b", "c"][..]),
            (",", "a,b,c", Some(2), &["a", "b,c"]),
            (",", "a,b", Some(0), &[]),
            (",", ",a,", None, &["", "a", ""]),
            (",", "", None, &[""]),
            ("", "abc", None, &["a", "b", "c"]),
            ("z*", "azb", None, &["a", "b"]),
            ("x", "abc", None, &["abc"]),
        ] {
            assert_eq!(pattern(expression).split(text, limit), expected, "{expression} on {text:?}");
        }
    }

    #[test]
    fn finds_all_matches() {
        let found = |expression, text| pattern(expression).find_all(text).collect::<Vec<_>>();
        assert_eq!(found("a+", "aabaa"), [0..2, 3..5]);
        assert_eq!(found("b*", "abb"), [0..0, 1..3]);
        assert_eq!(pattern("[a-z]+").find("12ab3"), Some("ab"));
        assert_eq!(pattern("x").find("ab"), None);
    }
}
