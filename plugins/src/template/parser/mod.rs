//! From tokens to a template, by the rules of Go's text/template.
//!
//! **Invariant:** recursion is bounded by [`MAX_NESTING`] and memory by [`MAX_NODES`], whatever the source.

mod pipelines;

use super::ast::{Body, Branches, Node, Offset, Template};
use super::lexer::{Kind, Lexer, SyntaxError, Token};
use super::quote;
use std::borrow::Cow;

/// How deep control structures and parentheses may nest.
const MAX_NESTING: usize = 50;
/// How many nodes, commands and operands a template may have.
const MAX_NODES: usize = 200_000;
/// How many variables may exist at one place, and how many templates may be defined: both are searched in order.
const MAX_NAMES: usize = 250;
/// How many facts are told apart; a template that names more gets all.
const MAX_NEEDS: usize = 64;

/// Parses a template.
pub(super) fn parse(source: &str) -> Result<Template<'_>, SyntaxError> {
    let mut parser = Parser {
        lexer: Lexer::new(source),
        pushed_back: Vec::new(),
        variables: vec!["$"],
        nodes: 0,
        nesting: 0,
        loops: 0,
        moved_dot: 0,
        definitions: 0,
        template: Template::default(),
    };
    let body = parser.top_level()?;
    parser.template.body = body;
    Ok(parser.template)
}

type Result<T, E = SyntaxError> = std::result::Result<T, E>;

struct Parser<'t> {
    lexer: Lexer<'t>,
    /// Tokens that were looked at and not used, the next one last.
    pushed_back: Vec<Token<'t>>,
    /// The variables that exist here.
    variables: Vec<&'t str>,
    nodes: usize,
    nesting: usize,
    /// How many `range` bodies are around, for `break` and `continue`.
    loops: usize,
    /// How many bodies are around in which `.` is not the data of the template.
    moved_dot: usize,
    /// How many `define` and `block` are around.
    definitions: usize,
    template: Template<'t>,
}

/// What ended a body.
#[derive(PartialEq)]
enum Terminator {
    End,
    Else,
    ElseIf,
    ElseWith,
}

