//! Go's layouts: dates are written and read as an example shows, `Mon Jan 2 15:04:05 2006`.

use super::{Time, days_of_civil};
use crate::template::failure::Failure;
use std::fmt::Write;
use std::rc::Rc;

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The time in a layout of Go: `2006-01-02 15:04:05`.
pub(super) fn format(time: &Time, layout: &str) -> String {
    let civil = time.civil();
    let (hour, minute, second) =
        (civil.second_of_day / 3600, civil.second_of_day / 60 % 60, civil.second_of_day % 60);
    let month = MONTHS[(civil.month - 1) as usize];
    let half = if hour % 12 == 0 { 12 } else { hour % 12 };
    let mut out = String::with_capacity(layout.len() + 8);
    let mut rest = layout;
    while !rest.is_empty() {
        let (part, length) = next_part(rest);
        let _ = match part {
            Part::Text => out.write_str(&rest[..length]),
            Part::LongMonth => out.write_str(month),
            Part::Month => out.write_str(&month[..3]),
            Part::NumericMonth(width) => write!(out, "{:0width$}", civil.month),
            Part::LongWeekday => out.write_str(WEEKDAYS[civil.weekday]),
            Part::Weekday => out.write_str(&WEEKDAYS[civil.weekday][..3]),
            Part::Day(width) => write!(out, "{:0width$}", civil.day),
            Part::SpacedDay => write!(out, "{:2}", civil.day),
            Part::DayOfYear => write!(out, "{:03}", civil.day_of_year),
            Part::SpacedDayOfYear => write!(out, "{:3}", civil.day_of_year),
            Part::Hour => write!(out, "{hour:02}"),
            Part::HalfHour(width) => write!(out, "{half:0width$}"),
            Part::Minute(width) => write!(out, "{minute:0width$}"),
            Part::Second(width) => write!(out, "{second:0width$}"),
            Part::LongYear => write!(out, "{:04}", civil.year),
            Part::Year => write!(out, "{:02}", civil.year % 100),
            Part::Noon(upper) => out.write_str(match (hour < 12, upper) {
                (true, true) => "AM",
                (true, false) => "am",
                (false, true) => "PM",
                (false, false) => "pm",
            }),
            Part::ZoneName if time.zone.is_empty() => {
                let colons = if time.offset % 3600 == 0 { Offset::Hours } else { Offset::Minutes };
                out.write_str(&show_offset(time.offset, colons))
            }
            Part::ZoneName => out.write_str(&time.zone),
            Part::ZoneOffset(_, true) if time.offset == 0 => out.write_char('Z'),
            Part::ZoneOffset(form, _) => out.write_str(&show_offset(time.offset, form)),
            Part::Fraction { digits, trims } => {
                let fraction = format!("{:09}", time.nanoseconds);
                let fraction = &fraction[..digits.min(9)];
                let fraction = if trims { fraction.trim_end_matches('0') } else { fraction };
                let point = if fraction.is_empty() { "" } else { &rest[..1] };
                write!(out, "{point}{fraction}")
            }
        };
        rest = &rest[length..];
    }
    out
}

