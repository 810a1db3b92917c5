//! The arguments of a call, with the types that functions want.
//!
//! As in Go, text is wanted where text is wanted: a number is not turned into it. Numbers that are whole do for
//! whole numbers, so that `until .Values.cpu.cores` works although facts are fractional.

use super::{Environment, Function};
use crate::template::failure::Failure;
use crate::template::time::Time;
use crate::template::value::{List, Map, Value};
use std::rc::Rc;

/// A call of a function.
pub(in crate::template) struct Call<'c> {
    pub(super) environment: &'c Environment<'c>,
    function: &'c Function,
    arguments: &'c [Value],
}

impl<'c> Call<'c> {
    pub(super) fn new(
        environment: &'c Environment<'c>,
        function: &'c Function,
        arguments: &'c [Value],
    ) -> Self {
        Self { environment, function, arguments }
    }

    /// How many arguments there are.
    pub(super) fn count(&self) -> usize {
        self.arguments.len()
    }

    /// Any argument; nil when it was left out.
    pub(super) fn value(&self, index: usize) -> &'c Value {
        self.arguments.get(index).unwrap_or(&Value::Nil)
    }

    /// All arguments from one on.
    pub(super) fn from(&self, index: usize) -> &'c [Value] {
        self.arguments.get(index..).unwrap_or_default()
    }

    /// Text.
    pub(super) fn text(&self, index: usize) -> Result<&'c Rc<str>, Failure> {
        match self.value(index) {
            Value::Text(text) => Ok(text),
            _ => self.wrong(index, "text"),
        }
    }

    /// A whole number.
    pub(super) fn int(&self, index: usize) -> Result<i64, Failure> {
        match self.value(index) {
            Value::Int(value) => Ok(*value),
            Value::Float(value) if value.fract() == 0.0 && value.abs() < 9e18 => Ok(*value as i64),
            Value::Float(_) => self.wrong(index, "a whole number"),
            _ => self.wrong(index, "a number"),
        }
    }

    /// A number that counts; less than 0 is an error.
    pub(super) fn size(&self, index: usize) -> Result<usize, Failure> {
        usize::try_from(self.int(index)?)
            .map_err(|_| format!("argument {} of `{}` is negative", index + 1, self.function.name()).into())
    }

    /// A truth value.
    pub(super) fn bool(&self, index: usize) -> Result<bool, Failure> {
        match self.value(index) {
            Value::Bool(value) => Ok(*value),
            _ => self.wrong(index, "a truth value"),
        }
    }

    /// A list.
    pub(super) fn list(&self, index: usize) -> Result<&'c Rc<List>, Failure> {
        match self.value(index) {
            Value::List(list) => Ok(list),
            _ => self.wrong(index, "a list"),
        }
    }

    /// A dictionary.
    pub(super) fn map(&self, index: usize) -> Result<&'c Rc<Map>, Failure> {
        match self.value(index) {
            Value::Map(map) => Ok(map),
            _ => self.wrong(index, "a dictionary"),
        }
    }

    /// A time.
    pub(super) fn time(&self, index: usize) -> Result<&'c Time, Failure> {
        match self.value(index) {
            Value::Time(time) => Ok(time),
            _ => self.wrong(index, "a time"),
        }
    }

    fn wrong<T>(&self, index: usize, wanted: &str) -> Result<T, Failure> {
        let (name, found) = (self.function.name(), self.value(index).noun());
        Err(format!("argument {} of `{name}` must be {wanted}, not {found}", index + 1).into())
    }
}