impl<'t> Parser<'t> {
    fn top_level(&mut self) -> Result<Body<'t>> {
        let mut body = Vec::new();
        loop {
            let token = self.next()?;
            match token.kind {
                Kind::End => return Ok(body),
                Kind::Text(text) => body.push(Node::Text(text)),
                _ => {
                    let word = self.next_non_space()?;
                    if word.kind == Kind::Keyword("define") {
                        self.define(word.at)?;
                        continue;
                    }
                    self.push_back(word);
                    match self.action()? {
                        Ok(node) => body.push(node),
                        Err((at, _)) => return error(at, "`end` or `else` without `if`, `with` or `range`"),
                    }
                }
            }
            self.count(token.at)?;
        }
    }

    fn define(&mut self, at: Offset) -> Result<()> {
        let name = self.template_name("define")?;
        self.expect_close("define")?;
        self.named_body(at, name)
    }

    /// The body of `define` and `block`, which is a template of its own: it has its own variables and dot.
    fn named_body(&mut self, at: Offset, name: Cow<'t, str>) -> Result<()> {
        let variables = std::mem::replace(&mut self.variables, vec!["$"]);
        let loops = std::mem::take(&mut self.loops);
        self.moved_dot += 1;
        self.definitions += 1;
        let (body, terminator) = self.body()?;
        self.definitions -= 1;
        self.moved_dot -= 1;
        self.loops = loops;
        self.variables = variables;
        if terminator != Terminator::End {
            return error(at, "a `define` or `block` has no `else`");
        }
        // As in Go, an empty definition gives way to another one.
        let empty =
            |body: &Body| body.iter().all(|node| matches!(node, Node::Text(t) if t.trim().is_empty()));
        let count = self.template.defined.len();
        match self.template.defined.iter_mut().find(|(defined, _)| *defined == name) {
            Some((_, defined)) if empty(defined) => *defined = body,
            Some(_) if empty(&body) => {}
            Some(_) => return error(at, &format!("the template `{name}` is defined a second time")),
            None if count >= MAX_NAMES => {
                return error(at, &format!("more than {MAX_NAMES} templates are defined"));
            }
            None => self.template.defined.push((name, body)),
        }
        Ok(())
    }

    /// The body of a control structure, up to its `end` or `else`.
    fn body(&mut self) -> Result<(Body<'t>, Terminator)> {
        let mut body = Vec::new();
        loop {
            let token = self.next()?;
            self.count(token.at)?;
            match token.kind {
                Kind::End => return error(token.at, "`{{end}}` is missing"),
                Kind::Text(text) => body.push(Node::Text(text)),
                _ => match self.action()? {
                    Ok(node) => body.push(node),
                    Err((_, terminator)) => return Ok((body, terminator)),
                },
            }
        }
    }

    /// What follows `{{`: a node, or the end of a body.
    fn action(&mut self) -> Result<Result<Node<'t>, (Offset, Terminator)>> {
        let token = self.next_non_space()?;
        let at = token.at;
        let Kind::Keyword(keyword) = token.kind else {
            self.push_back(token);
            return Ok(Ok(Node::Action(self.pipeline("an action", Kind::Close)?)));
        };
        let node = match keyword {
            "if" => Node::If(self.branches(at, false)?),
            "with" => Node::With(self.branches(at, true)?),
            "range" => self.range(at)?,
            "template" => self.template_call(at)?,
            "block" => self.block(at)?,
            "break" | "continue" => {
                if self.loops == 0 {
                    return error(at, &format!("`{keyword}` outside of `range`"));
                }
                self.expect_close(keyword)?;
                if keyword == "break" { Node::Break } else { Node::Continue }
            }
            "end" => {
                self.expect_close("end")?;
                return Ok(Err((at, Terminator::End)));
            }
            "else" => return Ok(Err((at, self.terminating_else()?))),
            _ => return error(at, "`define` stands outside of all other actions"),
        };
        Ok(Ok(node))
    }

    fn terminating_else(&mut self) -> Result<Terminator> {
        let token = self.next_non_space()?;
        match token.kind {
            Kind::Close => Ok(Terminator::Else),
            Kind::Keyword("if") => Ok(Terminator::ElseIf),
            Kind::Keyword("with") => Ok(Terminator::ElseWith),
            kind => error(token.at, &format!("unexpected {} after `else`", kind.describe())),
        }
    }

    /// `if` or `with` behind the keyword. `else if` does not nest, so any number of them may follow.
    fn branches(&mut self, at: Offset, with: bool) -> Result<Branches<'t>> {
        let keyword = if with { "with" } else { "if" };
        let outer_variables = self.variables.len();
        self.enter(at)?;
        let mut branches = Vec::new();
        let mut otherwise = Vec::new();
        loop {
            let condition = self.pipeline(keyword, Kind::Close)?;
            self.moved_dot += usize::from(with);
            let (body, terminator) = self.body()?;
            self.moved_dot -= usize::from(with);
            branches.push((condition, body));
            match terminator {
                Terminator::End => break,
                Terminator::ElseIf if !with => {}
                Terminator::ElseWith if with => {}
                Terminator::Else => {
                    let (body, terminator) = self.body()?;
                    if terminator != Terminator::End {
                        return error(at, &format!("this `{keyword}` has something behind its `else`"));
                    }
                    otherwise = body;
                    break;
                }
                _ => return error(at, &format!("this `{keyword}` has an `else` of another kind")),
            }
        }
        self.nesting -= 1;
        self.variables.truncate(outer_variables);
        Ok(Branches { branches, otherwise })
    }

    fn range(&mut self, at: Offset) -> Result<Node<'t>> {
        let outer_variables = self.variables.len();
        self.enter(at)?;
        let pipeline = self.pipeline("range", Kind::Close)?;
        self.loops += 1;
        self.moved_dot += 1;
        let (body, terminator) = self.body()?;
        self.loops -= 1;
        self.moved_dot -= 1;
        let otherwise = match terminator {
            Terminator::End => Vec::new(),
            Terminator::Else => match self.body()? {
                (otherwise, Terminator::End) => otherwise,
                _ => return error(at, "this `range` has something behind its `else`"),
            },
            _ => return error(at, "a `range` has a plain `else` only"),
        };
        self.nesting -= 1;
        self.variables.truncate(outer_variables);
        Ok(Node::Range { pipeline, body, otherwise })
    }

    fn template_call(&mut self, at: Offset) -> Result<Node<'t>> {
        let name = self.template_name("template")?;
        let token = self.next_non_space()?;
        let data = match token.kind {
            Kind::Close => None,
            _ => {
                self.push_back(token);
                Some(self.pipeline("template", Kind::Close)?)
            }
        };
        Ok(Node::Template { at, name, data })
    }

    fn block(&mut self, at: Offset) -> Result<Node<'t>> {
        let name = self.template_name("block")?;
        let data = self.pipeline("block", Kind::Close)?;
        self.enter(at)?;
        self.named_body(at, name.clone())?;
        self.nesting -= 1;
        Ok(Node::Template { at, name, data: Some(data) })
    }

    fn template_name(&mut self, keyword: &str) -> Result<Cow<'t, str>> {
        let token = self.next_non_space()?;
        match token.kind {
            Kind::Quoted(text) => unquote(token.at, text).map(Cow::Owned),
            Kind::Raw(text) => Ok(Cow::Borrowed(text)),
            kind => error(token.at, &format!("`{keyword}` wants a name in quotes, not {}", kind.describe())),
        }
    }

    fn enter(&mut self, at: Offset) -> Result<()> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return error(at, &format!("the template nests deeper than {MAX_NESTING} levels"));
        }
        Ok(())
    }

    fn count(&mut self, at: Offset) -> Result<()> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return error(at, "the template is too large; `template: false` keeps a file as it is");
        }
        Ok(())
    }

    fn expect_close(&mut self, keyword: &str) -> Result<()> {
        let token = self.next_non_space()?;
        match token.kind {
            Kind::Close => Ok(()),
            kind => error(token.at, &format!("unexpected {} in `{keyword}`", kind.describe())),
        }
    }

    fn next(&mut self) -> Result<Token<'t>> {
        self.pushed_back.pop().map_or_else(|| self.lexer.next(), Ok)
    }

    fn next_non_space(&mut self) -> Result<Token<'t>> {
        loop {
            let token = self.next()?;
            if token.kind != Kind::Space {
                return Ok(token);
            }
        }
    }

    fn push_back(&mut self, token: Token<'t>) {
        self.pushed_back.push(token);
    }
}

fn unquote(at: Offset, text: &str) -> Result<String> {
    match quote::unquote(text) {
        Some(text) => Ok(text),
        None => error(at, "the text in quotes has an escape that Go does not know, or is not UTF-8"),
    }
}

fn error<T>(at: Offset, message: &str) -> Result<T> {
    Err(SyntaxError { at, message: message.to_owned() })
}
