//! What an error shows of a command that ended badly.

use std::collections::VecDeque;

/// So many lines and bytes from the end of its output.
const SHOWN_LINES: usize = 20;
const SHOWN_BYTES: usize = 2048;

/// How a command ended, and what it said last: `ended with status 1; the end of its output:`.
pub(crate) fn ending(status: i32, shown: &str) -> String {
    let ending = match status {
        // What a shell says of a command that was killed.
        129..=192 => format!("ended with status {status} (signal {})", status - 128),
        _ => format!("ended with status {status}"),
    };
    if shown.is_empty() { ending } else { format!("{ending}; the end of its output:\n{shown}") }
}

/// The last lines of a text, cut to what an error shows, with control characters written as escapes.
pub(crate) fn excerpt(text: &str) -> String {
    let mut lines = VecDeque::new();
    let mut room = SHOWN_BYTES;
    for line in text.trim_end().lines().rev().take(SHOWN_LINES) {
        let safe: String = line.chars().map(harmless).collect();
        let Some(rest) = room.checked_sub(safe.len() + 1) else {
            if lines.is_empty() {
                let cut = safe.ceil_char_boundary(safe.len() - SHOWN_BYTES);
                lines.push_front(format!("...{}", &safe[cut..]));
            }
            break;
        };
        room = rest;
        lines.push_front(safe);
    }
    Vec::from(lines).join("\n")
}

/// A character as a terminal may see it.
fn harmless(c: char) -> String {
    match c {
        '\t' => c.to_string(),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    }
}

/// The text with the user, the password and the query taken out of every URL in it.
pub(crate) fn without_credentials(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown += before;
        let end = after.find(|c: char| c.is_whitespace() || "'\"<>`".contains(c)).unwrap_or(after.len());
        let (url, behind) = after.split_at(end);
        let (url, has_query) = match url.find(['?', '#']) {
            Some(query) => (&url[..query], true),
            None => (url, false),
        };
        // A password may hold a slash that is not escaped: better to show too little.
        shown += url.rsplit_once('@').map_or(url, |(_, server)| server);
        if has_query {
            shown += "?...";
        }
        rest = behind;
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_named() {
        assert_eq!(ending(137, ""), "ended with status 137 (signal 9)");
        assert_eq!(ending(1, "no"), "ended with status 1; the end of its output:\nno");
    }

    #[test]
    fn only_the_end_of_a_long_output_is_shown() {
        let lines: String = (0..100).map(|number| format!("{number}\n")).collect();
        assert!(excerpt(&lines).starts_with("80\n") && excerpt(&lines).ends_with("\n99"));
        let shown = excerpt(&"\u{e4}".repeat(100_000));
        assert!(shown.starts_with("...\u{e4}") && shown.len() <= SHOWN_BYTES + 3, "{}", shown.len());
    }

    #[test]
    fn control_characters_are_made_harmless() {
        assert_eq!(excerpt("a\x1b[31mred\r\u{9b}x\ty\n\n"), "a\\u{1b}[31mred\\r\\u{9b}x\ty");
    }

    #[test]
    fn urls_are_shown_without_their_secrets() {
        for (text, shown) in [
            ("E: http://ann:hunter2@host/x 401", "E: http://host/x 401"),
            ("'https://t0ken@host/x?key=hunter2#y': no", "'https://host/x?...': no"),
            ("a https://a/b, then ssh://u:p/w@h:1/c", "a https://a/b, then ssh://h:1/c"),
            ("no url: a@b", "no url: a@b"),
            ("x://", "x://"),
        ] {
            assert_eq!(without_credentials(text), shown);
        }
    }
}
