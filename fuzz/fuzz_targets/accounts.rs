//! passwd, shadow, group and gshadow: what is not edited keeps every byte, and what is written reads the same.

#![no_main]

use cosette_plugins::accounts::kind::{NAME, PASSWORD, group, gshadow, passwd, shadow};
use cosette_plugins::accounts::password::Password;
use cosette_plugins::accounts::{Kind, Table};
use cosette_plugins::testing::FakeHost;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &str, &str, &[u8])| {
    let (choice, name, value, content) = input;
    let kind = Kind::ALL[usize::from(choice) % 4];
    let table = Table::parse(kind, content);
    assert_eq!(table.to_bytes(), content);
    lookups(&table, name);
    set(&table, kind, name, value);
    insert(&table, kind, name, value);
    list(&table, kind, name, value);
    remove(&table, name);
    password(choice, name, value);
});

fn columns(kind: Kind) -> [cosette_plugins::accounts::kind::Column; 3] {
    match kind {
        Kind::User => [passwd::GECOS, passwd::SHELL, passwd::UID],
        Kind::Shadow => [PASSWORD, shadow::RESERVED, shadow::LAST_CHANGED],
        Kind::Group => [group::MEMBERS, PASSWORD, group::GID],
        Kind::Gshadow => [gshadow::MEMBERS, PASSWORD, gshadow::ADMINISTRATORS],
    }
}

fn lines(table: &Table) -> Vec<Vec<u8>> {
    table.to_bytes().split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// What is written reads the same.
fn stable(table: &Table, kind: Kind) {
    assert!(Table::parse(kind, &table.to_bytes()) == *table);
}

fn lookups(table: &Table, name: &str) {
    assert_eq!(table.find(name).is_some(), table.entries().any(|entry| entry.get(NAME) == name.as_bytes()));
    let count = lines(table).len();
    assert!(table.malformed_lines().all(|line| (1..=count).contains(&line)));
    assert!(table.entries().count() + table.malformed_lines().count() <= count);
    let _ = table.ids(passwd::UID).count();
}

fn set(table: &Table, kind: Kind, name: &str, value: &str) {
    for column in columns(kind) {
        let mut edited = table.clone();
        match edited.set(name, &[(column, value)]) {
            Ok(true) => {
                assert_eq!(edited.find(name).unwrap().get(column), value.as_bytes());
                let (before, after) = (lines(table), lines(&edited));
                assert_eq!(before.len(), after.len());
                assert!(before.iter().zip(&after).filter(|(before, after)| before != after).count() <= 1);
            }
            Ok(false) => assert!(edited == *table && table.find(name).is_none()),
            Err(_) => assert!(edited == *table),
        }
        stable(&edited, kind);
    }
}

fn insert(table: &Table, kind: Kind, name: &str, value: &str) {
    let mut edited = table.clone();
    let mut fields = vec![(NAME, name), (columns(kind)[0], value)];
    match kind {
        Kind::User => fields.extend([(passwd::UID, "1"), (passwd::GID, "2")]),
        Kind::Group => fields.push((group::GID, "1")),
        _ => {}
    }
    if edited.insert(&fields).is_err() {
        assert!(edited == *table);
        return;
    }
    stable(&edited, kind);
    assert!(edited.find(name).is_some());
    // The others are there, in their order; one may have got the line feed that it lacked.
    let strip = |line: &Vec<u8>| line.strip_suffix(b"\n").unwrap_or(line).to_vec();
    let mut after = lines(&edited).into_iter();
    assert!(lines(table).iter().all(|line| after.any(|other| strip(&other) == strip(line))));
}

fn list(table: &Table, kind: Kind, name: &str, value: &str) {
    let column = columns(kind)[0];
    let mut once = table.clone();
    if once.add_to_list(name, column, value).is_err() {
        assert!(once == *table);
        return;
    }
    stable(&once, kind);
    let mut twice = once.clone();
    twice.add_to_list(name, column, value).unwrap();
    assert!(twice == once);
}

fn remove(table: &Table, name: &str) {
    let mut edited = table.clone();
    edited.remove(name);
    assert!(edited.find(name).is_none());
    let mut before = lines(table).into_iter();
    assert!(lines(&edited).iter().all(|line| before.any(|other| other == *line)));
}

/// Hashes that are malformed are no reason to fail. Those that cost much are left out for speed.
fn password(choice: u8, plain_text: &str, hash: &str) {
    let cheap = match hash.strip_prefix("$y$j").map(|rest| rest.as_bytes().first()) {
        Some(Some(b'.'..=b'4')) => true,
        None => {
            (hash.starts_with("$6$") || hash.starts_with("$5$")) && !hash.contains("rounds=") && choice > 250
        }
        _ => false,
    };
    if cheap && plain_text.len() < 20 {
        let _ = Password::from(plain_text).store(Some(hash), &FakeHost::new());
    }
}
