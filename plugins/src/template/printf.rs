//! Go's `fmt.Sprint` and `fmt.Sprintf`.
//!
//! As in Go, a verb that does not fit its argument never fails but shows itself: `%!d(string=x)`.

use super::failure::Failure;
use super::number;
use super::quote;
use super::value::{self, Value};
use std::fmt::Write;
use std::str::Chars;

/// The widest field, as in Go.
const MAX_WIDTH: usize = 1_000_000;

/// `fmt.Sprint`: a space between two values of which neither is text.
pub(super) fn sprint(values: &[Value]) -> String {
    join(values, |value| matches!(value, Value::Text(_)), |value| value.to_string())
}

/// The same for `html`, `js` and `urlquery`, to which a missing value is the text `<no value>`.
pub(super) fn sprint_shown(values: &[Value]) -> String {
    join(
        values,
        |value| matches!(value, Value::Text(_)) || value.is_nil(),
        |value| if value.is_nil() { "<no value>".to_owned() } else { value.to_string() },
    )
}

fn join(values: &[Value], is_text: impl Fn(&Value) -> bool, show: impl Fn(&Value) -> String) -> String {
    let mut out = String::new();
    for (index, value) in values.iter().enumerate() {
        if index > 0 && !is_text(value) && !is_text(&values[index - 1]) {
            out.push(' ');
        }
        out.push_str(&show(value));
    }
    out
}

/// `fmt.Sprintf`.
pub(super) fn sprintf(format: &str, values: &[Value]) -> Result<String, Failure> {
    let mut out = String::with_capacity(format.len());
    let mut rest = format;
    let mut arguments = Arguments { values, next: 0, reordered: false, good_index: true };
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let mut verb = rest[at + 1..].chars();
        directive(&mut verb, &mut arguments, &mut out);
        value::check_weight(out.len())?;
        rest = verb.as_str();
    }
    out.push_str(rest);
    if !arguments.reordered && arguments.next < values.len() {
        let extra = values[arguments.next..].iter().map(|value| match value.is_nil() {
            true => "<nil>".to_owned(),
            false => format!("{}={value}", value.type_name()),
        });
        let _ = write!(out, "%!(EXTRA {})", extra.collect::<Vec<_>>().join(", "));
    }
    Ok(out)
}

struct Arguments<'a> {
    values: &'a [Value],
    next: usize,
    /// Whether there was a `[n]` anywhere: then nobody minds arguments that are left over.
    reordered: bool,
    /// Whether those of this directive make sense.
    good_index: bool,
}

impl<'a> Arguments<'a> {
    fn take(&mut self) -> Option<&'a Value> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        Some(value)
    }

    /// Reads `[n]`, which makes the n-th argument the next one; answers whether something like it was there.
    fn reorder(&mut self, text: &mut Chars<'_>) -> bool {
        let Some(inner) = text.as_str().strip_prefix('[') else { return false };
        self.reordered = true;
        let Some((number, after)) = inner.split_once(']').filter(|_| inner.len() > 1) else {
            *text = inner.chars();
            self.good_index = false;
            return false;
        };
        *text = after.chars();
        let number = parse_number(number).filter(|(_, rest)| rest.is_empty());
        match number.and_then(|(number, _)| number.checked_sub(1)).filter(|index| *index < self.values.len())
        {
            Some(index) => self.next = index,
            None => self.good_index = false,
        }
        number.is_some()
    }

    /// The argument for a `*`, a whole number that is not too large.
    fn star(&mut self) -> Option<i64> {
        match self.take() {
            Some(Value::Int(value)) if value.unsigned_abs() <= MAX_WIDTH as u64 => Some(*value),
            _ => None,
        }
    }
}

/// The number that a text begins with, and the rest.
fn parse_number(text: &str) -> Option<(usize, &str)> {
    let (digits, rest) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    Some((digits.parse().ok()?, rest))
}

