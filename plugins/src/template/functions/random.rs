//! Random text, from the bytes of the host's generator, which is fit for keys.

use super::builtins::check_length;
use super::{Call, Environment, Function, Outcome};
use crate::template::failure::Failure;
use std::fmt::Write;

const DIGITS: &[u8] = b"0123456789";
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BOTH: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        &["randAlphaNum"],
        "COUNT",
        "random letters and digits",
        ("{{ randAlphaNum 8 }}", "/^[0-9A-Za-z]{8}$/"),
        |call| text(call, BOTH),
    ),
    Function::new(
        &["randAlpha"],
        "COUNT",
        "random letters",
        ("{{ randAlpha 8 }}", "/^[A-Za-z]{8}$/"),
        |call| text(call, LETTERS),
    ),
    Function::new(
        &["randNumeric"],
        "COUNT",
        "random digits",
        ("{{ randNumeric 8 }}", "/^[0-9]{8}$/"),
        |call| text(call, DIGITS),
    ),
    Function::new(
        &["randAscii"],
        "COUNT",
        "random printable characters of ASCII",
        ("{{ randAscii 8 }}", "/^[ -~]{8}$/"),
        |call| {
            let printable: Vec<u8> = (b' '..=b'~').collect();
            text(call, &printable)
        },
    ),
    Function::new(
        &["randInt"],
        "FROM TO",
        "a random number from one to before another",
        ("{{ randInt 5 8 }}", "/^[567]$/"),
        |call| {
            let (from, to) = (call.int(0)?, call.int(1)?);
            if from >= to {
                return Err("the first number of `randInt` must be less than the second".into());
            }
            Ok(from.wrapping_add_unsigned(call.environment.random_below(to.abs_diff(from))?).into())
        },
    ),
    Function::new(
        &["uuidv4"],
        "",
        "a random UUID",
        ("{{ uuidv4 }}", "/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/"),
        |call| {
            let mut bytes = [0; 16];
            call.environment.random(&mut bytes);
            Ok(crate::facts::uuid(bytes).into())
        },
    ),
    Function::new(
        &["shuffle"],
        "TEXT",
        "the characters of the text in random order",
        (r#"{{ shuffle "aab" }}"#, "/^[ab]{3}$/"),
        |call| {
            let mut characters: Vec<char> = call.text(0)?.chars().collect();
            for index in (1..characters.len()).rev() {
                characters.swap(index, below(call.environment, index + 1)?);
            }
            Ok(characters.into_iter().collect::<String>().into())
        },
    ),
    Function::new(
        &["randBytes"],
        "COUNT",
        "random bytes in base64",
        ("{{ randBytes 3 }}", "/^[0-9A-Za-z+/]{4}$/"),
        |call| {
            let mut bytes = vec![0; check_length(Some(call.size(0)?))?];
            call.environment.random(&mut bytes);
            Ok(super::encoding::base64(&bytes).into())
        },
    ),
];

fn text(call: &Call<'_>, alphabet: &[u8]) -> Outcome {
    let count = check_length(Some(call.size(0)?))?;
    let mut out = String::with_capacity(count);
    for _ in 0..count {
        let _ = out.write_char(char::from(alphabet[below(call.environment, alphabet.len())?]));
    }
    Ok(out.into())
}

fn below(environment: &Environment<'_>, limit: usize) -> Result<usize, Failure> {
    Ok(environment.random_below(limit as u64)? as usize)
}
