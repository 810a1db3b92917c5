//! Points in time, and the calendar.

pub(super) mod duration;
mod layout;

use super::failure::Failure;
use super::value::Value;
use std::fmt;
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

    /// What Go's methods without arguments give: `now.Year`.
    pub(super) fn field(&self, name: &str) -> Option<Value> {
        let civil = self.civil();
        Some(match name {
            "Year" => civil.year.into(),
            "Month" => layout::MONTHS[(civil.month - 1) as usize].into(),
            "Day" => civil.day.into(),
            "YearDay" => civil.day_of_year.into(),
            "Weekday" => layout::WEEKDAYS[civil.weekday].into(),
            "Hour" => (civil.second_of_day / 3600).into(),
            "Minute" => (civil.second_of_day / 60 % 60).into(),
            "Second" => (civil.second_of_day % 60).into(),
            "Nanosecond" => i64::from(self.nanoseconds).into(),
            "Unix" => self.seconds.into(),
            _ => return None,
        })
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
        layout::format(self, layout)
    }

    /// Reads a time in a layout of Go. `local` says the offset and the name of the zone for a time without an
    /// offset, which is given as if it were UTC.
    pub(super) fn parse(
        layout: &str,
        text: &str,
        local: impl FnOnce(i64) -> (i32, Rc<str>),
    ) -> Result<Self, Failure> {
        layout::parse(layout, text, local)
    }
}

/// Go's `2006-01-02 15:04:05.999999999 -0700 MST`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format("2006-01-02 15:04:05.999999999 -0700 MST"))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_is_that_of_gregory() {
        for days in [-719_468, -1, 0, 59, 60, 11_016, 19_782, 2_932_896] {
            let (year, month, day) = civil_of_days(days);
            assert_eq!(days_of_civil(year, month, day), days);
        }
        assert_eq!(civil_of_days(11_016), (2000, 2, 29));
    }
}