/// The flags of a directive.
#[derive(Clone, Copy, Default)]
struct Style {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

/// Reads and writes what follows a `%`, step by step as Go's fmt does.
fn directive(text: &mut Chars<'_>, arguments: &mut Arguments<'_>, out: &mut String) {
    let mut style = Style::default();
    loop {
        match text.as_str().chars().next() {
            Some('+') => style.plus = true,
            Some('-') => style.minus = true,
            Some('#') => style.sharp = true,
            Some(' ') => style.space = true,
            Some('0') => style.zero = true,
            _ => break,
        }
        text.next();
    }
    arguments.good_index = true;
    let mut after_index = arguments.reorder(text);
    if let Some(after) = text.as_str().strip_prefix('*') {
        *text = after.chars();
        match arguments.star() {
            Some(width) => {
                style.minus |= width < 0;
                style.width = width.unsigned_abs() as usize;
            }
            None => out.push_str("%!(BADWIDTH)"),
        }
        after_index = false;
    } else if let Some((width, after)) = number_here(text) {
        *text = after.chars();
        arguments.good_index &= !after_index;
        style.width = width;
    }
    if let Some(after) = text.as_str().strip_prefix('.') {
        *text = after.chars();
        arguments.good_index &= !after_index;
        after_index = arguments.reorder(text);
        if let Some(after) = text.as_str().strip_prefix('*') {
            *text = after.chars();
            style.precision = arguments.star().and_then(|precision| usize::try_from(precision).ok());
            if style.precision.is_none() {
                out.push_str("%!(BADPREC)");
            }
            after_index = false;
        } else {
            let (precision, after) = number_here(text).unwrap_or((0, text.as_str()));
            *text = after.chars();
            style.precision = Some(precision);
        }
    }
    if !after_index {
        arguments.reorder(text);
    }
    let Some(verb) = text.next() else {
        out.push_str("%!(NOVERB)");
        return;
    };
    if verb == '%' {
        out.push('%');
    } else if !arguments.good_index {
        let _ = write!(out, "%!{verb}(BADINDEX)");
    } else if let Some(value) = arguments.take() {
        // With `%v` these two ask for more detail, which there is for text only.
        let details = style.sharp && verb == 'v' && matches!(value, Value::Text(_));
        let plain = verb != 'v';
        let style = Style { plus: style.plus && plain, sharp: style.sharp && plain, ..style };
        show(value, if details { 'q' } else { verb }, style, out);
    } else {
        let _ = write!(out, "%!{verb}(MISSING)");
    }
}

/// The number that comes next. As in Go, one that is too large takes the rest of the text with it.
fn number_here<'t>(text: &mut Chars<'t>) -> Option<(usize, &'t str)> {
    if !text.as_str().starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let found = parse_number(text.as_str()).filter(|(number, _)| *number <= MAX_WIDTH);
    if found.is_none() {
        *text = "".chars();
    }
    found
}

