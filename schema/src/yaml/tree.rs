//! Builds the tree from the events, within budgets, and resolves aliases.
//!
//! Nodes whose collection is still open wait on one stack; when it ends they move into a vector of exactly their
//! number, so that a tree takes no more memory than its nodes.

use super::parser::{Event, Events, Properties, Tag};
use super::syntax::Problem;
use super::{Node, Scalar, Style, Value, binary, map};
use crate::{Findings, Span};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The longest text that is read, in bytes.
pub const TEXT_LIMIT: usize = 16 << 20;
/// The largest number of nodes (scalars, lists and maps) of a document, with those that aliases bring in.
pub const NODE_LIMIT: usize = 500_000;
/// The largest number of nodes that anchors, aliases and merge keys copy, and 64 times as many bytes of text.
pub const COPY_LIMIT: usize = 100_000;
/// How deep lists and maps may be nested.
pub const DEPTH_LIMIT: usize = 100;

/// Reads the first document of a stream; nothing when it is empty.
pub(super) fn build(text: &str, findings: &mut Findings) -> Result<Option<Node>, Problem> {
    if text.len() > TEXT_LIMIT {
        return Err(Problem::new(
            None,
            format!("the text is too large: {} bytes, at most {TEXT_LIMIT} are read", text.len()),
            "split it into several files, and fetch large contents from elsewhere",
        ));
    }
    let mut builder = Builder {
        events: Events::new(text),
        findings,
        nodes: Vec::new(),
        open: Vec::new(),
        anchors: BTreeMap::new(),
        count: Size::default(),
        copied: Size::default(),
    };
    match builder.events.next()? {
        (Event::StreamEnd, _) => return Ok(None),
        (Event::DocumentStart, _) => {}
        (_, span) => return Err(Problem { span: Some(span), message: "not a document".into(), help: None }),
    }
    loop {
        let (event, span) = builder.events.next()?;
        match event {
            Event::DocumentEnd => break,
            Event::StreamEnd => return Ok(None),
            event => builder.take(event, span)?,
        }
    }
    let root = builder.nodes.pop();
    builder.warn_of_later_documents();
    Ok(root)
}

/// How much there is of something.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
}

/// A list or map that has not ended yet.
struct Open {
    span: Span,
    anchor: Option<usize>,
    is_map: bool,
    /// How many nodes were on the stack when it began.
    base: usize,
    /// What had been counted when it began.
    before: Size,
    /// How many levels its children have below it.
    height: usize,
}

/// A node that aliases may name.
struct Anchored {
    node: Node,
    size: Size,
    height: usize,
}

struct Builder<'t, 'f> {
    events: Events<'t>,
    findings: &'f mut Findings,
    nodes: Vec<Node>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Anchored>,
    /// All nodes so far, with those that aliases brought in.
    count: Size,
    /// Those that were copied.
    copied: Size,
}

