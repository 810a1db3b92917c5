//! Go's `fmt.Sprint` and `fmt.Sprintf`.
//!
//! As in Go, a verb that does not fit its argument never fails but shows itself: `%!d(string=x)`.

use super::failure::Failure;
use super::number;
use super::quote;
use super::value::{self, Value};
use std::fmt::Write;

/// The widest field; Go's is a million.
const MAX_WIDTH: usize = 10_000;

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
    let mut arguments = Arguments { values, next: 0, reordered: false };
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
    reordered: bool,
}

impl<'a> Arguments<'a> {
    fn take(&mut self) -> Option<&'a Value> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        Some(value)
    }

    /// Reads `[n]`; answers whether what is there is one, if anything is.
    fn reorder(&mut self, text: &mut std::str::Chars<'_>) -> Option<bool> {
        let inner = text.as_str().strip_prefix('[')?;
        let Some((number, after)) = inner.split_once(']') else {
            text.next();
            return Some(false);
        };
        *text = after.chars();
        self.reordered = true;
        let index = number.parse::<usize>().ok().filter(|index| (1..=self.values.len()).contains(index));
        if let Some(index) = index {
            self.next = index - 1;
        }
        Some(index.is_some())
    }

    /// A width or precision: digits, or `*` for an argument.
    fn number(&mut self, text: &mut std::str::Chars<'_>) -> Option<Result<i64, ()>> {
        if let Some(after) = text.as_str().strip_prefix('*') {
            *text = after.chars();
            return Some(match self.take() {
                Some(Value::Int(value)) => Ok(*value),
                _ => Err(()),
            });
        }
        let digits = text.as_str().bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = text.as_str().split_at(digits);
        *text = after.chars();
        (digits > 0).then(|| number.parse().map_err(|_| ()))
    }
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

fn directive(text: &mut std::str::Chars<'_>, arguments: &mut Arguments<'_>, out: &mut String) {
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
    let mut good_index = arguments.reorder(text).unwrap_or(true);
    match arguments.number(text) {
        Some(Ok(width)) if width.unsigned_abs() <= MAX_WIDTH as u64 => {
            style.minus |= width < 0;
            style.width = width.unsigned_abs() as usize;
        }
        Some(_) => out.push_str("%!(BADWIDTH)"),
        None => {}
    }
    if let Some(after) = text.as_str().strip_prefix('.') {
        *text = after.chars();
        good_index &= arguments.reorder(text).unwrap_or(true);
        match arguments.number(text) {
            Some(Ok(precision)) if (0..=number::MAX_PRECISION as i64).contains(&precision) => {
                style.precision = Some(precision as usize);
            }
            Some(Ok(precision)) if precision < 0 => {}
            Some(_) => out.push_str("%!(BADPREC)"),
            None => style.precision = Some(0),
        }
    }
    good_index &= arguments.reorder(text).unwrap_or(true);
    let Some(verb) = text.next() else {
        out.push_str("%!(NOVERB)");
        return;
    };
    if verb == '%' {
        out.push('%');
    } else if !good_index {
        let _ = write!(out, "%!{verb}(BADINDEX)");
    } else if let Some(value) = arguments.take() {
        show(value, verb, style, out);
    } else {
        let _ = write!(out, "%!{verb}(MISSING)");
    }
}

/// One value in one style. Lists and dictionaries show their elements in it.
fn show(value: &Value, verb: char, style: Style, out: &mut String) {
    match (value, verb) {
        (value, 'T') => pad(value.type_name(), style, out),
        (Value::List(list), verb) => {
            out.push('[');
            for (index, value) in list.iter().enumerate() {
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
        (Value::Text(text), 'v' | 's') if !(style.sharp && verb == 'v') => {
            pad(cut(text, style.precision), style, out);
        }
        (Value::Text(text), 'q' | 'v') => {
            let text = cut(text, style.precision);
            let raw = style.sharp && verb == 'q' && !text.contains(['`', '\r', '\u{feff}']);
            let quoted = if raw { format!("`{text}`") } else { quote::quote(text) };
            pad(&quoted, style, out);
        }
        (Value::Text(text), 'x' | 'X') => {
            let bytes = text.as_bytes();
            let bytes = &bytes[..style.precision.unwrap_or(bytes.len()).min(bytes.len())];
            let mut digits = String::with_capacity(bytes.len() * 2);
            for byte in bytes {
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
            let _ = write!(out, "%!{verb}({}={value})", value.type_name());
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
        'c' | 'q' | 'U' => {
            let c = u32::try_from(value).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
            let shown = match verb {
                'c' => c.to_string(),
                'q' => quote::quote_character(c),
                _ => format!("U+{magnitude:04X}"),
            };
            return pad(&shown, style, out);
        }
        'b' => ("0b", format!("{magnitude:b}")),
        'o' => ("0", format!("{magnitude:o}")),
        'O' => ("0o", format!("{magnitude:o}")),
        'x' => ("0x", format!("{magnitude:x}")),
        'X' => ("0X", format!("{magnitude:X}")),
        _ => ("", magnitude.to_string()),
    };
    let prefix = if style.sharp || verb == 'O' { prefix } else { "" };
    let sign = sign(value < 0, style);
    let least = match style.precision {
        Some(precision) => precision,
        None if style.zero && !style.minus => style.width.saturating_sub(sign.len() + prefix.len()),
        None => 0,
    };
    let digits = match (value, style.precision) {
        // Go: no digits at all for a zero that wants none.
        (0, Some(0)) => String::new(),
        _ => format!("{}{digits}", "0".repeat(least.saturating_sub(digits.len()))),
    };
    pad(&format!("{sign}{prefix}{digits}"), Style { zero: false, ..style }, out);
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
            ("%x", vec![(-255).into()], "-ff"),
            ("%v", vec![f64::INFINITY.into()], "+Inf"),
        ] {
            assert_eq!(sprintf(format, &values).unwrap(), expected, "{format}");
        }
    }

    #[test]
    fn wide_fields_do_not_take_the_memory() {
        assert_eq!(sprintf("%1000000000d", &[1.into()]).unwrap(), "%!(BADWIDTH)1");
        assert_eq!(sprintf("%.1000000000f", &[1.5.into()]).unwrap(), "%!(BADPREC)1.500000");
        assert!(sprintf(&"%10000d".repeat(100_000), &vec![1.into(); 100_000]).is_err());
    }
}