/// One value in one style. Lists and dictionaries show their elements in it, up to where the text is too long
/// in any case.
fn show(value: &Value, verb: char, style: Style, out: &mut String) {
    match (value, verb) {
        (value, 'T') => pad(value.type_name(), style, out),
        (Value::List(list), verb) => {
            out.push('[');
            for (index, value) in list.iter().enumerate() {
                if out.len() > value::MAX_WEIGHT {
                    return;
                }
                if index > 0 {
                    out.push(' ');
                }
                show(value, verb, style, out);
            }
            out.push(']');
        }
        (Value::Map(map), verb) => {
            out.push_str("map[");
            for (index, (key, value)) in map.entries().iter().enumerate() {
                if out.len() > value::MAX_WEIGHT {
                    return;
                }
                if index > 0 {
                    out.push(' ');
                }
                show(&Value::Text(key.clone()), verb, style, out);
                out.push(':');
                show(value, verb, style, out);
            }
            out.push(']');
        }
        (Value::Bool(value), 'v' | 't') => pad(&value.to_string(), style, out),
        (Value::Int(value), verb) if "vdbouUOxXcq".contains(verb) && verb != 'u' => {
            integer(*value, verb, style, out);
        }
        (Value::Float(value), 'v' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G') => float(*value, verb, style, out),
        (Value::Text(text), 'v' | 's') => pad(cut(text, style.precision), style, out),
        (Value::Text(text), 'q') => {
            let text = cut(text, style.precision);
            let raw = style.sharp && !text.contains(['`', '\r', '\u{feff}']);
            let quoted = if raw { format!("`{text}`") } else { quote::quote(text) };
            pad(&quoted, style, out);
        }
        (Value::Text(text), 'x' | 'X') => {
            let bytes = text.as_bytes();
            let bytes = &bytes[..style.precision.unwrap_or(bytes.len()).min(bytes.len())];
            let mut digits = String::with_capacity(bytes.len() * 2);
            for (index, byte) in bytes.iter().enumerate() {
                if style.space && index > 0 {
                    digits.push(' ');
                }
                if style.sharp && (style.space || index == 0) {
                    digits.push_str(if verb == 'x' { "0x" } else { "0X" });
                }
                let _ = if verb == 'x' { write!(digits, "{byte:02x}") } else { write!(digits, "{byte:02X}") };
            }
            pad(&digits, style, out);
        }
        (Value::Time(time), 'v' | 's') => pad(&time.to_string(), style, out),
        (value, 'v') if value.is_nil() => pad("<nil>", style, out),
        (value, verb) if value.is_nil() => {
            let _ = write!(out, "%!{verb}(<nil>)");
        }
        (value, verb) => {
            let _ = write!(out, "%!{verb}({}=", value.type_name());
            show(value, 'v', style, out);
            out.push(')');
        }
    }
}

fn cut(text: &str, precision: Option<usize>) -> &str {
    let end = precision.and_then(|precision| text.char_indices().nth(precision));
    end.map_or(text, |(end, _)| &text[..end])
}

fn integer(value: i64, verb: char, style: Style, out: &mut String) {
    let magnitude = value.unsigned_abs();
    let (prefix, digits) = match verb {
        'c' | 'q' | 'U' => return character(value, verb, style, out),
        'b' => ("0b", format!("{magnitude:b}")),
        'o' => ("0", format!("{magnitude:o}")),
        'O' => ("0o", format!("{magnitude:o}")),
        'x' => ("0x", format!("{magnitude:x}")),
        'X' => ("0X", format!("{magnitude:X}")),
        _ => ("", magnitude.to_string()),
    };
    if (value, style.precision) == (0, Some(0)) {
        // Go: nothing at all for a zero that wants no digits.
        return pad("", Style { zero: false, ..style }, out);
    }
    let sign = sign(value < 0, style);
    let least = match style.precision {
        Some(precision) => precision,
        None if style.zero && !style.minus => style.width.saturating_sub(sign.len()),
        None => 0,
    };
    let mut digits = format!("{}{digits}", "0".repeat(least.saturating_sub(digits.len())));
    if style.sharp && matches!(verb, 'o' | 'O') && !digits.starts_with('0') {
        digits.insert(0, '0');
    }
    let prefix = if verb == 'O' || (style.sharp && verb != 'o') { prefix } else { "" };
    pad(&format!("{sign}{prefix}{digits}"), Style { zero: false, ..style }, out);
}

/// A number as the character that it stands for.
fn character(value: i64, verb: char, style: Style, out: &mut String) {
    let c = u32::try_from(value).ok().and_then(char::from_u32);
    let shown = match verb {
        'c' => c.unwrap_or('\u{fffd}').to_string(),
        'q' => quote::quote_character(c.unwrap_or('\u{fffd}')),
        _ => {
            let digits = style.precision.unwrap_or(4).max(4);
            let code = format!("U+{:0>digits$}", format!("{:X}", value.unsigned_abs()));
            let visible = c.filter(|c| style.sharp && quote::is_printable(*c));
            let code = visible.map_or(code.clone(), |c| format!("{code} '{c}'"));
            return pad(&code, Style { zero: false, ..style }, out);
        }
    };
    pad(&shown, style, out);
}

fn float(value: f64, verb: char, style: Style, out: &mut String) {
    let magnitude = value.abs();
    let text = match (verb, style.precision) {
        ('e' | 'E', precision) => number::exponential(magnitude, precision.unwrap_or(6)),
        ('f' | 'F', precision) => number::fixed(magnitude, precision.unwrap_or(6)),
        (_, Some(precision)) => number::general(magnitude, precision),
        (_, None) => number::shortest(magnitude),
    };
    let text = if verb == 'E' || verb == 'G' { text.to_uppercase() } else { text };
    let finite = value.is_finite();
    let text = text.trim_start_matches('+');
    let sign = match value.is_infinite() && !style.space && value > 0.0 {
        true => "+",
        false => sign(value.is_sign_negative() && !value.is_nan(), style),
    };
    let fill = if style.zero && !style.minus && finite {
        style.width.saturating_sub(sign.len() + text.len())
    } else {
        0
    };
    pad(&format!("{sign}{}{text}", "0".repeat(fill)), Style { zero: false, ..style }, out);
}

fn sign(negative: bool, style: Style) -> &'static str {
    match (negative, style) {
        (true, _) => "-",
        (false, Style { plus: true, .. }) => "+",
        (false, Style { space: true, .. }) => " ",
        (false, _) => "",
    }
}

