//! Sequences of whole numbers.

use super::{Call, Function, Outcome};
use crate::template::failure::Failure;
use crate::template::value::Value;

/// How many numbers a sequence may have.
const MAX_LENGTH: usize = 100_000;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        &["until"],
        "END",
        "the numbers from 0 to before END",
        ("{{ until 4 }}", "[0 1 2 3]"),
        |call| {
            let end = call.int(0)?;
            Ok(to_list(steps(0, end, if end < 0 { -1 } else { 1 })?))
        },
    ),
    Function::new(
        &["untilStep"],
        "BEGIN END STEP",
        "the numbers from BEGIN to before END in steps",
        ("{{ untilStep 1 8 3 }}", "[1 4 7]"),
        |call| Ok(to_list(steps(call.int(0)?, call.int(1)?, call.int(2)?)?)),
    ),
    Function::new(
        &["seq"],
        "[FIRST] [STEP] [LAST]",
        "text of the numbers from FIRST (1) to LAST with spaces between them, as seq(1) has them",
        ("{{ seq 3 }}|{{ seq 2 4 }}|{{ seq 5 -2 1 }}", "1 2 3|2 3 4|5 3 1"),
        seq,
    ),
];

fn steps(begin: i64, end: i64, step: i64) -> Result<Vec<i64>, Failure> {
    let mut numbers = Vec::new();
    let mut next = Some(begin);
    while let Some(number) =
        next.filter(|&number| if step > 0 { number < end } else { step < 0 && number > end })
    {
        if numbers.len() >= MAX_LENGTH {
            return Err(format!("a sequence of more than {MAX_LENGTH} numbers").into());
        }
        numbers.push(number);
        next = number.checked_add(step);
    }
    Ok(numbers)
}

fn to_list(numbers: Vec<i64>) -> Value {
    numbers.into_iter().map(Value::Int).collect::<Vec<_>>().into()
}

fn seq(call: &Call<'_>) -> Outcome {
    let numbers = call.from(0).iter().enumerate().map(|(index, _)| call.int(index));
    let (first, step, last) = match numbers.collect::<Result<Vec<_>, _>>()?[..] {
        [last] => (1, None, last),
        [first, last] => (first, None, last),
        [first, step, last] => (first, Some(step), last),
        _ => return Ok("".into()),
    };
    let direction = if last < first { -1 } else { 1 };
    let numbers = steps(first, last.saturating_add(direction), step.unwrap_or(direction))?;
    let words: Vec<_> = numbers.iter().map(i64::to_string).collect();
    Ok(words.join(" ").into())
}