impl<'t> Builder<'t, '_> {
    fn take(&mut self, event: Event<'t>, span: Span) -> Result<(), Problem> {
        match event {
            Event::Scalar(text, style, properties) => self.scalar(text, style, properties, span),
            Event::ListStart(properties) => self.begin(false, properties, span),
            Event::MapStart(properties) => self.begin(true, properties, span),
            Event::CollectionEnd => self.end(span),
            Event::Alias(id) => self.alias(id, span),
            // Without the name: it may be the beginning of a password.
            Event::UnknownAlias => Err(Problem::new(
                span,
                "no anchor of this name stands before the alias",
                "define the anchor further up, or put the value in quotes if the `*` belongs to it",
            )),
            Event::DocumentStart | Event::DocumentEnd | Event::StreamEnd => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: Cow<'t, str>,
        style: Style,
        properties: Properties,
        span: Span,
    ) -> Result<(), Problem> {
        let before = self.count;
        let (mut text, mut style) = (text, style);
        match properties.tag {
            Tag::None => {}
            Tag::Text if style == Style::Plain => style = Style::Quoted,
            Tag::Text => {}
            Tag::Exclamation if text.is_empty() && style == Style::Plain => self.unknown_tag(span),
            Tag::Exclamation if style == Style::Plain => style = Style::Quoted,
            Tag::Exclamation => {}
            Tag::Binary => {
                text = Cow::Owned(binary::text(&text).map_err(|message| {
                    Problem::new(span, message, "leave the tag out and say `encoding: base64` beside it")
                })?);
                style = Style::Quoted;
            }
            Tag::Unknown => self.unknown_tag(span),
        }
        self.count_in(Size { nodes: 1, bytes: text.len() }, span)?;
        let scalar = Scalar { text: text.into(), style };
        self.finish(Node { span, value: Value::Scalar(scalar) }, properties.anchor, before, 0)
    }

    fn begin(&mut self, is_map: bool, properties: Properties, span: Span) -> Result<(), Problem> {
        if properties.tag == Tag::Unknown {
            self.unknown_tag(span);
        }
        if self.open.len() >= DEPTH_LIMIT {
            return Err(too_deep(span));
        }
        let before = self.count;
        self.count_in(Size { nodes: 1, bytes: 0 }, span)?;
        let (anchor, base) = (properties.anchor, self.nodes.len());
        self.open.push(Open { span, anchor, is_map, base, before, height: 0 });
        Ok(())
    }

    fn end(&mut self, end: Span) -> Result<(), Problem> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let mut span = open.span;
        // A flow collection ends with its bracket, a block collection with its last child.
        let last_child = self.nodes[open.base..].iter().map(|node| node.span.end).max();
        span.end = match last_child {
            Some(last) if end.start == end.end => last.max(span.end),
            _ => end.end.max(span.end),
        };
        let children = self.nodes.drain(open.base..);
        let value = if open.is_map {
            Value::Map(map::entries(children, self.findings)?)
        } else {
            Value::List(children.collect())
        };
        self.finish(Node { span, value }, open.anchor, open.before, open.height)
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Problem> {
        let Some(anchored) = self.anchors.get(&id) else {
            return Err(Problem::new(
                span,
                "the alias stands within what it names",
                "an alias can only repeat what is complete before it",
            ));
        };
        let (size, height) = (anchored.size, anchored.height);
        if self.open.len() + height > DEPTH_LIMIT {
            return Err(too_deep(span));
        }
        let before = self.count;
        self.count_in(size, span)?;
        self.copy(size, span)?;
        let Some(node) = self.anchors.get(&id).map(|anchored| anchored.node.clone()) else { return Ok(()) };
        self.finish(node, None, before, height)
    }

    /// Puts a complete node on the stack and remembers it if it has an anchor.
    fn finish(
        &mut self,
        node: Node,
        anchor: Option<usize>,
        before: Size,
        height: usize,
    ) -> Result<(), Problem> {
        if let Some(id) = anchor {
            let size =
                Size { nodes: self.count.nodes - before.nodes, bytes: self.count.bytes - before.bytes };
            self.copy(size, node.span)?;
            self.anchors.insert(id, Anchored { node: node.clone(), size, height });
        }
        if let Some(parent) = self.open.last_mut() {
            parent.height = parent.height.max(height + 1);
        }
        self.nodes.push(node);
        Ok(())
    }

    fn count_in(&mut self, size: Size, span: Span) -> Result<(), Problem> {
        self.count.nodes += size.nodes;
        self.count.bytes += size.bytes;
        if self.count.nodes > NODE_LIMIT {
            return Err(Problem::new(
                span,
                format!("the document is too large: more than {NODE_LIMIT} values"),
                "split it into several files",
            ));
        }
        Ok(())
    }

    fn copy(&mut self, size: Size, span: Span) -> Result<(), Problem> {
        self.copied.nodes += size.nodes;
        self.copied.bytes += size.bytes;
        if self.copied.nodes > COPY_LIMIT || self.copied.bytes > 64 * COPY_LIMIT {
            return Err(Problem::new(
                span,
                format!("the aliases expand to too much: more than {COPY_LIMIT} values"),
                "write repeated parts only once, in a file that the steps use",
            ));
        }
        Ok(())
    }

    /// Without the tag itself: `passwd: !secret` is one.
    fn unknown_tag(&mut self, span: Span) {
        self.findings
            .warn(span, "what begins with `!` is a tag in YAML, and this one has no meaning here")
            .help("put the value in quotes if the `!` belongs to it; otherwise leave the tag out");
    }

    /// A stream may go on behind the first document. What follows cannot be a reason to lose the first one, not
    /// even when it is no YAML.
    fn warn_of_later_documents(&mut self) {
        let place = match self.events.next() {
            Ok((Event::DocumentStart, span)) => span,
            Ok(_) => return,
            Err(problem) => problem.span.unwrap_or_default(),
        };
        // `---` with nothing behind it is only an end.
        let empty = matches!(
            self.events.next(),
            Ok((Event::Scalar(text, Style::Plain, _), _)) if text.is_empty()
        ) && matches!(self.events.next(), Ok((Event::DocumentEnd, _)))
            && matches!(self.events.next(), Ok((Event::StreamEnd, _)));
        if !empty {
            self.findings
                .warn(place, "only the first document of a file is used; what follows is ignored")
                .help("put each document into a file of its own");
        }
    }
}

fn too_deep(span: Span) -> Problem {
    Problem::new(
        span,
        format!("nested too deeply: more than {DEPTH_LIMIT} levels"),
        "no stage file needs that: is a bracket not closed?",
    )
}
