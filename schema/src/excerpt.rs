//! Foreign text within messages.

/// At most this many characters of a foreign text are shown.
const SHOWN: usize = 60;

/// A text as it may stand in a one-line message: control characters escaped, and cut when it is long.
pub fn excerpt(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).flat_map(shown).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

fn shown(c: char) -> impl Iterator<Item = char> {
    // Quotes and letters of any language stay; what could move a cursor or hide text does not.
    let escape = c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let escaped = escape.then(|| c.escape_default());
    let plain = (!escape).then_some(c);
    escaped.into_iter().flatten().chain(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_long_texts_are_cut() {
        assert_eq!(excerpt("it's é \"x\""), "it's é \"x\"");
        assert_eq!(excerpt("a\x1b[31m\n"), "a\\u{1b}[31m\\n");
        assert_eq!(excerpt("\u{202e}x"), "\\u{202e}x");
        assert_eq!(excerpt(&"ä".repeat(61)), "ä".repeat(60) + "...");
    }
}
