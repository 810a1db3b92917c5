//! Semantic versions, and constraints on them as Masterminds/semver reads them.

use super::{Call, Function, Outcome};
use crate::template::failure::Failure;
use crate::template::value::Value;
use std::cmp::Ordering;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        &["semver"],
        "VERSION",
        "a dictionary with `Major`, `Minor`, `Patch`, `Prerelease`, `Metadata` and `Original`",
        (r#"{{ $v := semver "v1.2.3-rc.1+x" }}{{ $v.Major }} {{ $v.Prerelease }}"#, "1 rc.1"),
        semver,
    ),
    Function::new(
        &["semverCompare"],
        "CONSTRAINT VERSION",
        "whether the version fulfils the constraint: `=`, `!=`, `<`, `>=`, `~1.2`, `^1.2`, `1.x`, `1 - 2`, `,`, `||`",
        (r#"{{ semverCompare "^1.2.0" "1.9.3" }} {{ semverCompare ">=2 || <1" "1.0.0" }}"#, "true false"),
        |call| {
            let version = Version::parse(call.text(1)?).ok_or("the text is not a version")?;
            Ok(fulfils(&version.0, call.text(0)?)?.into())
        },
    ),
];

/// A version; its order is that of semver.org.
#[derive(Clone, Debug, Default, PartialEq)]
struct Version {
    numbers: [u64; 3],
    prerelease: String,
    metadata: String,
}

impl Version {
    /// Reads a version and how many of its numbers are given; a `v` before and missing numbers are fine. In a
    /// constraint, `x`, `X` and `*` stand for a number that is not given.
    fn parse(text: &str) -> Option<(Self, usize)> {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, metadata) = text.split_once('+').unwrap_or((text, ""));
        let (text, prerelease) = text.split_once('-').unwrap_or((text, ""));
        let mut version =
            Self { metadata: metadata.to_owned(), prerelease: prerelease.to_owned(), numbers: [0; 3] };
        let mut given = 0;
        for (index, part) in text.split('.').enumerate() {
            if matches!(part, "x" | "X" | "*") {
                break;
            }
            *version.numbers.get_mut(index)? =
                part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())??;
            given = index + 1;
        }
        let identifiers = |text: &str| {
            let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
            text.is_empty() || text.split('.').all(|part| !part.is_empty() && part.bytes().all(known))
        };
        (identifiers(prerelease) && identifiers(metadata)).then_some((version, given))
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| {
            match (self.prerelease.is_empty(), other.prerelease.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => compare_prereleases(&self.prerelease, &other.prerelease),
            }
        })
    }
}

fn compare_prereleases(a: &str, b: &str) -> Ordering {
    let identifiers = |text: &str| {
        let parts = text.split('.');
        // Numbers come before words, and in their own order.
        parts
            .map(|part| part.parse::<u64>().map_or((1, 0, part.to_owned()), |n| (0, n, String::new())))
            .collect()
    };
    let (a, b): (Vec<_>, Vec<_>) = (identifiers(a), identifiers(b));
    a.cmp(&b)
}

fn semver(call: &Call<'_>) -> Outcome {
    let text = call.text(0)?;
    let (version, given) = Version::parse(text).ok_or("the text is not a version")?;
    if given == 0 {
        return Err("the text is not a version".into());
    }
    let number = |index: usize| Value::Int(i64::try_from(version.numbers[index]).unwrap_or(i64::MAX));
    Ok(Value::map([
        ("Major", number(0)),
        ("Minor", number(1)),
        ("Patch", number(2)),
        ("Prerelease", version.prerelease.as_str().into()),
        ("Metadata", version.metadata.as_str().into()),
        ("Original", Value::Text(text.clone())),
    ]))
}

/// Alternatives are separated by `||`, what must hold together by commas or spaces.
fn fulfils(version: &Version, constraint: &str) -> Result<bool, Failure> {
    let mut fulfilled = false;
    for alternative in constraint.split("||") {
        let mut all = true;
        for (operator, operand) in constraints(alternative)? {
            all &= holds(version, operator, &operand)?;
        }
        fulfilled |= all;
    }
    Ok(fulfilled)
}

