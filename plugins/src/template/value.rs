//! Values of templates, and how Go prints, compares and names them.
//!
//! **Invariant:** recursion over a value happens only after [`weigh`] has found it small and flat enough. Since
//! dictionaries can be changed in place (`set`), no value carries that promise for ever: whoever calls a function
//! or prints weighs anew.

use super::failure::Failure;
use super::number;
use super::time::Time;
use std::cell::{Ref, RefCell};
use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::rc::Rc;

/// How deep lists and dictionaries may nest.
pub(super) const MAX_DEPTH: usize = 100;
/// How much one value may weigh, in about the bytes of memory that it takes.
pub(super) const MAX_WEIGHT: usize = 4 << 20;
/// What an element of a list weighs besides its text.
pub(super) const ELEMENT: usize = 32;
/// What an entry of a dictionary weighs besides its texts.
pub(super) const ENTRY: usize = 96;

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// What a key that does not exist has: prints as `<no value>`, as do all fields of it.
    Absent,
    /// Go's nil.
    Nil,
    /// A truth value.
    Bool(bool),
    /// A whole number. Go's `int` and `int64` are not told apart.
    Int(i64),
    /// A fractional number; all numbers of facts are, as after a journey through JSON.
    Float(f64),
    /// Text. Unlike Go's it is always UTF-8.
    Text(Rc<str>),
    /// A list.
    List(Rc<List>),
    /// A dictionary with text for keys.
    Map(Rc<Map>),
    /// A point in time with its zone.
    Time(Rc<Time>),
}

/// The elements of a list.
#[derive(Debug, Default)]
pub(crate) struct List(Vec<Value>);

/// The entries of a dictionary. Functions like `set` change them in place unless it is frozen.
#[derive(Debug, Default)]
pub(crate) struct Map {
    entries: RefCell<BTreeMap<Rc<str>, Value>>,
    frozen: bool,
}

impl std::ops::Deref for List {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.0
    }
}

impl Map {
    /// A dictionary that `set` and its like refuse to change: facts are shared between templates.
    pub(crate) fn frozen(entries: BTreeMap<Rc<str>, Value>) -> Self {
        Self { entries: RefCell::new(entries), frozen: true }
    }

    /// The entries, to look at.
    pub(crate) fn entries(&self) -> Ref<'_, BTreeMap<Rc<str>, Value>> {
        self.entries.borrow()
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<Value> {
        self.entries.borrow().get(key).cloned()
    }

    /// Sets a key. A dictionary cannot come to hold itself.
    pub(crate) fn insert(self: &Rc<Self>, key: &str, value: Value) -> Result<(), Failure> {
        self.check_frozen()?;
        if holds(&value, self)? {
            return Err("a dictionary cannot hold itself".into());
        }
        self.entries.borrow_mut().insert(key.into(), value);
        Ok(())
    }

    /// Removes a key.
    pub(crate) fn remove(&self, key: &str) -> Result<(), Failure> {
        self.check_frozen()?;
        self.entries.borrow_mut().remove(key);
        Ok(())
    }

    fn check_frozen(&self) -> Result<(), Failure> {
        match self.frozen {
            true => Err("the facts cannot be changed; change a `deepCopy` of them".into()),
            false => Ok(()),
        }
    }
}

/// Dropping is iterative: `set` can build chains that are deeper than the stack.
impl Drop for List {
    fn drop(&mut self) {
        drop_all(std::mem::take(&mut self.0));
    }
}

/// As for [`List`].
impl Drop for Map {
    fn drop(&mut self) {
        drop_all(std::mem::take(self.entries.get_mut()).into_values().collect());
    }
}

fn drop_all(mut values: Vec<Value>) {
    while let Some(value) = values.pop() {
        match value {
            Value::List(list) => {
                if let Some(mut list) = Rc::into_inner(list) {
                    values.append(&mut list.0);
                }
            }
            Value::Map(map) => {
                if let Some(mut map) = Rc::into_inner(map) {
                    values.extend(std::mem::take(map.entries.get_mut()).into_values());
                }
            }
            _ => {}
        }
    }
}

/// Refuses a value that is too large or too deep to be walked, copied or printed; otherwise its weight.
pub(super) fn weigh(value: &Value) -> Result<usize, Failure> {
    match value {
        Value::Text(text) => check_weight(ELEMENT + text.len()),
        Value::List(_) | Value::Map(_) => walk(value, &mut |_| false).map(|(weight, _)| weight),
        _ => Ok(ELEMENT),
    }
}

fn holds(value: &Value, map: &Rc<Map>) -> Result<bool, Failure> {
    walk(value, &mut |found| Rc::ptr_eq(found, map)).map(|(_, found)| found)
}

/// Visits a value without recursion; stops at the first dictionary that is the one looked for.
fn walk(value: &Value, wanted: &mut dyn FnMut(&Rc<Map>) -> bool) -> Result<(usize, bool), Failure> {
    let mut weight = 0usize;
    let mut stack = vec![(1, value.clone())];
    while let Some((depth, value)) = stack.pop() {
        if depth > MAX_DEPTH {
            return Err(format!("a value nests deeper than {MAX_DEPTH} levels").into());
        }
        weight += ELEMENT;
        match value {
            Value::Text(text) => weight += text.len(),
            Value::List(list) => {
                check_weight(weight + ELEMENT * (stack.len() + list.len()))?;
                stack.extend(list.iter().map(|value| (depth + 1, value.clone())));
            }
            Value::Map(map) => {
                if wanted(&map) {
                    return Ok((weight, true));
                }
                let entries = map.entries();
                check_weight(weight + ELEMENT * (stack.len() + entries.len()))?;
                weight += entries.keys().map(|key| ENTRY + key.len()).sum::<usize>();
                stack.extend(entries.values().map(|value| (depth + 1, value.clone())));
            }
            _ => {}
        }
        check_weight(weight)?;
    }
    Ok((weight, false))
}

