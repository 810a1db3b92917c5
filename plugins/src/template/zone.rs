//! Time zones, from the files of the tz database (tzfile(5)).

use super::time::{self, Time};
use std::rc::Rc;

/// A time zone. The default is UTC.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Zone {
    /// When what begins to hold, in order.
    transitions: Vec<(i64, Period)>,
    /// What holds before the first transition.
    first: Period,
    /// What holds after the last.
    rule: Option<Rule>,
}

/// An offset and its name.
#[derive(Clone, Debug, PartialEq)]
struct Period {
    offset: i32,
    name: Rc<str>,
}

/// Standard time, and summer time between two points of each year, in the notation of TZ (POSIX).
#[derive(Clone, Debug, PartialEq)]
struct Rule {
    standard: Period,
    summer: Option<(Period, Change, Change)>,
}

/// A point of each year: a day, and seconds of local time after its midnight.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Change {
    day: Day,
    seconds: i64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Day {
    /// From 1 to 365; 29 February is never counted.
    WithoutLeap(i64),
    /// From 0 to 365.
    OfYear(i64),
    /// Month, week (5 is the last) and weekday (0 is Sunday).
    Weekday(i64, i64, i64),
}

impl Default for Zone {
    fn default() -> Self {
        Self { transitions: Vec::new(), first: Period { offset: 0, name: "UTC".into() }, rule: None }
    }
}

impl Zone {
    /// Reads a file; `None` when it is not one of version 2 or later, which all are since 2005.
    pub(super) fn parse(file: &[u8]) -> Option<Self> {
        let first = Header::parse(file)?;
        let file = file.get(44 + first.length(4)?..)?;
        let header = Header::parse(file)?;
        let data = file.get(44..)?;
        let [_, _, _, times, types, letters] = header.counts;
        let (at, rest) = data.split_at_checked(times * 8)?;
        let (indices, rest) = rest.split_at_checked(times)?;
        let (records, rest) = rest.split_at_checked(types * 6)?;
        let names = rest.get(..letters)?;
        let mut periods = Vec::new();
        for record in records.chunks_exact(6) {
            let name = names.get(usize::from(record[5])..)?.split(|&b| b == 0).next()?;
            let offset = i32::from_be_bytes(record[..4].try_into().ok()?);
            periods.push(Period { offset: bounded(offset)?, name: std::str::from_utf8(name).ok()?.into() });
        }
        let transitions = at.chunks_exact(8).zip(indices).map(|(at, index)| {
            let period = periods.get(usize::from(*index))?.clone();
            Some((i64::from_be_bytes(at.try_into().ok()?), period))
        });
        let footer = data.get(header.length(8)?..)?;
        let footer = std::str::from_utf8(footer).ok()?.trim_matches('\n');
        Some(Self {
            transitions: transitions.collect::<Option<_>>()?,
            first: periods.first()?.clone(),
            rule: Rule::parse(footer),
        })
    }

    /// A point in time as seen from the zone.
    pub(super) fn localize(&self, time: &Time) -> Time {
        let period = self.period(time.seconds);
        time.in_zone(period.offset, &period.name)
    }

    /// The offset and name that hold when clocks show this (as seconds since 1970).
    pub(super) fn of_local_time(&self, local: i64) -> (i32, Rc<str>) {
        // As in Go: the offset of the guess decides, or else that of the time by the offset.
        let guess = self.period(local).offset;
        let mut period = self.period(local - i64::from(guess));
        if period.offset != guess {
            period = self.period(local - i64::from(period.offset));
        }
        (period.offset, period.name.clone())
    }

    fn period(&self, seconds: i64) -> &Period {
        let after = self.transitions.partition_point(|(at, _)| *at <= seconds);
        match (after.checked_sub(1), &self.rule) {
            (Some(last), Some(rule)) if last + 1 == self.transitions.len() => rule.period(seconds),
            (None, Some(rule)) if self.transitions.is_empty() => rule.period(seconds),
            (Some(last), _) => &self.transitions[last].1,
            (None, _) => &self.first,
        }
    }
}

struct Header {
    /// Of: UTC indicators, standard indicators, leap seconds, transitions, types, letters.
    counts: [usize; 6],
}

