//! The name of a file that comes from a server: RFC 6266, "Content-Disposition".
//!
//! **Invariant:** a name is a single name: it never leads to another directory.

/// The name that a server proposes in the header `Content-Disposition`. What stands before a slash is left out,
/// and a name that no file should have is none.
pub fn proposed_name(disposition: &str) -> Option<String> {
    let parameters = parameters(disposition);
    let value = |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    let extended = value("filename*").and_then(|value| extended(value));
    extended.as_deref().and_then(single).or_else(|| single(value("filename")?))
}

/// The name at the end of an address.
pub fn name_of(url: &str) -> Option<String> {
    let path = url.split(['?', '#']).next()?;
    let (_, path) = path.split_once("://")?.1.split_once('/')?;
    single(&decoded(path.rsplit('/').next()?)?)
}

/// The parameters behind the type, their names in small letters.
fn parameters(disposition: &str) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    let mut rest = disposition.split_once(';').map_or("", |(_, rest)| rest);
    while let Some((name, value)) = rest.split_once('=') {
        // A parameter without a value is passed over.
        let name = name.rsplit(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let (value, behind) = match value.trim_start().strip_prefix('"') {
            Some(quoted) => unquoted(quoted),
            None => {
                let (value, behind) = value.split_once(';').unwrap_or((value, ""));
                (value.trim().to_owned(), behind)
            }
        };
        parameters.push((name, value));
        rest = behind;
    }
    parameters
}

/// A text up to the quote that ends it, and what stands behind that.
fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

/// `UTF-8'language'percent-encoded`.
fn extended(value: &str) -> Option<String> {
    let (charset, rest) = value.split_once('\'')?;
    let (_, text) = rest.split_once('\'')?;
    if charset.eq_ignore_ascii_case("utf-8") { decoded(text) } else { None }
}

/// A text without its percent-encoding, if that is UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let hex = behind.get(..2).filter(|_| *first == b'%').and_then(|hex| str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// The last part of a path, if a file may have it for its name.
fn single(path: &str) -> Option<String> {
    /// The longest name that file systems take, in bytes.
    const LONGEST: usize = 255;
    let name = path.rsplit(['/', '\\']).next()?.trim();
    let fits = !name.is_empty() && name != "." && name != ".." && name.len() <= LONGEST;
    (fits && !name.contains(char::is_control)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_the_server_proposes_without_its_directories() {
        for (disposition, expected) in [
            ("attachment; filename=plain.txt", Some("plain.txt")),
            (
                "attachment; filename=\"with space; and \\\"quotes\\\".txt\" ; x=y",
                Some("with space; and \"quotes\".txt"),
            ),
            ("inline; FileName = a", Some("a")),
            ("attachment; filename=old; filename*=UTF-8''na%C3%AFve%20file", Some("naïve file")),
            ("attachment; filename*=UTF-8'en'%2e%2e%2fshadow", Some("shadow")),
            ("attachment; filename*=latin1''x; filename=y", Some("y")),
            ("attachment; filename=\"../../etc/shadow\"", Some("shadow")),
            ("attachment; filename=\"C:\\\\x\\\\y.txt\"", Some("y.txt")),
            ("attachment; filename=\"..\"", None),
            ("attachment; filename=\"/\"", None),
            ("attachment; filename=\"a\nb\"", None),
            ("attachment; filename=", None),
            ("attachment; filename*=UTF-8''%ff", None),
            ("attachment; filename*=UTF-8''a%00b", None),
            ("attachment", None),
            ("filename=x", None),
            ("", None),
        ] {
            assert_eq!(proposed_name(disposition).as_deref(), expected, "{disposition}");
        }
        assert_eq!(proposed_name(&format!("a; filename={}", "x".repeat(256))), None);
    }

    #[test]
    fn a_name_is_the_end_of_the_address() {
        for (url, expected) in [
            ("https://h/a/b.tar.gz?x=/y#z", Some("b.tar.gz")),
            ("https://h/a%20b%2Fc", Some("c")),
            ("https://h/%2e%2e", None),
            ("https://h/a/", None),
            ("https://h", None),
            ("https://h?x/y", None),
            ("%", None),
        ] {
            assert_eq!(name_of(url).as_deref(), expected, "{url}");
        }
    }
}
