//! Syntax errors in words that help the author of a stage file.

use super::DEPTH_LIMIT;
use super::parser::place;
use crate::Span;
use granit_parser::{ErrorKind, ScanError};

/// Why a text cannot be read.
#[derive(Debug)]
pub(super) struct Problem {
    /// Where the reason stands.
    pub(super) span: Option<Span>,
    /// What is wrong.
    pub(super) message: String,
    /// What to do about it.
    pub(super) help: Option<String>,
}

impl Problem {
    /// A problem with a remedy.
    pub(super) fn new(
        span: impl Into<Option<Span>>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { span: span.into(), message: message.into(), help: Some(help.into()) }
    }
}

/// Words an error of the parser.
pub(super) fn explain(error: &ScanError, text: &str) -> Problem {
    let at = *error.marker();
    let mut span = place(at, at);
    // Point at a character where there is one.
    let rest = text.get(span.start as usize..).unwrap_or_default();
    span.end += rest.chars().next().map_or(0, |c| c.len_utf8() as u32);
    if let Some(tab) = tab_as_indentation(error.kind(), text, span) {
        return Problem::new(
            tab,
            "a tab is used as indentation",
            "YAML allows only spaces before a line: replace the tab by spaces",
        );
    }
    let is_template =
        *error.kind() != ErrorKind::RecursionLimitExceeded && line_at(text, span).contains("{{");
    let template = is_template.then(|| {
        "a value that begins with a template needs quotes: `\"{{ ... }}\"`, or `|` and the text on the lines below"
            .to_owned()
    });
    let (message, help) = words(error.kind(), rest);
    Problem { span: Some(span), message, help: template.or(help) }
}

/// The error and its remedy; `rest` is the text from the place of the error on.
fn words(kind: &ErrorKind, rest: &str) -> (String, Option<String>) {
    use ErrorKind as E;
    let (message, help) = match kind {
        E::RecursionLimitExceeded => {
            return (
                format!("nested too deeply: more than {DEPTH_LIMIT} levels"),
                Some("no stage file needs that: is a bracket not closed?".to_owned()),
            );
        }
        E::MappingValueNotAllowed | E::InvalidColonPlacement => (
            "a `:` where no key can be",
            "put the value in quotes if the `:` belongs to it; otherwise look for a line above that is indented wrongly or a bracket that is not closed",
        ),
        E::ExpectedBlockMappingKey => (
            "this does not continue the map that it stands in",
            "give all keys of a map the same indentation, and put a value that goes on behind a quote or bracket into quotes as a whole",
        ),
        E::ExpectedBlockSequenceEntry | E::BlockSequenceEntryNotAllowed => (
            "this does not continue the list that it stands in",
            "give all items of a list the same indentation, each on its own line behind `- `",
        ),
        E::SimpleKeyExpected | E::InvalidSimpleKey => {
            ("a key without its `:`", "write `key: value`, with a space behind the colon")
        }
        E::InvalidIndentation | E::InvalidFlowScalarIndent | E::InvalidBlockScalarIndent => {
            ("this line is indented wrongly", "indent it like the lines that it belongs to, or deeper")
        }
        E::UnclosedQuotedScalar
        | E::DocumentIndicatorInQuotedScalar
        | E::InvalidQuotedScalarIndent
        | E::UnexpectedEof => (
            "a quote that is not closed",
            "close the quote on the same line, or indent the lines that follow",
        ),
        E::InvalidTrailingSingleQuotedScalar | E::InvalidTrailingDoubleQuotedScalar => (
            "text behind a closing quote",
            "put the whole value into quotes; within single quotes a quote is written `''`, within double quotes `\\\"`",
        ),
        E::UnknownQuotedScalarEscape | E::InvalidQuotedScalarHexEscape | E::InvalidUnicodeEscape => (
            "an unknown escape within double quotes",
            "write a backslash as `\\\\`, or use single quotes, in which it has no meaning",
        ),
        E::UnclosedFlowCollection { open } | E::MismatchedFlowCollectionEnd { open, .. } => {
            return (
                format!("the bracket `{open}` is not closed"),
                Some("close it, or put the value in quotes if the bracket belongs to it".to_owned()),
            );
        }
        E::ExpectedFlowMappingSeparator
        | E::ExpectedFlowSequenceSeparator
        | E::UnexpectedEofFlowSequence
        | E::UnexpectedEofFlowMapping
        | E::UnexpectedEofImplicitFlowMapping => (
            "a bracket that is not closed, or a comma that is missing",
            "separate items within brackets by `, ` and close the bracket",
        ),
        E::MisplacedFlowCollectionEnd => (
            "a closing bracket without an opening one",
            "put the value in quotes if the bracket belongs to it",
        ),
        E::MissingAnchorOrAliasName => (
            "`*` or `&` without a name",
            "put the value in quotes: YAML reads `*` and `&` at its beginning as alias and anchor",
        ),
        E::UnexpectedCharacter { character: '@' | '`' | '%' } => {
            ("a value cannot begin with this character", "put the value in quotes")
        }
        E::UnexpectedCharacter { character } if character.is_control() => (
            "a character that YAML does not allow",
            "remove it, or write it as an escape such as `\\x1b` within double quotes",
        ),
        E::CommentInterceptedScalar => (
            "a comment in the midst of a value",
            "put the value in quotes, or move the comment to a line of its own before it",
        ),
        E::UndeclaredTagHandle => {
            ("a tag that was not declared", "put the value in quotes if the `!` belongs to it")
        }
        E::BomInsideDocument => {
            ("a byte order mark within the text", "remove it: it is an invisible character")
        }
        other => {
            // Never the text itself: it may be a password.
            let place = match rest.chars().next() {
                None => " at the end of the text",
                Some('\n' | '\r') => " at the end of the line",
                Some(_) => "",
            };
            return (format!("not valid YAML{place}: {other}"), None);
        }
    };
    (message.to_owned(), Some(help.to_owned()))
}

/// The line that a place stands in.
fn line_at(text: &str, span: Span) -> &str {
    let at = (span.start as usize).min(text.len());
    let begin = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    text[begin..].lines().next().unwrap_or_default()
}

/// The tab that made the parser give up: on the line of the error or, for errors about tabs and about scalars
/// that seem to go on, on the first line behind it that is indented by one.
fn tab_as_indentation(kind: &ErrorKind, text: &str, at: Span) -> Option<Span> {
    let reach = match kind {
        ErrorKind::TabInPlainScalar
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInIndentation
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabNotAllowed => usize::MAX,
        _ => 1,
    };
    let begin = text[..(at.start as usize).min(text.len())].rfind('\n').map_or(0, |newline| newline + 1);
    let mut offset = begin;
    for (index, line) in text[begin..].split_inclusive('\n').take(reach).enumerate() {
        let indentation = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = line[..indentation].find('\t')
            && !line.trim().is_empty()
        {
            let start = (offset + tab) as u32;
            return Some(Span {
                line: at.line + index as u32,
                column: tab as u32 + 1,
                start,
                end: start + 1,
            });
        }
        offset += line.len();
    }
    None
}