impl Header {
    fn parse(file: &[u8]) -> Option<Self> {
        let header = file.get(..44).filter(|header| header.starts_with(b"TZif") && header[4] >= b'2')?;
        let mut counts = [0; 6];
        for (count, bytes) in counts.iter_mut().zip(header[20..].chunks_exact(4)) {
            *count = usize::try_from(u32::from_be_bytes(bytes.try_into().ok()?)).ok()?;
        }
        // No zone comes near it; larger ones could overflow what follows.
        counts.iter().all(|count| *count < 100_000).then_some(Self { counts })
    }

    /// The length of the data with times of so many bytes.
    fn length(&self, width: usize) -> Option<usize> {
        let [utc, standard, leaps, times, types, letters] = self.counts;
        Some(times * (width + 1) + types * 6 + letters + leaps * (width + 4) + standard + utc)
    }
}

/// An offset of more than a day is none.
fn bounded(offset: i32) -> Option<i32> {
    (offset.abs() <= 26 * 3600).then_some(offset)
}

impl Rule {
    /// Reads `CET-1CEST,M3.5.0,M10.5.0/3`.
    fn parse(text: &str) -> Option<Self> {
        let mut reader = RuleReader { text };
        let name = reader.name()?;
        let standard =
            Period { offset: bounded(-i32::try_from(reader.seconds()?).ok()?)?, name: name.into() };
        if reader.text.is_empty() {
            return Some(Self { standard, summer: None });
        }
        let name = reader.name()?;
        let offset = match reader.text.starts_with(',') {
            true => standard.offset + 3600,
            false => bounded(-i32::try_from(reader.seconds()?).ok()?)?,
        };
        let (begin, end) = (reader.change()?, reader.change()?);
        Some(Self { standard, summer: Some((Period { offset, name: name.into() }, begin, end)) })
    }

    fn period(&self, seconds: i64) -> &Period {
        let Some((summer, begin, end)) = &self.summer else { return &self.standard };
        let local = seconds + i64::from(self.standard.offset);
        let (year, ..) = time::civil_of_days(local.div_euclid(86_400));
        // Each change is written in the time that held before it.
        let begin = begin.in_year(year) - i64::from(self.standard.offset);
        let end = end.in_year(year) - i64::from(summer.offset);
        let in_summer =
            if begin < end { (begin..end).contains(&seconds) } else { !(end..begin).contains(&seconds) };
        if in_summer { summer } else { &self.standard }
    }
}

impl Change {
    /// In seconds since 1970, of local time.
    fn in_year(self, year: i64) -> i64 {
        let new_year = time::days_of_civil(year, 1, 1);
        let leap = time::days_of_civil(year, 3, 1) - time::days_of_civil(year, 2, 28) == 2;
        let days = match self.day {
            Day::WithoutLeap(day) => new_year + day - 1 + i64::from(leap && day >= 60),
            Day::OfYear(day) => new_year + day,
            Day::Weekday(month, week, weekday) => {
                let first = time::days_of_civil(year, month, 1);
                let (next_year, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
                let length = time::days_of_civil(next_year, next, 1) - first;
                let day = (weekday - (first + 4)).rem_euclid(7) + 7 * (week - 1);
                first + if day >= length { day - 7 } else { day }
            }
        };
        days * 86_400 + self.seconds
    }
}

struct RuleReader<'t> {
    text: &'t str,
}

