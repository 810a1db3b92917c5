//! The event parser, wrapped: no other module but [`syntax`](super::syntax), which words its errors, knows which
//! crate it is.

use super::syntax::{self, Problem};
use super::{DEPTH_LIMIT, Style};
use crate::Span;
use granit_parser::{Event as Raw, Marker, Parser, ScalarStyle, StrInput, Tag as RawTag, options};
use std::borrow::Cow;

/// What the parser meets next.
pub(super) enum Event<'t> {
    /// A document begins.
    DocumentStart,
    /// A document ends.
    DocumentEnd,
    /// The text ends.
    StreamEnd,
    /// A scalar.
    Scalar(Cow<'t, str>, Style, Properties),
    /// A list begins.
    ListStart(Properties),
    /// A map begins.
    MapStart(Properties),
    /// The innermost list or map ends.
    CollectionEnd,
    /// `*name` of the anchor with this number.
    Alias(usize),
    /// `*name` without an anchor of that name before it.
    UnknownAlias,
}

/// What stands before a node.
pub(super) struct Properties {
    /// The number of the anchor, if there is one.
    pub(super) anchor: Option<usize>,
    /// The tag.
    pub(super) tag: Tag,
}

/// A tag, by what it means here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    /// None, or one that whoever reads the value finds out anyway: `!!int`, `!!map`.
    None,
    /// `!!str`.
    Text,
    /// A lone `!`, which means `!!str`.
    Exclamation,
    /// `!!binary`.
    Binary,
    /// Any other.
    Unknown,
}

/// The events of a text.
pub(super) struct Events<'t> {
    parser: Parser<'t, StrInput<'t>>,
    text: &'t str,
}

impl<'t> Events<'t> {
    /// Begins to read a text; it must not be longer than `u32` can count.
    pub(super) fn new(text: &'t str) -> Self {
        let options = options! {
            // As yaml.v3 has it.
            block_scalar_eof_without_line_feed: true,
            emit_unresolved_aliases: true,
            flow_nesting_limit: DEPTH_LIMIT,
            block_nesting_limit: DEPTH_LIMIT,
        };
        Self { parser: Parser::new_from_str_with_options(text, options), text }
    }

    /// The next event and where it stands.
    pub(super) fn next(&mut self) -> Result<(Event<'t>, Span), Problem> {
        loop {
            let (event, span) = match self.parser.next_event() {
                None => return Ok((Event::StreamEnd, Span::default())),
                Some(Err(error)) => return Err(syntax::explain(&error, self.text)),
                Some(Ok((event, span))) => (event, span),
            };
            let mut place = place(span.start, span.end);
            let event = match event {
                Raw::Scalar(text, style, anchor, tag) => {
                    let style = match style {
                        ScalarStyle::Plain => Style::Plain,
                        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                        ScalarStyle::Literal => Style::Literal { indent: narrow(span.indent.unwrap_or(0)) },
                        ScalarStyle::Folded => Style::Folded,
                    };
                    if matches!(style, Style::Literal { .. } | Style::Folded) {
                        place.end = self.end_of_text(place);
                    }
                    // The parser says `~` for what is not there at all.
                    let absent = style == Style::Plain && place.start == place.end;
                    let text = if absent { Cow::Borrowed("") } else { text };
                    Event::Scalar(text, style, properties(anchor, tag))
                }
                Raw::SequenceStart(_, anchor, tag) => Event::ListStart(properties(anchor, tag)),
                Raw::MappingStart(_, anchor, tag) => Event::MapStart(properties(anchor, tag)),
                Raw::SequenceEnd | Raw::MappingEnd => Event::CollectionEnd,
                Raw::Alias(id) => Event::Alias(id),
                Raw::UnresolvedAlias(_) => Event::UnknownAlias,
                Raw::DocumentStart(..) => Event::DocumentStart,
                Raw::DocumentEnd => Event::DocumentEnd,
                Raw::StreamEnd => Event::StreamEnd,
                _ => continue,
            };
            return Ok((event, place));
        }
    }

    /// Where a block scalar ends without the blank lines behind it.
    fn end_of_text(&self, span: Span) -> u32 {
        let text = self.text.get(span.start as usize..span.end as usize).unwrap_or_default();
        span.start + narrow(text.trim_end().len())
    }
}

fn properties(anchor: usize, tag: Option<Cow<'_, RawTag>>) -> Properties {
    Properties { anchor: (anchor != 0).then_some(anchor), tag: tag.map_or(Tag::None, |tag| meaning(&tag)) }
}

fn meaning(tag: &RawTag) -> Tag {
    match tag.suffix_in_namespace("tag:yaml.org,2002:").as_deref() {
        Some("str") => Tag::Text,
        Some("binary") => Tag::Binary,
        Some("int" | "float" | "bool" | "null" | "timestamp" | "merge" | "map" | "seq") => Tag::None,
        _ if tag.parts() == ("", "!") => Tag::Exclamation,
        _ => Tag::Unknown,
    }
}

/// Our notion of a place: columns count from 1.
pub(super) fn place(start: Marker, end: Marker) -> Span {
    Span {
        line: narrow(start.line()),
        column: narrow(start.col() + 1),
        start: narrow(start.byte_offset().unwrap_or_default()),
        end: narrow(end.byte_offset().unwrap_or_default()),
    }
}

/// A position as it is kept; the budget for the length of a text makes sure that it fits.
fn narrow(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