fn pad(text: &str, style: Style, out: &mut String) {
    let fill = style.width.saturating_sub(text.chars().count());
    let padding = if style.zero && !style.minus { "0" } else { " " }.repeat(fill);
    if style.minus {
        out.push_str(text);
        out.push_str(&padding);
    } else {
        out.push_str(&padding);
        out.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Go's fmt.Sprintf gives.
    #[test]
    fn formats_as_go_formats() {
        let text = |text: &str| Value::from(text);
        for (format, values, expected) in [
            ("plain", vec![], "plain"),
            ("%d%%", vec![5.into()], "5%"),
            (
                "%5d|%-5d|%05d|%+d|% d",
                vec![42.into(), 42.into(), 42.into(), 42.into(), 42.into()],
                "   42|42   |00042|+42| 42",
            ),
            ("%05d", vec![(-42).into()], "-0042"),
            (
                "%x %X %#x %o %#o %O %b %c %q %U",
                (0..10).map(|_| Value::Int(65)).collect(),
                "41 41 0x41 101 0101 0o101 1000001 A 'A' U+0041",
            ),
            ("%.3d|%8.3d", vec![7.into(), 7.into()], "007|     007"),
            (
                "%f %.2f %e %g %8.3f",
                (0..5).map(|_| Value::Float(1234.5678)).collect(),
                "1234.567800 1234.57 1.234568e+03 1234.5678 1234.568",
            ),
            ("%v %v %v", vec![4.0.into(), 1e6.into(), 0.5.into()], "4 1e+06 0.5"),
            ("%06.1f|%+.1f|%-8.1f|", vec![(-1.5).into(), 1.5.into(), 1.5.into()], "-001.5|+1.5|1.5     |"),
            (
                "%s|%5s|%-5s|%.2s|%q|%x|%X",
                (0..7).map(|_| text("añb")).collect(),
                "añb|  añb|añb  |añ|\"añb\"|61c3b162|61C3B162",
            ),
            ("%#q %#v", vec![text("a"), text("a")], "`a` \"a\""),
            ("%t %v", vec![true.into(), false.into()], "true false"),
            (
                "%T %T %T %T",
                vec![1.into(), 1.5.into(), text("a"), Value::list(vec![])],
                "int float64 string []interface {}",
            ),
            (
                "%v %d",
                vec![Value::list(vec![1.into(), 2.into()]), Value::list(vec![1.into(), 2.into()])],
                "[1 2] [1 2]",
            ),
            ("%s", vec![Value::map([("k", text("v"))])], "map[k:v]"),
            ("%d", vec![text("x")], "%!d(string=x)"),
            ("%d", vec![4.0.into()], "%!d(float64=4)"),
            ("%s", vec![5.into()], "%!s(int=5)"),
            ("%z", vec![5.into()], "%!z(int=5)"),
            ("%s %s", vec![text("a")], "a %!s(MISSING)"),
            ("%s", vec![text("a"), 2.into()], "a%!(EXTRA int=2)"),
            ("%v %s", vec![Value::Nil, Value::Nil], "<nil> %!s(<nil>)"),
            ("%", vec![], "%!(NOVERB)"),
            ("%[2]s %[1]s", vec![text("a"), text("b")], "b a"),
            ("%[3]s", vec![text("a")], "%!s(BADINDEX)"),
            ("%*d|%-*d|", vec![4.into(), 7.into(), 4.into(), 7.into()], "   7|7   |"),
            ("%.*f", vec![1.into(), 2.25.into()], "2.2"),
            ("%é", vec![1.into()], "%!é(int=1)"),
            (
                "%#08x %#.0b|%#o %#o %#O",
                vec![5.into(), 0.into(), 0.into(), 8.into(), 8.into()],
                "0x00000005 |0 010 0o010",
            ),
            ("%#U %.5U %010U", vec![255.into(), 65.into(), 65.into()], "U+00FF 'ÿ' U+00041     U+0041"),
            ("%# x % X %#x", (0..3).map(|_| text("hi")).collect(), "0x68 0x69 68 69 0x6869"),
            ("%5d %.3d", vec![true.into(), text("abcdef")], "%!d(bool= true) %!d(string=abc)"),
            ("%+v %+v %+d", vec![42.into(), 1.5.into(), 42.into()], "42 1.5 +42"),
            ("%[1]2d", vec![5.into()], "%!d(BADINDEX)"),
            ("%[1].2f", vec![5.5.into()], "%!f(BADINDEX)"),
            ("%[1]*[2]d|", vec![3.into(), 7.into()], "  7|"),
            ("%[d", vec![5.into()], "%!d(BADINDEX)"),
            ("%[", vec![5.into()], "%!(NOVERB)"),
            ("%[]", vec![5.into()], "%!](BADINDEX)"),
            ("%[0][1]d", vec![5.into()], "%![(BADINDEX)1]d"),
            ("%.*f", vec![(-5).into(), 1.5.into()], "%!(BADPREC)1.500000"),
            ("%.*f", vec![text("x"), 5.into()], "%!(BADPREC)%!f(int=5)"),
            ("%*d", vec![i64::MAX.into(), 1.into()], "%!(BADWIDTH)1"),
            ("%x", vec![(-255).into()], "-ff"),
            ("%v", vec![f64::INFINITY.into()], "+Inf"),
        ] {
            assert_eq!(sprintf(format, &values).unwrap(), expected, "{format}");
        }
    }

    #[test]
    fn wide_fields_do_not_take_the_memory() {
        assert_eq!(sprintf("%1000000000d", &[1.into()]).unwrap(), "%!(NOVERB)%!(EXTRA int=1)");
        assert_eq!(sprintf("%.1000000000f", &[1.5.into()]).unwrap(), "%!(NOVERB)%!(EXTRA float64=1.5)");
        assert_eq!(sprintf("%.2000f", &[1.5.into()]).unwrap().len(), 2002);
        assert_eq!(sprintf("%.2000e", &[1.5.into()]).unwrap().len(), 2006);
        assert_eq!(sprintf("%.999999g", &[1.5.into()]).unwrap(), "1.5");
        assert!(sprintf(&"%10000d".repeat(100_000), &vec![1.into(); 100_000]).is_err());
        assert!(sprintf("%999999d", &[Value::list(vec![1.into(); 100_000])]).is_err());
        let map = Value::map((0..1000).map(|key| (key.to_string(), 1.into())));
        assert!(sprintf("%999999v", &[map]).is_err());
    }
}
