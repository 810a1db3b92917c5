//! The numbers of users and groups: which are taken, and which a new one gets.
//!
//! On an immutable system `/etc` may be made anew at each boot while `/home` stays. A user who comes back
//! must get the number that owns the home directory, and nobody else may: numbers that own a home directory
//! are spoken for, whether or not their user is in the databases yet.

use super::field::{NO_ID, parse_id};
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape};
use std::collections::BTreeSet;

/// Numbers from `min` to `max`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// The first.
    pub min: u32,
    /// The last.
    pub max: u32,
}

/// Where the numbers of new accounts are taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranges {
    /// For people.
    pub users: IdRange,
    /// For groups of people.
    pub groups: IdRange,
    /// For users that are programs.
    pub system_users: IdRange,
    /// For groups of programs.
    pub system_groups: IdRange,
}

impl IdRange {
    /// Whether a number lies in it.
    pub fn contains(self, id: u32) -> bool {
        (self.min..=self.max).contains(&id)
    }

    /// The first number that is not taken.
    pub fn first_free(self, taken: &BTreeSet<u32>) -> Option<u32> {
        let mut candidate = self.min;
        for id in taken.range(self.min..=self.max) {
            if *id != candidate {
                break;
            }
            candidate = candidate.checked_add(1)?;
        }
        (candidate <= self.max && candidate != NO_ID).then_some(candidate)
    }

    /// The last number that is not taken: system accounts are numbered downwards, as useradd(8) does.
    pub fn last_free(self, taken: &BTreeSet<u32>) -> Option<u32> {
        let mut candidate = self.max;
        for id in taken.range(self.min..=self.max).rev() {
            if *id != candidate {
                break;
            }
            candidate = candidate.checked_sub(1)?;
        }
        (candidate >= self.min && candidate != NO_ID).then_some(candidate)
    }
}

/// The number of a user or group as it is configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Id {
    /// Left out, or below zero: what the account has already, or else a free one.
    #[default]
    Any,
    /// This one.
    Number(u32),
}

impl Id {
    /// The number, if it is a certain one.
    pub fn number(self) -> Option<u32> {
        match self {
            Self::Any => None,
            Self::Number(id) => Some(id),
        }
    }
}

impl Decode for Id {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let text = String::decode(node, findings)?;
        let negative = text.strip_prefix('-').is_some_and(|digits| digits.parse::<u64>().is_ok());
        if text.is_empty() || negative {
            return Some(Self::Any);
        }
        let id = parse_id(text.as_bytes());
        if id.is_none() {
            findings.error(node.span, format!("expected a number from 0 to {}, found {text:?}", NO_ID - 1));
        }
        id.map(Self::Number)
    }

    fn shape() -> Shape {
        Shape::Integer { min: i64::MIN, max: u64::from(NO_ID - 1) }.or_null()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_numbers_are_found_at_either_end() {
        let range = IdRange { min: 1000, max: 1003 };
        let taken = |ids: &[u32]| ids.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(range.first_free(&taken(&[])), Some(1000));
        assert_eq!(range.first_free(&taken(&[0, 999, 1000, 1001, 1003])), Some(1002));
        assert_eq!(range.first_free(&taken(&[1001])), Some(1000));
        assert_eq!(range.first_free(&taken(&[1000, 1001, 1002, 1003])), None);
        assert_eq!(range.last_free(&taken(&[])), Some(1003));
        assert_eq!(range.last_free(&taken(&[1003, 1001, 2000])), Some(1002));
        assert_eq!(range.last_free(&taken(&[1000, 1001, 1002, 1003])), None);
    }

    #[test]
    fn the_ends_of_the_numbers_do_not_overflow() {
        let all = IdRange { min: 0, max: u32::MAX };
        assert_eq!(all.last_free(&BTreeSet::new()), None, "-1 is no number");
        let last = IdRange { min: u32::MAX, max: u32::MAX };
        assert_eq!(last.first_free(&BTreeSet::from([u32::MAX])), None);
        assert_eq!(IdRange { min: 0, max: 0 }.last_free(&BTreeSet::from([0])), None);
    }
}