pub(super) fn check_weight(weight: usize) -> Result<usize, Failure> {
    match weight > MAX_WEIGHT {
        true => Err(format!("a value is larger than {} MiB", MAX_WEIGHT >> 20).into()),
        false => Ok(weight),
    }
}

impl Value {
    /// A list.
    pub(crate) fn list(values: Vec<Value>) -> Self {
        Self::List(Rc::new(List(values)))
    }

    /// A dictionary that can be changed.
    pub(crate) fn map<K: Into<Rc<str>>>(entries: impl IntoIterator<Item = (K, Value)>) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (key.into(), value)).collect();
        Self::Map(Rc::new(Map { entries: RefCell::new(entries), frozen: false }))
    }

    /// What `if` thinks of it.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Absent | Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.entries().is_empty(),
            Self::Time(_) => true,
        }
    }

    /// Whether it is nil or not there at all.
    pub(crate) fn is_nil(&self) -> bool {
        matches!(self, Self::Absent | Self::Nil)
    }

    /// What an error message calls it.
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Self::Absent | Self::Nil => "nothing",
            Self::Bool(_) => "a truth value",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a dictionary",
            Self::Time(_) => "a time",
        }
    }

    /// Go's name of its type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Absent | Self::Nil => "<nil>",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
            Self::Time(_) => "time.Time",
            _ => self.kind(),
        }
    }

    /// Go's name of its kind.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Absent | Self::Nil => "invalid",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(_) => "slice",
            Self::Map(_) => "map",
            Self::Time(_) => "struct",
        }
    }

    /// The same content, as reflect.DeepEqual has it: 1 and 1.0 differ.
    pub(crate) fn deep_equal(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Absent | Self::Nil, Self::Absent | Self::Nil) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Time(a), Self::Time(b)) => a == b,
            (Self::List(a), Self::List(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.deep_equal(b))
            }
            (Self::Map(a), Self::Map(b)) => {
                let (a, b) = (a.entries(), b.entries());
                let same = |(a, b): (_, _)| keys_and_values_equal(a, b);
                a.len() == b.len() && a.iter().zip(b.iter()).all(same)
            }
            _ => false,
        }
    }

    /// What Go's `%v` prints, in the words of `fmt`: nothing is `<nil>`.
    pub(crate) fn to_text(&self) -> Rc<str> {
        match self {
            Self::Text(text) => text.clone(),
            value => value.to_string().into(),
        }
    }
}

/// Go's `%v`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent | Self::Nil => f.write_str("<nil>"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => f.write_str(&number::shortest(*value)),
            Self::Text(text) => f.write_str(text),
            Self::Time(time) => f.write_str(&time.to_string()),
            Self::List(list) => {
                f.write_char('[')?;
                for (index, value) in list.iter().enumerate() {
                    let gap = if index > 0 { " " } else { "" };
                    write!(f, "{gap}{value}")?;
                }
                f.write_char(']')
            }
            Self::Map(map) => {
                f.write_str("map[")?;
                for (index, (key, value)) in map.entries().iter().enumerate() {
                    let gap = if index > 0 { " " } else { "" };
                    write!(f, "{gap}{key}:{value}")?;
                }
                f.write_char(']')
            }
        }
    }
}

fn keys_and_values_equal(a: (&Rc<str>, &Value), b: (&Rc<str>, &Value)) -> bool {
    a.0 == b.0 && a.1.deep_equal(b.1)
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<Vec<Value>> for Value {
    fn from(values: Vec<Value>) -> Self {
        Self::list(values)
    }
}

impl From<Time> for Value {
    fn from(time: Time) -> Self {
        Self::Time(Rc::new(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_go_prints() {
        let list = Value::list(vec![1.into(), 1.5.into(), "a".into(), Value::Nil, true.into()]);
        assert_eq!(list.to_string(), "[1 1.5 a <nil> true]");
        let map = Value::map([("b", list), ("a", Value::map::<&str>([]))]);
        assert_eq!(map.to_string(), "map[a:map[] b:[1 1.5 a <nil> true]]");
    }

    #[test]
    fn a_dictionary_cannot_come_to_hold_itself() {
        let Value::Map(map) = Value::map::<&str>([]) else { unreachable!() };
        let list = Value::list(vec![Value::list(vec![Value::Map(map.clone())])]);
        assert!(map.insert("a", list).is_err());
        assert!(map.insert("a", Value::map::<&str>([])).is_ok());
    }

    #[test]
    fn a_chain_deeper_than_the_stack_is_dropped() {
        let mut value = Value::Nil;
        for _ in 0..1_000_000 {
            value = Value::list(vec![value]);
        }
        assert!(weigh(&value).is_err());
        drop(value);
        let mut value = Value::Nil;
        for _ in 0..1_000_000 {
            value = Value::map([("a", value)]);
        }
        drop(value);
    }

    #[test]
    fn a_value_that_is_shared_many_times_is_heavy() {
        let mut value = Value::from("x");
        for _ in 0..60 {
            value = Value::list(vec![value.clone(), value]);
        }
        assert!(weigh(&value).is_err());
    }
}
