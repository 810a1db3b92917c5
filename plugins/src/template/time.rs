//! Points in time, and Go's notation for dates and durations.

use super::failure::Failure;
use std::fmt::{self, Write};
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A point in time, seen from a zone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Time {
    /// Seconds since 1970.
    pub(super) seconds: i64,
    /// Below a thousand million.
    pub(super) nanoseconds: u32,
    /// Where its zone is ahead of UTC, in seconds.
    pub(super) offset: i32,
    /// The short name of its zone; empty when only the offset is known.
    pub(super) zone: Rc<str>,
}

const MONTHS: [&str; 12] = [
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
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Times are kept within the years 1 to 9999, in which a layout can show them.
const FIRST_SECOND: i64 = -62_135_596_800;
const LAST_SECOND: i64 = 253_402_300_799;

/// A date and time of day.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    day_of_year: i64,
    weekday: usize,
    second_of_day: i64,
}

impl Time {
    /// A time in UTC.
    pub(super) fn utc(seconds: i64, nanoseconds: u32) -> Self {
        Self { seconds: seconds.clamp(FIRST_SECOND, LAST_SECOND), nanoseconds, offset: 0, zone: "UTC".into() }
    }

    /// A time of the clock, in UTC.
    pub(crate) fn of_clock(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(since) => Self::utc(i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos()),
            Err(before) => Self::utc(-i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX), 0),
        }
    }

    /// The same point in time in a zone.
    pub(super) fn in_zone(&self, offset: i32, zone: &str) -> Self {
        Self { offset, zone: zone.into(), ..self.clone() }
    }

    /// Some nanoseconds later.
    pub(super) fn add(&self, nanoseconds: i64) -> Self {
        let total = i64::from(self.nanoseconds) + nanoseconds.rem_euclid(1_000_000_000);
        let seconds = self.seconds + nanoseconds.div_euclid(1_000_000_000) + total / 1_000_000_000;
        Self {
            seconds: seconds.clamp(FIRST_SECOND, LAST_SECOND),
            nanoseconds: (total % 1_000_000_000) as u32,
            ..self.clone()
        }
    }

    fn civil(&self) -> Civil {
        let local = self.seconds + i64::from(self.offset);
        let days = local.div_euclid(86_400);
        let (year, month, day) = civil_of_days(days);
        Civil {
            year,
            month,
            day,
            day_of_year: days - days_of_civil(year, 1, 1) + 1,
            weekday: (days + 4).rem_euclid(7) as usize,
            second_of_day: local.rem_euclid(86_400),
        }
    }

    /// The time in a layout of Go: `2006-01-02 15:04:05`.
    pub(crate) fn format(&self, layout: &str) -> String {
        let civil = self.civil();
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
                Part::ZoneName if self.zone.is_empty() => {
                    let colons = if self.offset % 3600 == 0 { Offset::Hours } else { Offset::Minutes };
                    out.write_str(&self.show_offset(colons))
                }
                Part::ZoneName => out.write_str(&self.zone),
                Part::ZoneOffset(_, true) if self.offset == 0 => out.write_char('Z'),
                Part::ZoneOffset(form, _) => out.write_str(&self.show_offset(form)),
                Part::Fraction { digits, trims } => {
                    let fraction = format!("{:09}", self.nanoseconds);
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

    fn show_offset(&self, form: Offset) -> String {
        let sign = if self.offset < 0 { '-' } else { '+' };
        let offset = self.offset.unsigned_abs();
        let (hours, minutes, seconds) = (offset / 3600, offset / 60 % 60, offset % 60);
        match form {
            Offset::Hours => format!("{sign}{hours:02}"),
            Offset::Minutes => format!("{sign}{hours:02}{minutes:02}"),
            Offset::ColonMinutes => format!("{sign}{hours:02}:{minutes:02}"),
            Offset::Seconds => format!("{sign}{hours:02}{minutes:02}{seconds:02}"),
            Offset::ColonSeconds => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
        }
    }

    /// Reads a time in a layout of Go. `local` says how far ahead of UTC a time without an offset is.
    pub(super) fn parse(
        layout: &str,
        text: &str,
        local: impl FnOnce(i64) -> (i32, Rc<str>),
    ) -> Result<Self, Failure> {
        let mut found = Parsed { month: 1, day: 1, ..Parsed::default() };
        let mut rest = text;
        let mut remaining = layout;
        while !remaining.is_empty() {
            let (part, length) = next_part(remaining);
            rest = found
                .take(part, &remaining[..length], rest)
                .ok_or("the text is not a date of this layout")?;
            remaining = &remaining[length..];
        }
        if !rest.is_empty() {
            return Err("the text goes on behind the date".into());
        }
        found.finish(local)
    }
}

/// Go's `2006-01-02 15:04:05.999999999 -0700 MST`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format("2006-01-02 15:04:05.999999999 -0700 MST"))
    }
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

/// Days since 1970-01-01 of a date of the Gregorian calendar.
pub(super) fn days_of_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The reverse of [`days_of_civil`].
pub(super) fn civil_of_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Reads a duration of Go, in nanoseconds: `1h15m30.5s`, `-300ms`.
pub(super) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0i128;
    while !rest.is_empty() || total == 0 {
        let length = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, after) = rest.split_at(length);
        let unit_length = after.bytes().take_while(|b| !b.is_ascii_digit() && *b != b'.').count();
        let (unit, after) = after.split_at(unit_length);
        let scale: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || number.len() > 30 {
            return None;
        }
        total += if whole.is_empty() { 0 } else { whole.parse::<i128>().ok()?.checked_mul(scale)? };
        let fraction = &fraction[..fraction.len().min(15)];
        if !fraction.is_empty() {
            total += fraction.parse::<i128>().ok()? * scale / 10i128.pow(u32::try_from(fraction.len()).ok()?);
        }
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

/// Writes a duration as Go does: `1h15m30.5s`.
pub(super) fn format_duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let total = nanoseconds.unsigned_abs();
    let scaled = |value: u64, unit: u64| {
        let text = format!("{}.{:0width$}", value / unit, value % unit, width = unit.ilog10() as usize);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match total {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{total}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", scaled(total, 1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", scaled(total, 1_000_000)),
        _ => {
            let seconds = scaled(total % 60_000_000_000, 1_000_000_000);
            let minutes = total / 60_000_000_000;
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn the_calendar_is_that_of_gregory() {
        for days in [-719_468, -1, 0, 59, 60, 11_016, 19_782, 2_932_896] {
            let (year, month, day) = civil_of_days(days);
            assert_eq!(days_of_civil(year, month, day), days);
        }
        assert_eq!(civil_of_days(11_016), (2000, 2, 29));
    }

    #[test]
    fn durations_are_those_of_go() {
        for (text, nanoseconds, shown) in [
            ("1h15m30.5s", 4_530_500_000_000, "1h15m30.5s"),
            ("95s", 95_000_000_000, "1m35s"),
            ("-1.5h", -5_400_000_000_000, "-1h30m0s"),
            ("300ms", 300_000_000, "300ms"),
            ("1500us", 1_500_000, "1.5ms"),
            ("2µs", 2_000, "2µs"),
            ("7ns", 7, "7ns"),
            ("0", 0, "0s"),
        ] {
            assert_eq!(parse_duration(text), Some(nanoseconds), "{text}");
            assert_eq!(format_duration(nanoseconds), shown);
        }
        for text in ["", "1", "h", "1x", ".h", "1..5s", "99999999999h", "-"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