fn show_offset(offset: i32, form: Offset) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let offset = offset.unsigned_abs();
    let (hours, minutes, seconds) = (offset / 3600, offset / 60 % 60, offset % 60);
    match form {
        Offset::Hours => format!("{sign}{hours:02}"),
        Offset::Minutes => format!("{sign}{hours:02}{minutes:02}"),
        Offset::ColonMinutes => format!("{sign}{hours:02}:{minutes:02}"),
        Offset::Seconds => format!("{sign}{hours:02}{minutes:02}{seconds:02}"),
        Offset::ColonSeconds => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

/// Reads a time in a layout.
pub(super) fn parse(
    layout: &str,
    text: &str,
    local: impl FnOnce(i64) -> (i32, Rc<str>),
) -> Result<Time, Failure> {
    let mut found = Parsed { month: 1, day: 1, ..Parsed::default() };
    let mut rest = text;
    let mut remaining = layout;
    while !remaining.is_empty() {
        let (part, length) = next_part(remaining);
        rest = found.take(part, &remaining[..length], rest).ok_or("the text is not a date of this layout")?;
        remaining = &remaining[length..];
    }
    if !rest.is_empty() {
        return Err("the text goes on behind the date".into());
    }
    found.finish(local)
}

/// How an offset from UTC is written.
#[derive(Clone, Copy)]
enum Offset {
    Hours,
    Minutes,
    ColonMinutes,
    Seconds,
    ColonSeconds,
}

/// A part of a layout. Numbers are widths.
#[derive(Clone, Copy)]
enum Part {
    Text,
    LongMonth,
    Month,
    NumericMonth(usize),
    LongWeekday,
    Weekday,
    Day(usize),
    SpacedDay,
    DayOfYear,
    SpacedDayOfYear,
    Hour,
    HalfHour(usize),
    Minute(usize),
    Second(usize),
    LongYear,
    Year,
    Noon(bool),
    ZoneName,
    /// Its form, and whether UTC is `Z`.
    ZoneOffset(Offset, bool),
    Fraction {
        digits: usize,
        trims: bool,
    },
}

/// The longer of two that begin alike comes first.
const PARTS: [(&str, Part); 33] = [
    ("January", Part::LongMonth),
    ("Jan", Part::Month),
    ("Monday", Part::LongWeekday),
    ("Mon", Part::Weekday),
    ("MST", Part::ZoneName),
    ("002", Part::DayOfYear),
    ("01", Part::NumericMonth(2)),
    ("02", Part::Day(2)),
    ("03", Part::HalfHour(2)),
    ("04", Part::Minute(2)),
    ("05", Part::Second(2)),
    ("06", Part::Year),
    ("15", Part::Hour),
    ("1", Part::NumericMonth(1)),
    ("2006", Part::LongYear),
    ("2", Part::Day(1)),
    ("__2", Part::SpacedDayOfYear),
    ("_2", Part::SpacedDay),
    ("3", Part::HalfHour(1)),
    ("4", Part::Minute(1)),
    ("5", Part::Second(1)),
    ("PM", Part::Noon(true)),
    ("pm", Part::Noon(false)),
    ("-07:00:00", Part::ZoneOffset(Offset::ColonSeconds, false)),
    ("-070000", Part::ZoneOffset(Offset::Seconds, false)),
    ("-07:00", Part::ZoneOffset(Offset::ColonMinutes, false)),
    ("-0700", Part::ZoneOffset(Offset::Minutes, false)),
    ("-07", Part::ZoneOffset(Offset::Hours, false)),
    ("Z07:00:00", Part::ZoneOffset(Offset::ColonSeconds, true)),
    ("Z070000", Part::ZoneOffset(Offset::Seconds, true)),
    ("Z07:00", Part::ZoneOffset(Offset::ColonMinutes, true)),
    ("Z0700", Part::ZoneOffset(Offset::Minutes, true)),
    ("Z07", Part::ZoneOffset(Offset::Hours, true)),
];

/// The part that a layout begins with, and its length. The layout must not be empty.
fn next_part(layout: &str) -> (Part, usize) {
    if layout.starts_with("_2006") {
        return (Part::Text, 1);
    }
    // As in Go, `Jan` at the beginning of a longer word is not a month, nor `Mon` a day.
    let word_goes_on = |name: &str| {
        let next = layout.as_bytes().get(name.len());
        (name == "Jan" || name == "Mon") && next.is_some_and(u8::is_ascii_lowercase)
    };
    for (name, part) in PARTS {
        if layout.starts_with(name) && !word_goes_on(name) {
            return (part, name.len());
        }
    }
    if layout.starts_with(['.', ',']) {
        let digits = &layout[1..];
        for (digit, trims) in [('0', false), ('9', true)] {
            let count = digits.len() - digits.trim_start_matches(digit).len();
            let ends = !digits[count..].starts_with(|c: char| c.is_ascii_digit());
            if count > 0 && ends {
                return (Part::Fraction { digits: count, trims }, count + 1);
            }
        }
    }
    (Part::Text, layout.chars().next().map_or(1, char::len_utf8))
}

/// What was read of a date.
#[derive(Default)]
struct Parsed {
    year: i64,
    month: i64,
    day: i64,
    day_of_year: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanoseconds: u32,
    afternoon: Option<bool>,
    offset: Option<i32>,
    zone: Option<String>,
}

impl Parsed {
    /// Reads one part; answers the rest of the text.
    fn take<'t>(&mut self, part: Part, layout: &str, text: &'t str) -> Option<&'t str> {
        let number = |text: &'t str, least: usize, most: usize| {
            let digits = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
            (digits >= least).then(|| Some((text[..digits].parse::<i64>().ok()?, &text[digits..])))?
        };
        let mut rest = text;
        let mut set = |field: &mut i64, least: usize, most: usize, text: &'t str| {
            let (value, after) = number(text, least, most)?;
            *field = value;
            rest = after;
            Some(())
        };
        match part {
            Part::Text => return text.strip_prefix(layout),
            Part::LongMonth | Part::Month => {
                let short = matches!(part, Part::Month);
                let (index, after) = name_of(&MONTHS, short, text)?;
                self.month = index as i64 + 1;
                return Some(after);
            }
            Part::LongWeekday => return Some(name_of(&WEEKDAYS, false, text)?.1),
            Part::Weekday => return Some(name_of(&WEEKDAYS, true, text)?.1),
            Part::NumericMonth(width) => set(&mut self.month, width, 2, text)?,
            Part::Day(width) => set(&mut self.day, width, 2, text)?,
            Part::SpacedDay => set(&mut self.day, 1, 2, text.strip_prefix(' ').unwrap_or(text))?,
            Part::DayOfYear => {
                let mut day = 0;
                set(&mut day, 3, 3, text)?;
                self.day_of_year = Some(day);
            }
            Part::SpacedDayOfYear => {
                let mut day = 0;
                set(&mut day, 1, 3, text.trim_start_matches(' '))?;
                self.day_of_year = Some(day);
            }
            Part::Hour => set(&mut self.hour, 2, 2, text)?,
            Part::HalfHour(width) => {
                set(&mut self.hour, width, 2, text)?;
                if self.hour > 12 {
                    return None;
                }
            }
            Part::Minute(width) => set(&mut self.minute, width, 2, text)?,
            Part::Second(width) => set(&mut self.second, width, 2, text)?,
            Part::LongYear => set(&mut self.year, 4, 4, text)?,
            Part::Year => {
                set(&mut self.year, 2, 2, text)?;
                self.year += if self.year >= 69 { 1900 } else { 2000 };
            }
            Part::Noon(upper) => {
                let (am, pm) = if upper { ("AM", "PM") } else { ("am", "pm") };
                self.afternoon = Some(text.starts_with(pm));
                return text.strip_prefix(am).or_else(|| text.strip_prefix(pm));
            }
            Part::ZoneName => {
                let length = text.bytes().take_while(u8::is_ascii_uppercase).count();
                self.zone = (3..=5).contains(&length).then(|| text[..length].to_owned());
                self.zone.as_ref()?;
                return Some(&text[length..]);
            }
            Part::ZoneOffset(form, utc) => {
                if let (true, Some(after)) = (utc, text.strip_prefix('Z')) {
                    self.offset = Some(0);
                    return Some(after);
                }
                return self.take_offset(form, text);
            }
            Part::Fraction { digits, trims } => {
                let Some(after) = text.strip_prefix(['.', ',']) else { return trims.then_some(text) };
                let count = after.bytes().take_while(u8::is_ascii_digit).count();
                if count == 0 || count > 9 || (!trims && count != digits) {
                    return None;
                }
                self.nanoseconds = format!("{:0<9}", &after[..count]).parse().ok()?;
                return Some(&after[count..]);
            }
        }
        Some(rest)
    }

    fn take_offset<'t>(&mut self, form: Offset, text: &'t str) -> Option<&'t str> {
        let negative = text.starts_with('-');
        let mut rest = text.strip_prefix(['+', '-'])?;
        let (count, colons) = match form {
            Offset::Hours => (1, false),
            Offset::Minutes => (2, false),
            Offset::ColonMinutes => (2, true),
            Offset::Seconds => (3, false),
            Offset::ColonSeconds => (3, true),
        };
        let mut offset = 0;
        for (index, unit) in [3600, 60, 1].into_iter().take(count).enumerate() {
            if colons && index > 0 {
                rest = rest.strip_prefix(':')?;
            }
            let digits = rest.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
            offset += digits.parse::<i32>().ok()? * unit;
            rest = &rest[2..];
        }
        self.offset = Some(if negative { -offset } else { offset });
        Some(rest)
    }

    fn finish(self, local: impl FnOnce(i64) -> (i32, Rc<str>)) -> Result<Time, Failure> {
        let hour = match self.afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let month_length = if (1..=12).contains(&self.month) {
            let (next_year, next) =
                if self.month == 12 { (self.year + 1, 1) } else { (self.year, self.month + 1) };
            days_of_civil(next_year, next, 1) - days_of_civil(self.year, self.month, 1)
        } else {
            0
        };
        if !(1..=month_length).contains(&self.day) || hour > 23 || self.minute > 59 || self.second > 59 {
            return Err("there is no such date".into());
        }
        let days = match self.day_of_year {
            Some(day @ 1..=366) => days_of_civil(self.year, 1, 1) + day - 1,
            Some(_) => return Err("there is no such date".into()),
            None => days_of_civil(self.year, self.month, self.day),
        };
        let seconds = days * 86_400 + hour * 3600 + self.minute * 60 + self.second;
        let (offset, zone) = match (self.offset, self.zone.as_deref()) {
            (Some(0), _) | (None, Some("UTC")) => (0, "UTC".into()),
            (Some(offset), zone) => (offset, zone.unwrap_or_default().into()),
            // As in Go, the offset of a zone that only has a name is not known.
            (None, Some(zone)) => (0, zone.into()),
            (None, None) => local(seconds),
        };
        let time = Time::utc(seconds - i64::from(offset), self.nanoseconds);
        Ok(time.in_zone(offset, &zone))
    }
}

