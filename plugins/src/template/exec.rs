//! Evaluation of a parsed template.
//!
//! **Invariant:** the time, the memory and the stack that a template can use are bounded by counting, not by a
//! clock, so that a template renders on a slow machine exactly when it does on a fast one.

use super::ast::{Body, Branches, Command, Node, Offset, Operand, Pipeline, Template, Term};
use super::failure::Failure;
use super::functions::{Environment, Function};
use super::lexer::SyntaxError;
use super::value::{self, Value};

/// How deep bodies, parentheses and templates may nest while they are evaluated.
const MAX_NESTING: usize = 100;
/// How many bytes a template may put out beyond the length of its text.
const MAX_OUTPUT: usize = 16 << 20;

/// Renders a template with its data.
pub(super) fn render(
    template: &Template<'_>,
    source: &str,
    data: &Value,
    environment: &Environment<'_>,
) -> Result<String, SyntaxError> {
    let mut executor = Executor {
        template,
        environment,
        variables: vec![("$", data.clone())],
        out: String::with_capacity(source.len()),
        max_output: source.len().saturating_add(MAX_OUTPUT),
        nesting: 0,
    };
    executor.body(&template.body, data)?;
    Ok(executor.out)
}

type Result<T, E = SyntaxError> = std::result::Result<T, E>;

struct Executor<'x, 't> {
    template: &'x Template<'t>,
    environment: &'x Environment<'x>,
    /// The variables that exist, the innermost last.
    variables: Vec<(&'t str, Value)>,
    out: String,
    max_output: usize,
    nesting: usize,
}

/// How a body ended.
#[derive(PartialEq)]
enum Flow {
    Done,
    Break,
    Continue,
}

impl<'x, 't> Executor<'x, 't> {
    /// Evaluates a body; its variables end with it.
    fn body(&mut self, body: &'x Body<'t>, dot: &Value) -> Result<Flow> {
        let variables = self.variables.len();
        let mut flow = Flow::Done;
        for node in body {
            flow = self.node(node, dot)?;
            if flow != Flow::Done {
                break;
            }
        }
        self.variables.truncate(variables);
        Ok(flow)
    }

    fn node(&mut self, node: &'x Node<'t>, dot: &Value) -> Result<Flow> {
        match node {
            Node::Text(text) => self.write(0, text)?,
            Node::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.print(place(pipeline), &value)?;
                }
            }
            Node::If(branches) => return self.branches(branches, dot, false),
            Node::With(branches) => return self.branches(branches, dot, true),
            Node::Range { pipeline, body, otherwise } => return self.range(pipeline, body, otherwise, dot),
            Node::Template { at, name, data } => {
                let data = match data {
                    Some(pipeline) => self.pipeline(pipeline, dot)?,
                    None => Value::Nil,
                };
                let Some((_, body)) = self.template.defined.iter().find(|(defined, _)| defined == name)
                else {
                    return fail(*at, format!("there is no template `{name}`"));
                };
                // A template has variables of its own.
                let outer = std::mem::replace(&mut self.variables, vec![("$", data.clone())]);
                self.enter(*at)?;
                self.body(body, &data)?;
                self.nesting -= 1;
                self.variables = outer;
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Done)
    }

    fn branches(&mut self, branches: &'x Branches<'t>, dot: &Value, with: bool) -> Result<Flow> {
        let variables = self.variables.len();
        let mut chosen = (&branches.otherwise, None);
        for (condition, body) in &branches.branches {
            let value = self.pipeline(condition, dot)?;
            if value.is_true() {
                chosen = (body, with.then_some(value));
                break;
            }
        }
        let at = branches.branches.first().map_or(0, |(condition, _)| place(condition));
        self.enter(at)?;
        let flow = self.body(chosen.0, chosen.1.as_ref().unwrap_or(dot))?;
        self.nesting -= 1;
        self.variables.truncate(variables);
        Ok(flow)
    }

    fn range(
        &mut self,
        pipeline: &'x Pipeline<'t>,
        body: &'x Body<'t>,
        otherwise: &'x Body<'t>,
        dot: &Value,
    ) -> Result<Flow> {
        let at = place(pipeline);
        let variables = self.variables.len();
        let value = self.evaluate(pipeline, dot)?;
        self.enter(at)?;
        let one_variable = pipeline.variables.len() < 2;
        let flow = match &value {
            Value::List(list) if !list.is_empty() => {
                let entries = list.iter().enumerate().map(|(index, value)| (to_int(index), value.clone()));
                self.iterate(pipeline, body, entries)?
            }
            Value::Map(map) if !map.entries().is_empty() => {
                // A copy: the body may change the dictionary.
                let entries = map.entries();
                let entries: Vec<_> =
                    entries.iter().map(|(key, value)| (Value::Text(key.clone()), value.clone())).collect();
                self.iterate(pipeline, body, entries.into_iter())?
            }
            Value::Int(count) if *count > 0 && one_variable => {
                self.iterate(pipeline, body, (0..*count).map(|index| (index.into(), index.into())))?
            }
            Value::Int(count) if *count > 0 => return fail(at, "a number gives one variable, not two"),
            Value::List(_) | Value::Map(_) | Value::Int(_) | Value::Nil | Value::Absent => {
                self.body(otherwise, dot)?
            }
            other => return fail(at, format!("`range` goes over lists, not over {}", other.noun())),
        };
        self.nesting -= 1;
        self.variables.truncate(variables);
        Ok(flow)
    }

