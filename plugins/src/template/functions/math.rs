//! Arithmetic. Whole numbers wrap as in Go; what is no number counts as 0, as in sprig.

use super::conversion::{to_float, to_int};
use super::{Call, Function, Outcome};
use crate::template::failure::Failure;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(&["add"], "NUMBER...", "the sum of whole numbers", (r#"{{ add 1 2 "3" }}"#, "6"), |call| {
        Ok(call.from(0).iter().fold(0i64, |sum, value| sum.wrapping_add(to_int(value))).into())
    }),
    Function::new(&["add1"], "NUMBER", "one more", ("{{ add1 1 }}", "2"), |call| {
        Ok(to_int(call.value(0)).wrapping_add(1).into())
    }),
    Function::new(&["sub"], "NUMBER NUMBER", "the difference", ("{{ sub 5 2 }}", "3"), |call| {
        Ok(to_int(call.value(0)).wrapping_sub(to_int(call.value(1))).into())
    }),
    Function::new(&["mul"], "NUMBER NUMBER...", "the product", ("{{ mul 2 3 4 }}", "24"), |call| {
        Ok(call.from(0).iter().fold(1i64, |product, value| product.wrapping_mul(to_int(value))).into())
    }),
    Function::new(
        &["div"],
        "NUMBER NUMBER",
        "the quotient, without its fraction",
        ("{{ div 7 2 }}", "3"),
        |call| Ok(to_int(call.value(0)).wrapping_div(divisor(call)?).into()),
    ),
    Function::new(&["mod"], "NUMBER NUMBER", "the remainder of `div`", ("{{ mod 7 2 }}", "1"), |call| {
        Ok(to_int(call.value(0)).wrapping_rem(divisor(call)?).into())
    }),
    Function::new(
        &["max", "biggest"],
        "NUMBER NUMBER...",
        "the greatest whole number",
        ("{{ max 1 3 2 }}", "3"),
        |call| Ok(call.from(0).iter().map(to_int).max().unwrap_or(0).into()),
    ),
    Function::new(&["min"], "NUMBER NUMBER...", "the least whole number", ("{{ min 2 1 3 }}", "1"), |call| {
        Ok(call.from(0).iter().map(to_int).min().unwrap_or(0).into())
    }),
    Function::new(
        &["addf"],
        "NUMBER...",
        "the sum of fractional numbers",
        ("{{ addf 0.1 0.2 }}", "0.3"),
        |call| Ok(call.from(0).iter().fold(0.0, |sum, value| decimal(sum + to_float(value))).into()),
    ),
    Function::new(&["add1f"], "NUMBER", "one more", ("{{ add1f 1.5 }}", "2.5"), |call| {
        Ok(decimal(to_float(call.value(0)) + 1.0).into())
    }),
    Function::new(&["subf"], "NUMBER NUMBER...", "the difference", ("{{ subf 1.0 0.7 }}", "0.3"), |call| {
        fold(call, |a, b| a - b)
    }),
    Function::new(&["mulf"], "NUMBER NUMBER...", "the product", ("{{ mulf 1.1 3 }}", "3.3"), |call| {
        fold(call, |a, b| a * b)
    }),
    Function::new(&["divf"], "NUMBER NUMBER...", "the quotient", ("{{ divf 7 2 }}", "3.5"), |call| {
        if call.from(1).iter().any(|value| to_float(value) == 0.0) {
            return Err("division by zero".into());
        }
        fold(call, |a, b| a / b)
    }),
    Function::new(
        &["maxf"],
        "NUMBER NUMBER...",
        "the greatest number",
        ("{{ maxf 1.5 2.5 }}", "2.5"),
        |call| fold(call, f64::max),
    ),
    Function::new(&["minf"], "NUMBER NUMBER...", "the least number", ("{{ minf 1.5 2.5 }}", "1.5"), |call| {
        fold(call, f64::min)
    }),
    Function::new(
        &["floor"],
        "NUMBER",
        "the greatest whole number that is not above it",
        ("{{ floor 1.9 }}", "1"),
        |call| Ok(to_float(call.value(0)).floor().into()),
    ),
    Function::new(
        &["ceil"],
        "NUMBER",
        "the least whole number that is not below it",
        ("{{ ceil 1.1 }}", "2"),
        |call| Ok(to_float(call.value(0)).ceil().into()),
    ),
    Function::new(
        &["round"],
        "NUMBER PLACES [UP_FROM]",
        "the number with so many decimal places; fractions are rounded up from 0.5 on",
        ("{{ round 3.14159 2 }}", "3.14"),
        round,
    ),
];

fn divisor(call: &Call<'_>) -> Result<i64, Failure> {
    match to_int(call.value(1)) {
        0 => Err("division by zero".into()),
        divisor => Ok(divisor),
    }
}

fn fold(call: &Call<'_>, combine: impl Fn(f64, f64) -> f64) -> Outcome {
    let mut numbers = call.from(0).iter().map(to_float);
    let first = numbers.next().unwrap_or(0.0);
    Ok(numbers.fold(first, |result, number| decimal(combine(result, number))).into())
}

/// sprig calculates with decimal numbers: 0.1 + 0.2 is 0.3. A result that is closer to a number of 15 digits than
/// the last bits can tell is that number.
fn decimal(value: f64) -> f64 {
    let rounded = format!("{value:.14e}").parse().unwrap_or(value);
    if (value - rounded).abs() <= 2.0 * f64::EPSILON * value.abs() { rounded } else { value }
}

fn round(call: &Call<'_>) -> Outcome {
    let up_from = if call.count() > 2 { to_float(call.value(2)) } else { 0.5 };
    let places = i32::try_from(call.int(1)?.clamp(-300, 300)).unwrap_or(0);
    let scale = 10f64.powi(places);
    let scaled = to_float(call.value(0)) * scale;
    let rounded = if scaled.fract() >= up_from { scaled.ceil() } else { scaled.floor() };
    Ok((rounded / scale).into())
}