impl<'t> RuleReader<'t> {
    /// `CET` or `<+03>`.
    fn name(&mut self) -> Option<&'t str> {
        let (name, rest) = match self.text.strip_prefix('<') {
            Some(rest) => rest.split_once('>')?,
            None => {
                let length = self.text.bytes().take_while(u8::is_ascii_alphabetic).count();
                self.text.split_at(length)
            }
        };
        self.text = rest;
        (!name.is_empty()).then_some(name)
    }

    /// `-1`, `5:30` or `02:00:00`, in seconds.
    fn seconds(&mut self) -> Option<i64> {
        let negative = self.text.starts_with('-');
        self.text = self.text.strip_prefix(['+', '-']).unwrap_or(self.text);
        let mut seconds = self.number()? * 3600;
        for unit in [60, 1] {
            if self.takes(':') {
                seconds += self.number()? * unit;
            }
        }
        Some(if negative { -seconds } else { seconds })
    }

    /// `,M3.5.0/2`
    fn change(&mut self) -> Option<Change> {
        self.takes(',').then_some(())?;
        let day = if self.takes('M') {
            let month = self.number()?;
            self.takes('.').then_some(())?;
            let week = self.number()?;
            self.takes('.').then_some(())?;
            let weekday = self.number()?;
            let valid = (1..=12).contains(&month) && (1..=5).contains(&week) && weekday < 7;
            valid.then_some(Day::Weekday(month, week, weekday))?
        } else if self.takes('J') {
            Day::WithoutLeap(self.number()?)
        } else {
            Day::OfYear(self.number()?)
        };
        let seconds = if self.takes('/') { self.seconds()? } else { 7200 };
        Some(Change { day, seconds })
    }

    fn number(&mut self) -> Option<i64> {
        let length = self.text.bytes().take(3).take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.text.split_at(length);
        self.text = rest;
        number.parse().ok()
    }

    fn takes(&mut self, c: char) -> bool {
        let rest = self.text.strip_prefix(c);
        self.text = rest.unwrap_or(self.text);
        rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file without transitions, as zic writes for zones that never had any.
    pub(in crate::template) fn file(rule: &str) -> Vec<u8> {
        let mut header = b"TZif2".to_vec();
        header.extend([0; 15]);
        for count in [0u32, 0, 0, 0, 1, 4] {
            header.extend(count.to_be_bytes());
        }
        let mut out = header.clone();
        out.extend([0; 6]);
        out.extend(b"LMT\0");
        out.extend(header);
        out.extend([0; 6]);
        out.extend(b"LMT\0");
        out.extend(format!("\n{rule}\n").into_bytes());
        out
    }

    #[test]
    fn summer_time_is_where_the_rule_puts_it() {
        let zone = Zone::parse(&file("CET-1CEST,M3.5.0,M10.5.0/3")).unwrap();
        for (seconds, offset, name) in [
            (1_767_323_045, 3600, "CET"),  // 2026-01-02
            (1_774_745_999, 3600, "CET"),  // 2026-03-29 00:59:59 UTC
            (1_774_746_000, 7200, "CEST"), // one second later
            (1_792_889_999, 7200, "CEST"), // 2026-10-25 00:59:59 UTC
            (1_792_890_000, 3600, "CET"),
        ] {
            assert_eq!(zone.period(seconds), &Period { offset, name: name.into() }, "{seconds}");
        }
        assert_eq!(zone.of_local_time(1_782_900_000).0, 7200);
        let south = Zone::parse(&file("AEST-10AEDT,M10.1.0,M4.1.0/3")).unwrap();
        assert_eq!(&*south.period(1_767_323_045).name, "AEDT");
        let east = Zone::parse(&file("<+0530>-5:30")).unwrap();
        assert_eq!(east.period(0), &Period { offset: 19_800, name: "+0530".into() });
    }

    #[test]
    fn days_of_the_year_count_as_posix_says() {
        let change =
            |day| Change { day, seconds: 0 }.in_year(2024) / 86_400 - time::days_of_civil(2024, 1, 1);
        assert_eq!(change(Day::WithoutLeap(59)), 58);
        assert_eq!(change(Day::WithoutLeap(60)), 60);
        assert_eq!(change(Day::OfYear(60)), 60);
        assert_eq!(change(Day::Weekday(2, 5, 4)), 59);
    }

    #[test]
    fn what_is_no_zone_is_refused() {
        assert_eq!(Zone::parse(b""), None);
        assert_eq!(Zone::parse(b"TZif2"), None);
        let whole = file("UTC0");
        for length in 0..whole.len() - 6 {
            assert_eq!(Zone::parse(&whole[..length]), None);
        }
        for rule in ["X", "CET", "CET-99", "CET-1CEST,M13.5.0,M10.5.0", "CET-1CEST,M3.5.0"] {
            assert_eq!(Zone::parse(&file(rule)).unwrap().rule, None, "{rule}");
        }
    }
}
