//! Kernel modules: which there are for a kernel, what they need, and loading them in the right order.
//!
//! What depmod(8) has written is read in its text form; modprobe.d(5) is respected. Nothing is decided by what
//! hardware there is: modules are loaded because somebody named them.

mod config;
mod index;
mod load;

pub use load::{Loader, Wanted};

/// The name of a module as the kernel writes it: `-` and `_` are the same.
fn normalised(name: &str) -> String {
    name.replace('-', "_")
}

/// Whether a pattern of an alias, with `*`, `?` and `[...]`, matches the whole name. Linear but for the number of
/// stars: the last one alone is ever tried again.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some(b'[') => {
                if let Some((class, length)) = class(&pattern[p..])
                    && in_class(class, name[n])
                {
                    (p, n) = (p + length, n + 1);
                    continue;
                }
            }
            Some(b'?') => {
                (p, n) = (p + 1, n + 1);
                continue;
            }
            Some(byte) if same(*byte, name[n]) => {
                (p, n) = (p + 1, n + 1);
                continue;
            }
            _ => {}
        }
        let Some((star_at, from)) = star else { return false };
        star = Some((star_at, from + 1));
        (p, n) = (star_at + 1, from + 1);
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

fn same(one: u8, other: u8) -> bool {
    let normal = |byte| if byte == b'-' { b'_' } else { byte };
    normal(one) == normal(other)
}

/// What stands between the brackets at the beginning, and the length with them.
fn class(pattern: &[u8]) -> Option<(&[u8], usize)> {
    let end = pattern.iter().position(|byte| *byte == b']')?;
    Some((&pattern[1..end], end + 1))
}

fn in_class(class: &[u8], byte: u8) -> bool {
    let mut rest = class;
    loop {
        match rest {
            [from, b'-', to, ..] => {
                if (*from..=*to).contains(&byte) {
                    return true;
                }
                rest = &rest[3..];
            }
            [one, ..] => {
                if *one == byte {
                    return true;
                }
                rest = &rest[1..];
            }
            [] => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_aliases() {
        for (pattern, name) in [
            ("fs-ext4", "fs_ext4"),
            ("pci:v00008086d*sv*sd*bc*sc*i*", "pci:v00008086d00001234sv0sd0bc02sc00i00"),
            ("acpi*:PNP0A0[3-8]:*", "acpi:PNP0A05:x"),
            ("?x*", "axb"),
            ("*", ""),
            ("a*b*c", "aXbYbc"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("fs-ext4", "fs-ext"), ("a[0-3", "a1"), ("a[0-3]", "a4"), ("?", ""), ("*b", "a"), ("a", "ab")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
        assert!(!matches(&"*a".repeat(1000), &"a".repeat(999)));
    }
}