/// `>=1.2, <2` as pairs of operator and version; `1 - 2` as two of them.
fn constraints(text: &str) -> Result<Vec<(&'static str, String)>, Failure> {
    const OPERATORS: [&str; 12] = ["!=", ">=", "=>", "<=", "=<", "~>", "=", ">", "<", "~", "^", ""];
    let spaced = text.replace(',', " ");
    let mut words = spaced.split_whitespace().peekable();
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        let operator = OPERATORS.into_iter().find(|operator| word.starts_with(operator)).unwrap_or("");
        let mut operand = &word[operator.len()..];
        if operand.is_empty() {
            operand = words.next().ok_or("a version is missing in the constraint")?;
        }
        if words.peek() == Some(&"-") {
            words.next();
            let upper = words.next().ok_or("a version is missing in the constraint")?;
            found.push((">=", operand.to_owned()));
            found.push(("<=", upper.to_owned()));
        } else {
            found.push((operator, operand.to_owned()));
        }
    }
    if found.is_empty() {
        return Err("the constraint is empty".into());
    }
    Ok(found)
}

fn holds(version: &Version, operator: &str, operand: &str) -> Result<bool, Failure> {
    let (bound, given) =
        Version::parse(operand).ok_or("the constraint has something that is not a version")?;
    // A prerelease fulfils only constraints that name one.
    if !version.prerelease.is_empty() && bound.prerelease.is_empty() {
        return Ok(operator == "!=");
    }
    let order = version.compare(&bound);
    let same = |count: usize| version.numbers[..count] == bound.numbers[..count];
    let at_least = order.is_ge();
    Ok(match operator {
        "" | "=" if given < 3 => same(given),
        "" | "=" => order.is_eq(),
        "!=" if given < 3 => !same(given),
        "!=" => order.is_ne(),
        ">" if given < 3 => order.is_gt() && !same(given),
        ">" => order.is_gt(),
        "<" => order.is_lt(),
        ">=" | "=>" => at_least,
        "<=" | "=<" => order.is_le() || (given < 3 && same(given)),
        "~" | "~>" => at_least && same(given.min(2)),
        // As far as the first number that is not 0, or that was given last.
        _ => {
            let fixed = bound.numbers.iter().position(|&n| n != 0).map_or(given, |index| index + 1);
            at_least && same(fixed.min(given.max(1)).min(3))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_semver_orders_them() {
        let order = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.10.0",
        ];
        for pair in order.windows(2) {
            let parse = |text| Version::parse(text).unwrap().0;
            assert_eq!(parse(pair[0]).compare(&parse(pair[1])), Ordering::Less, "{pair:?}");
        }
        for wrong in ["", "a", "1.2.3.4", "1.2.3-", "1..2", "99999999999999999999"] {
            assert!(
                Version::parse(wrong)
                    .is_none_or(|(version, _)| version.prerelease.is_empty() && wrong == "1.2.3-"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn constraints_are_those_of_masterminds() {
        for (constraint, version, expected) in [
            ("1.2.3", "1.2.3", true),
            ("=1.2", "1.2.9", true),
            ("1.x", "1.9.0", true),
            ("*", "3.0.0", true),
            ("!=1.2.3", "1.2.3", false),
            (">1.2", "1.2.5", false),
            (">1.2", "1.3.0", true),
            ("<=1.2", "1.2.5", true),
            (">= 1.2, < 2", "1.5.0", true),
            (">=1.2 <2", "2.0.0", false),
            ("1.2 - 1.4.5", "1.4.5", true),
            ("~1.2.3", "1.2.9", true),
            ("~1.2.3", "1.3.0", false),
            ("~1", "1.9.0", true),
            ("^1.2.3", "1.9.0", true),
            ("^1.2.3", "2.0.0", false),
            ("^0.2.3", "0.2.9", true),
            ("^0.2.3", "0.3.0", false),
            ("^0.0.3", "0.0.4", false),
            ("^0", "0.9.0", true),
            (">=1.0.0", "1.1.0-rc1", false),
            (">=1.0.0-0", "1.1.0-rc1", true),
            ("<1 || >=2", "2.1.0", true),
        ] {
            let version = Version::parse(version).unwrap().0;
            assert_eq!(fulfils(&version, constraint).unwrap(), expected, "{constraint} {version:?}");
        }
        assert!(fulfils(&Version::default(), "").is_err());
        assert!(fulfils(&Version::default(), ">=").is_err());
        assert!(fulfils(&Version::default(), "hello").is_err());
    }
}