fn name_of<'t>(names: &[&str], short: bool, text: &'t str) -> Option<(usize, &'t str)> {
    names.iter().enumerate().find_map(|(index, name)| {
        let name = if short { &name[..3] } else { name };
        let found = text.get(..name.len()).filter(|found| found.eq_ignore_ascii_case(name))?;
        Some((index, &text[found.len()..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::time::FIRST_SECOND;

    fn sample() -> Time {
        Time::utc(1_767_323_045, 123_456_789)
    }

    #[test]
    fn formats_as_go_formats() {
        for (layout, expected) in [
            ("2006-01-02T15:04:05Z07:00", "2026-01-02T03:04:05Z"),
            ("Mon, 02 Jan 2006 15:04:05 MST", "Fri, 02 Jan 2026 03:04:05 UTC"),
            ("Monday January _2 3:4:5pm 06", "Friday January  2 3:4:5am 26"),
            ("002 __2 1/2 03PM", "002   2 1/2 03AM"),
            ("05.000 05.999999999 05,00", "05.123 05.123456789 05,12"),
            ("-0700 -07:00 -07 Z0700", "+0000 +00:00 +00 Z"),
            ("January", "January"),
            ("Janet", "Janet"),
            ("é", "é"),
        ] {
            assert_eq!(sample().format(layout), expected, "{layout}");
        }
        let east = sample().in_zone(5 * 3600 + 1800, "IST");
        assert_eq!(east.to_string(), "2026-01-02 08:34:05.123456789 +0530 IST");
        assert_eq!(sample().in_zone(-3600, "").format("MST -07:00 Z07:00"), "-01 -01:00 -01:00");
    }

    #[test]
    fn parses_as_go_parses() {
        let utc = |_| (0, "UTC".into());
        for (layout, text, expected) in [
            ("2006-01-02", "2026-01-02", Some(1_767_312_000)),
            ("2006-01-02T15:04:05Z07:00", "2026-01-02T03:04:05Z", Some(1_767_323_045)),
            ("2006-01-02T15:04:05Z07:00", "2026-01-02T03:04:05+02:00", Some(1_767_315_845)),
            ("Mon Jan _2 15:04:05 2006", "Fri Jan  2 03:04:05 2026", Some(1_767_323_045)),
            ("3:04PM", "12:30AM", Some(days_of_civil(0, 1, 1) * 86_400 + 1800)),
            ("2006 002", "2026 002", Some(1_767_312_000)),
            ("2006-01-02", "2026-02-30", None),
            ("2006-01-02", "2026-13-01", None),
            ("2006-01-02", "2026-01-02x", None),
            ("2006-01-02", "hello", None),
        ] {
            let found = Time::parse(layout, text, utc).ok().map(|time| time.seconds);
            // The year 0 lies before what is kept.
            assert_eq!(found, expected.map(|at: i64| at.max(FIRST_SECOND)), "{text}");
        }
    }
}