    fn iterate(
        &mut self,
        pipeline: &'x Pipeline<'t>,
        body: &'x Body<'t>,
        entries: impl Iterator<Item = (Value, Value)>,
    ) -> Result<Flow> {
        let at = place(pipeline);
        for (key, value) in entries {
            self.environment.step().or_else(|failure| fail(at, failure.0))?;
            let variables = self.variables.len();
            let both = [key, value.clone()];
            let values = if pipeline.variables.len() == 1 { &both[1..] } else { &both[..] };
            for (name, value) in pipeline.variables.iter().zip(values) {
                self.set(name, value.clone(), pipeline.assigns);
            }
            let flow = self.body(body, &value)?;
            self.variables.truncate(variables);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::Done)
    }

    /// Evaluates a pipeline and gives its value to its variables.
    fn pipeline(&mut self, pipeline: &'x Pipeline<'t>, dot: &Value) -> Result<Value> {
        let value = self.evaluate(pipeline, dot)?;
        for name in &pipeline.variables {
            self.set(name, value.clone(), pipeline.assigns);
        }
        Ok(value)
    }

    fn evaluate(&mut self, pipeline: &'x Pipeline<'t>, dot: &Value) -> Result<Value> {
        self.environment.step().or_else(|failure| fail(place(pipeline), failure.0))?;
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, dot, value)?);
        }
        Ok(value.unwrap_or(Value::Absent))
    }

    /// Evaluates a command; `piped` becomes its last argument.
    fn command(&mut self, command: &'x Command<'t>, dot: &Value, piped: Option<Value>) -> Result<Value> {
        let Some((first, arguments)) = command.operands.split_first() else { return Ok(Value::Absent) };
        if let Term::Function(function) = &first.term {
            return self.call(first.at, function, arguments, dot, piped);
        }
        if !arguments.is_empty() || piped.is_some() {
            return fail(first.at, "this is not a function and cannot be given arguments");
        }
        if let Term::Nil = first.term {
            return fail(first.at, "`nil` alone is not a command");
        }
        self.operand(first, dot)
    }

    fn call(
        &mut self,
        at: Offset,
        function: &'static Function,
        arguments: &'x [Operand<'t>],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value> {
        let count = arguments.len() + usize::from(piped.is_some());
        function.check_count(count).or_else(|failure| fail(at, failure.0))?;
        let mut values = Vec::with_capacity(count);
        for argument in arguments {
            let value = self.operand(argument, dot)?;
            // `and` and `or` stop at the argument that decides.
            if function.stops_at == Some(value.is_true()) {
                return Ok(value);
            }
            values.push(value);
        }
        values.extend(piped);
        self.environment.call(function, &values).or_else(|failure| fail(at, failure.0))
    }

    fn operand(&mut self, operand: &'x Operand<'t>, dot: &Value) -> Result<Value> {
        let at = operand.at;
        match &operand.term {
            Term::Dot => Ok(dot.clone()),
            Term::Nil => Ok(Value::Nil),
            Term::Constant(value) => Ok(value.clone()),
            Term::Field(names) => fields(at, dot, names),
            Term::Variable(name, names) => {
                let value = self.variables.iter().rev().find(|(known, _)| known == name);
                fields(at, value.map_or(&Value::Absent, |(_, value)| value), names)
            }
            Term::Function(function) => self.call(at, function, &[], dot, None),
            Term::Pipeline(pipeline) => {
                self.enter(at)?;
                let value = self.pipeline(pipeline, dot)?;
                self.nesting -= 1;
                Ok(value)
            }
            Term::Chain(inner, names) => {
                let value = self.operand(inner, dot)?;
                fields(at, &value, names)
            }
        }
    }

    fn set(&mut self, name: &'t str, value: Value, assigns: bool) {
        let existing = self.variables.iter_mut().rev().find(|(known, _)| assigns && *known == name);
        match existing {
            Some((_, variable)) => *variable = value,
            None => self.variables.push((name, value)),
        }
    }

    /// Writes a value as an action does, which prints nil as a missing value.
    fn print(&mut self, at: Offset, value: &Value) -> Result<()> {
        match value {
            Value::Text(text) => self.write(at, text),
            Value::Absent | Value::Nil => self.write(at, "<no value>"),
            value => {
                value::weigh(value)
                    .and_then(|weight| self.environment.spend(weight))
                    .or_else(|failure| fail(at, failure.0))?;
                self.write(at, &value.to_string())
            }
        }
    }

    fn write(&mut self, at: Offset, text: &str) -> Result<()> {
        if text.len() > self.max_output - self.out.len() {
            return fail(at, format!("the template writes more than {} MiB", MAX_OUTPUT >> 20));
        }
        self.out.push_str(text);
        Ok(())
    }

    fn enter(&mut self, at: Offset) -> Result<()> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return fail(at, format!("templates and their parts nest deeper than {MAX_NESTING} levels"));
        }
        self.environment.step().or_else(|failure| fail(at, failure.0))
    }
}

/// The value of `.a.b` of a value. What is not there has all fields, and they are not there either.
fn fields(at: Offset, value: &Value, names: &[&str]) -> Result<Value> {
    let mut value = value.clone();
    for name in names {
        value = match &value {
            Value::Map(map) => map.get(name).unwrap_or(Value::Absent),
            Value::Absent => Value::Absent,
            Value::Time(time) => match time.field(name) {
                Some(value) => value,
                None => return fail(at, format!("a time has no field `.{name}`; use `date`")),
            },
            other => return fail(at, format!("{} has no field `.{name}`", other.noun())),
        };
    }
    Ok(value)
}

fn place(pipeline: &Pipeline<'_>) -> Offset {
    pipeline.commands.first().and_then(|command| command.operands.first()).map_or(0, |operand| operand.at)
}

fn to_int(index: usize) -> Value {
    Value::Int(i64::try_from(index).unwrap_or(i64::MAX))
}

fn fail<T>(at: Offset, message: impl Into<Failure>) -> Result<T> {
    Err(SyntaxError { at, message: message.into().0 })
}
