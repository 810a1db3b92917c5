//! Pipelines: declarations, commands, operands, and the facts that they name.

use super::{MAX_NAMES, MAX_NEEDS, Parser, Result, error, unquote};
use crate::template::ast::{Command, Operand, Pipeline, Term};
use crate::template::functions;
use crate::template::lexer::{Kind, Token};
use crate::template::number::{self, Constant};
use crate::template::quote;
use crate::template::value::Value;

impl<'t> Parser<'t> {
    /// A pipeline up to and including `end`.
    pub(super) fn pipeline(&mut self, place: &str, end: Kind<'t>) -> Result<Pipeline<'t>> {
        let (variables, assigns) = self.declarations(place)?;
        let mut commands = Vec::new();
        let mut expects_command = true;
        loop {
            let token = self.next_non_space()?;
            self.count(token.at)?;
            if token.kind == end {
                if expects_command {
                    return error(token.at, &format!("a value is missing in {}", in_place(place)));
                }
                // What is declared exists from here on.
                if !assigns {
                    self.variables.extend(&variables);
                }
                if self.variables.len() > MAX_NAMES {
                    return error(token.at, &format!("more than {MAX_NAMES} variables exist here"));
                }
                return Ok(Pipeline { variables, assigns, commands });
            }
            if matches!(token.kind, Kind::Close | Kind::RightParen) {
                return error(
                    token.at,
                    &format!("{} is missing before {}", end.describe(), token.kind.describe()),
                );
            }
            self.push_back(token);
            let (command, piped) = self.command()?;
            if let (false, Some(first)) = (commands.is_empty(), command.operands.first())
                && matches!(first.term, Term::Dot | Term::Nil | Term::Constant(_))
            {
                return error(first.at, "what follows `|` must be a function");
            }
            commands.push(command);
            expects_command = piped;
        }
    }

    /// `$x :=`, `$x =` or, for `range`, `$i, $x :=`.
    fn declarations(&mut self, place: &str) -> Result<(Vec<&'t str>, bool)> {
        let mut variables = Vec::new();
        loop {
            let token = self.next_non_space()?;
            let Kind::Variable(name) = token.kind else {
                if !variables.is_empty() {
                    return error(token.at, "a variable is missing behind `,`");
                }
                self.push_back(token);
                return Ok((variables, false));
            };
            // Spaces count: in `$x 1` the variable is a value, and what comes next must be kept as it was.
            let adjacent = self.next()?;
            let operator = if adjacent.kind == Kind::Space { self.next_non_space()? } else { adjacent };
            match operator.kind {
                Kind::Declare | Kind::Assign => {
                    variables.push(name);
                    let assigns = operator.kind == Kind::Assign;
                    if assigns
                        && let Some(unknown) = variables.iter().find(|name| !self.variables.contains(name))
                    {
                        return error(
                            token.at,
                            &format!("there is no variable `{unknown}`; declare it with `:=`"),
                        );
                    }
                    return Ok((variables, assigns));
                }
                Kind::Comma if place == "range" && variables.is_empty() => variables.push(name),
                Kind::Comma => return error(operator.at, "too many variables"),
                _ if !variables.is_empty() => return error(operator.at, "`:=` is missing"),
                _ => {
                    self.push_back(operator);
                    if adjacent.kind == Kind::Space {
                        self.push_back(adjacent);
                    }
                    self.push_back(token);
                    return Ok((variables, false));
                }
            }
        }
    }

    /// A command, and whether a `|` followed it.
    fn command(&mut self) -> Result<(Command<'t>, bool)> {
        let mut operands = Vec::new();
        let piped = loop {
            let token = self.next_non_space()?;
            self.count(token.at)?;
            match token.kind {
                Kind::Close | Kind::RightParen => {
                    self.push_back(token);
                    break false;
                }
                Kind::Pipe => break true,
                _ => operands.push(self.operand(token)?),
            }
            let after = self.next()?;
            match after.kind {
                Kind::Space => {}
                Kind::Close | Kind::RightParen | Kind::Pipe => self.push_back(after),
                kind => {
                    return error(after.at, &format!("unexpected {}; a space is missing", kind.describe()));
                }
            }
        };
        if operands.is_empty() {
            let token = self.next_non_space()?;
            return error(token.at, &format!("a value is missing before {}", token.kind.describe()));
        }
        Ok((Command { operands }, piped))
    }

    /// A term with the fields that follow it.
    fn operand(&mut self, token: Token<'t>) -> Result<Operand<'t>> {
        let at = token.at;
        let mut term = self.term(token)?;
        let mut fields = Vec::new();
        loop {
            let next = self.next()?;
            match next.kind {
                Kind::Field(name) => fields.push(name),
                _ => {
                    self.push_back(next);
                    break;
                }
            }
        }
        match &mut term {
            Term::Field(names) | Term::Variable(_, names) => names.append(&mut fields),
            Term::Pipeline(_) | Term::Function(_) if !fields.is_empty() => {
                self.note_fields(&fields, false);
                term = Term::Chain(Box::new(Operand { at, term }), fields);
                return Ok(Operand { at, term });
            }
            _ if !fields.is_empty() => return error(at, &format!("this has no field `.{}`", fields[0])),
            _ => {}
        }
        match &term {
            Term::Field(names) => self.note_fields(names, false),
            // In a `define` it is what the caller gave, which was noted there.
            Term::Variable("$", names) => self.note_fields(names, self.definitions == 0),
            Term::Dot => self.note_fields(&[], self.moved_dot == 0),
            _ => {}
        }
        Ok(Operand { at, term })
    }

    /// Notes which facts these fields may be.
    fn note_fields(&mut self, names: &[&'t str], whole: bool) {
        let needs = &mut self.template.needs;
        match names {
            [] => needs.everything |= whole,
            ["Values"] => needs.all_values = true,
            ["Values", object, ..] => {
                needs.all_values |= needs.values.len() >= MAX_NEEDS;
                if !needs.all_values && !needs.values.contains(object) {
                    needs.values.push(object);
                }
            }
            [name, ..] => {
                needs.everything |= needs.names.len() >= MAX_NEEDS;
                if !needs.everything && !needs.names.contains(name) {
                    needs.names.push(name);
                }
            }
        }
    }

    fn term(&mut self, token: Token<'t>) -> Result<Term<'t>> {
        let at = token.at;
        Ok(match token.kind {
            Kind::Dot => Term::Dot,
            Kind::Nil => Term::Nil,
            Kind::Bool(value) => Term::Constant(Value::Bool(value)),
            Kind::Number(text) => match number::parse(text) {
                Some(Constant::Int(value)) => Term::Constant(Value::Int(value)),
                Some(Constant::Float(value)) => Term::Constant(Value::Float(value)),
                None => return error(at, &format!("`{text}` is not a number")),
            },
            Kind::Character(text) => match quote::unquote_character(text) {
                Some(c) => Term::Constant(Value::Int(i64::from(u32::from(c)))),
                None => return error(at, "one character stands between single quotes"),
            },
            Kind::Quoted(text) => Term::Constant(unquote(at, text)?.into()),
            Kind::Raw(text) if text.contains('\r') => Term::Constant(text.replace('\r', "").into()),
            Kind::Raw(text) => Term::Constant(text.into()),
            Kind::Field(name) => Term::Field(vec![name]),
            Kind::Variable(name) => {
                if !self.variables.contains(&name) {
                    return error(at, &format!("there is no variable `{name}`"));
                }
                Term::Variable(name, Vec::new())
            }
            Kind::Identifier(name) => match functions::find(name) {
                Some(function) => Term::Function(function),
                None => return error(at, &functions::unknown(name)),
            },
            Kind::LeftParen => {
                self.enter(at)?;
                let pipeline = self.pipeline("parentheses", Kind::RightParen)?;
                self.nesting -= 1;
                Term::Pipeline(Box::new(pipeline))
            }
            kind => return error(at, &format!("unexpected {}", kind.describe())),
        })
    }
}

fn in_place(place: &str) -> String {
    match place {
        "an action" | "parentheses" => place.to_owned(),
        keyword => format!("`{keyword}`"),
    }
}
