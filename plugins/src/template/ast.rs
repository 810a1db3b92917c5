//! What a template consists of after parsing. All names and texts are borrowed from its source.

use super::functions::Function;
use super::value::Value;
use std::borrow::Cow;

/// A byte offset into the source.
pub(super) type Offset = usize;

/// A sequence of nodes: the template itself or the body of a control structure.
pub(super) type Body<'t> = Vec<Node<'t>>;

/// A piece of a template.
#[derive(Debug)]
pub(super) enum Node<'t> {
    /// Text between actions.
    Text(&'t str),
    /// `{{ pipeline }}`.
    Action(Pipeline<'t>),
    /// `{{if}}`, with its `{{else if}}`.
    If(Branches<'t>),
    /// `{{with}}`, with its `{{else with}}`.
    With(Branches<'t>),
    /// `{{range}}`.
    Range { pipeline: Pipeline<'t>, body: Body<'t>, otherwise: Body<'t> },
    /// `{{template "name" data}}`.
    Template { at: Offset, name: Cow<'t, str>, data: Option<Pipeline<'t>> },
    /// `{{break}}`.
    Break,
    /// `{{continue}}`.
    Continue,
}

/// The branches of `if` or `with`, tried in order.
#[derive(Debug)]
pub(super) struct Branches<'t> {
    /// Conditions and what they lead to.
    pub(super) branches: Vec<(Pipeline<'t>, Body<'t>)>,
    /// `{{else}}`.
    pub(super) otherwise: Body<'t>,
}

/// `$x := first | second`.
#[derive(Debug)]
pub(super) struct Pipeline<'t> {
    /// The variables that get the value, with their `$`.
    pub(super) variables: Vec<&'t str>,
    /// Whether they exist already (`=`).
    pub(super) assigns: bool,
    /// At least one.
    pub(super) commands: Vec<Command<'t>>,
}

/// A value or a call: `name argument argument`.
#[derive(Debug)]
pub(super) struct Command<'t> {
    /// At least one.
    pub(super) operands: Vec<Operand<'t>>,
}

/// A term and its place.
#[derive(Debug)]
pub(super) struct Operand<'t> {
    pub(super) at: Offset,
    pub(super) term: Term<'t>,
}

/// What values are made of.
#[derive(Debug)]
pub(super) enum Term<'t> {
    /// `.`
    Dot,
    /// `nil`
    Nil,
    /// A truth value, number or text.
    Constant(Value),
    /// `.a.b`
    Field(Vec<&'t str>),
    /// `$x.a.b`
    Variable(&'t str, Vec<&'t str>),
    /// The name of a function.
    Function(&'static Function),
    /// `(pipeline)`
    Pipeline(Box<Pipeline<'t>>),
    /// `(pipeline).a.b`
    Chain(Box<Operand<'t>>, Vec<&'t str>),
}

/// A parsed template.
#[derive(Debug, Default)]
pub(super) struct Template<'t> {
    /// What it renders.
    pub(super) body: Body<'t>,
    /// What `{{define}}` and `{{block}}` name.
    pub(super) defined: Vec<(Cow<'t, str>, Body<'t>)>,
    /// The facts that it can get at.
    pub(super) needs: Needs<'t>,
}

/// The facts that a template can get at.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Needs<'t> {
    /// All of them: it uses `.` or `$` as a whole.
    pub(super) everything: bool,
    /// All of `.Values`.
    pub(super) all_values: bool,
    /// `os` in `.Values.os`.
    pub(super) values: Vec<&'t str>,
    /// First names of all field chains: `MachineID`.
    pub(super) names: Vec<&'t str>,
}
