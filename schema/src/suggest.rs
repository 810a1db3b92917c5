//! "Did you mean": the nearest of the names that would have been understood.

/// Longer words are no misspellings of any name, and comparing them would only take time.
const LONGEST: usize = 64;

/// The candidate that was probably meant by `word`, if one is near enough.
///
/// Letter case, `-`, `_` and spaces make no difference; beyond that one mistake (a letter too many, too few,
/// wrong, or two swapped) is forgiven in a short word, two in a word of six letters or more, three from twelve on.
pub fn suggest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if word.len() > LONGEST {
        return None;
    }
    let word = normalised(word);
    let allowed = match word.len() {
        0..=2 => 0,
        3..=5 => 1,
        6..=11 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (distance(&word, &normalised(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn normalised(word: &str) -> Vec<char> {
    word.chars()
        .filter(|c| !matches!(c, '-' | '_' | ' '))
        .flat_map(char::to_lowercase)
        .take(LONGEST)
        .collect()
}

/// The number of letters to insert, remove, replace or swap with their neighbour (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    // Rows of the usual table: two back, one back, and the one being made.
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(x != y);
            row[j + 1] = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_misspellings_seen_in_the_wild_find_their_key() {
        for (word, meant) in [
            ("comands", "commands"),
            ("systctl", "sysctl"),
            ("permsisions", "permissions"),
            ("stage", "stages"),
            ("ownerString", "owner_string"),
            ("no-create-home", "no_create_home"),
            ("authorised_keys", "authorized_keys"),
            ("nmae", "name"),
        ] {
            let candidates =
                ["name", "commands", "sysctl", "permissions", "stages", "owner_string", "no_create_home"]
                    .into_iter()
                    .chain(["authorized_keys", "systemctl"]);
            assert_eq!(suggest(word, candidates), Some(meant), "{word}");
        }
    }

    #[test]
    fn what_is_far_from_every_name_suggests_none() {
        let candidates = ["name", "if", "commands", "files"];
        for word in ["", "x", "of", "banana", "k3s", &"commands".repeat(100_000)] {
            assert_eq!(suggest(word, candidates), None);
        }
    }

    #[test]
    fn the_nearer_of_two_names_wins() {
        assert_eq!(suggest("usrs", ["user", "users"]), Some("users"));
    }
}
