//! Exit statuses of the life-cycle commands: one for each class of failure. They are a contract with scripts and fleets,
//! told in `docs/exit-status.md`.

use super::failure::Class;
use super::operation::Name;

/// The exit status of a class of failures.
pub const fn of(class: Class) -> u8 {
    match class {
        Class::Privileges => 10,
        Class::Configuration => 11,
        Class::NotThere => 12,
        Class::Busy => 13,
        Class::Source => 14,
        Class::Network => 15,
        Class::Policy => 16,
        Class::Digest => 17,
        Class::NoRoom => 18,
        Class::Device => 19,
        Class::Partitioning => 20,
        Class::Image => 21,
        Class::ReadBack => 22,
        Class::Hook => 23,
        Class::Switch => 24,
        Class::BootLoader => 25,
        Class::State => 26,
        Class::Wipe => 27,
        Class::Interrupted => 28,
        Class::Unsigned => 29,
        Class::WrongKey => 30,
        Class::Tampered => 31,
    }
}

/// The word for a class of failures in JSON.
pub const fn word(class: Class) -> &'static str {
    match class {
        Class::Privileges => "privileges",
        Class::Configuration => "configuration",
        Class::NotThere => "not-there",
        Class::Busy => "busy",
        Class::Source => "source",
        Class::Network => "network",
        Class::Policy => "policy",
        Class::Unsigned => "unsigned",
        Class::WrongKey => "wrong-key",
        Class::Tampered => "tampered",
        Class::Digest => "digest",
        Class::NoRoom => "no-room",
        Class::Device => "device",
        Class::Partitioning => "partitioning",
        Class::Image => "image",
        Class::ReadBack => "read-back",
        Class::Hook => "hook",
        Class::Switch => "switch",
        Class::BootLoader => "boot-loader",
        Class::State => "state",
        Class::Wipe => "wipe",
        Class::Interrupted => "interrupted",
    }
}

/// The number that elemental has for it: what its documentation says, which its own binary forgets when it cleans up.
pub fn of_elemental(operation: Name, class: Class) -> u8 {
    match (class, operation) {
        (Class::Privileges, _) => 58,
        (Class::Configuration, _) => 33,
        (Class::NotThere, Name::Install) => 47,
        (Class::NotThere | Class::Busy, Name::Recover) => 54,
        (Class::NotThere | Class::Busy, _) => 34,
        (Class::Source | Class::Network | Class::Digest, _) => 18,
        (Class::Policy | Class::Unsigned | Class::WrongKey | Class::Tampered, _) => 18,
        (Class::NoRoom, _) => 18,
        (Class::Device, Name::Install) => 57,
        (Class::Device, _) => 59,
        (Class::Partitioning, _) => 56,
        (Class::Image | Class::ReadBack, _) => 76,
        (Class::Hook, Name::Install) => 51,
        (Class::Hook, Name::Recover) => 63,
        (Class::Hook, Name::BuildDisk) => 80,
        (Class::Hook, _) => 38,
        (Class::Switch, _) => 40,
        (Class::BootLoader, Name::Install) => 49,
        (Class::BootLoader, _) => 78,
        (Class::State, Name::State) => 89,
        (Class::State, _) => 16,
        (Class::Wipe, _) => 60,
        (Class::Interrupted, _) => 255,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const ALL: [Class; 22] = [
        Class::Privileges,
        Class::Configuration,
        Class::NotThere,
        Class::Busy,
        Class::Source,
        Class::Network,
        Class::Policy,
        Class::Unsigned,
        Class::WrongKey,
        Class::Tampered,
        Class::Digest,
        Class::NoRoom,
        Class::Device,
        Class::Partitioning,
        Class::Image,
        Class::ReadBack,
        Class::Hook,
        Class::Switch,
        Class::BootLoader,
        Class::State,
        Class::Wipe,
        Class::Interrupted,
    ];

    #[test]
    fn each_class_has_a_number_and_a_word_of_its_own_and_both_are_documented() {
        let numbers: BTreeSet<u8> = ALL.into_iter().map(of).collect();
        assert_eq!((numbers.len(), numbers.first(), numbers.last()), (ALL.len(), Some(&10), Some(&31)));
        let documentation = include_str!("../../../docs/exit-status.md");
        for class in ALL {
            let row = format!("| {} | `{}` |", of(class), word(class));
            assert!(documentation.contains(&row), "{row}");
        }
    }
}
