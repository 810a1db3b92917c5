//! File modes.

use crate::decode::scalar;
use crate::scalar::integer;
use crate::yaml::{Node, Scalar, Style};
use crate::{Decode, Findings, Shape, excerpt};

/// A file mode, `0` to `07777`. `0644` and `0o644` are octal, `"0644"` and `"644"` in quotes too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions(pub u32);

const HIGHEST: u32 = 0o7777;

/// Modes that are also written in decimal, because JSON knows nothing else: `420` is `0644`.
const USUAL: [u32; 11] = [0o400, 0o500, 0o550, 0o555, 0o640, 0o644, 0o660, 0o664, 0o711, 0o770, 0o777];

impl Decode for Permissions {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let scalar = scalar(node, "a file mode such as `0644`", findings)?;
        let text = &*scalar.text;
        let Some(mode) = mode(scalar) else {
            findings
                .error(node.span, format!("`{}` is not a file mode", excerpt(text)))
                .help("write it in octal: `0644`, with digits from 0 to 7 and at most `07777`");
            return None;
        };
        if scalar.style == Style::Plain && is_likely_octal(text) && !USUAL.contains(&mode) {
            findings
                .warn(
                    node.span,
                    format!("`{text}` is decimal and means the mode {mode:#05o}").replace("0o", "0"),
                )
                .help(format!("did you mean `0{text}`?"));
        }
        Some(Self(mode))
    }

    fn shape() -> Shape {
        Shape::Mode
    }
}

fn mode(scalar: &Scalar) -> Option<u32> {
    let value = if scalar.style == Style::Plain {
        integer(scalar)?
    } else {
        let digits = scalar.text.strip_prefix("0o").unwrap_or(&scalar.text);
        let octal = !digits.is_empty() && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        if octal { i128::from_str_radix(digits, 8).ok()? } else { return None }
    };
    u32::try_from(value).ok().filter(|mode| *mode <= HIGHEST)
}

/// Three or four octal digits without the zero that would make YAML read them as octal.
fn is_likely_octal(text: &str) -> bool {
    matches!(text.len(), 3 | 4)
        && !text.starts_with('0')
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::tests::decode;

    #[test]
    fn modes_are_octal_wherever_they_look_so() {
        for (yaml, mode) in [
            ("0644", 0o644),
            ("0o644", 0o644),
            ("\"0644\"", 0o644),
            ("'644'", 0o644),
            ("\"0o644\"", 0o644),
            ("0x1a4", 0o644),
            ("420", 0o644),
            ("511", 0o777),
            ("04755", 0o4755),
            ("07777", 0o7777),
            ("0", 0),
        ] {
            let (value, findings) = decode::<Permissions>(yaml);
            assert_eq!(value, Some(Permissions(mode)), "{yaml}");
            assert_eq!(findings, Vec::<String>::new(), "{yaml}");
        }
    }

    #[test]
    fn a_mode_without_its_zero_is_taken_by_value_with_a_warning() {
        let (value, findings) = decode::<Permissions>("644");
        assert_eq!(value, Some(Permissions(644)));
        assert_eq!(findings, ["warning 1:1 `644` is decimal and means the mode 01204; did you mean `0644`?"]);
        for yaml in ["600", "755", "400", "500", "1777"] {
            assert_eq!(decode::<Permissions>(yaml).1.len(), 1, "{yaml}");
        }
    }

    #[test]
    fn what_is_not_a_mode_is_an_error_that_says_how_to_write_one() {
        for yaml in ["0888", "010000", "4096", "-1", "rw-r--r--", "\"888\"", "\"\"", "1e3", "\"010000\""] {
            let (value, findings) = decode::<Permissions>(yaml);
            assert_eq!(value, None, "{yaml}");
            assert!(findings[0].contains("is not a file mode; write it in octal: `0644`"), "{findings:?}");
        }
        assert_eq!(decode::<Permissions>("[0644]").0, None);
    }
}
