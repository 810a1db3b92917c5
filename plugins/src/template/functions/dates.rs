//! Dates. The zone `Local` is that of the root (`/etc/localtime`); other names are looked up in its
//! `/usr/share/zoneinfo`, and one that is not there is taken for UTC, as in sprig.

use super::{Call, Environment, Function, Outcome};
use crate::template::failure::Failure;
use crate::template::time::{Time, duration};
use crate::template::value::Value;
use crate::template::zone::Zone;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(&["now"], "", "the time", (r#"{{ now | date "2006-01-02" }}"#, "2026-01-02"), |call| {
        Ok(now(call.environment).into())
    }),
    Function::new(
        &["date"],
        "LAYOUT DATE",
        "the date (a time, or seconds since 1970) in Go's layout, in the zone `Local`",
        (r#"{{ date "02.01.2006 15:04" 0 }}"#, "01.01.1970 00:00"),
        |call| Ok(in_zone(call, call.value(1), "Local").format(call.text(0)?).into()),
    ),
    Function::new(
        &["dateInZone", "date_in_zone"],
        "LAYOUT DATE ZONE",
        "the same in another zone",
        (r#"{{ dateInZone "2006-01-02T15:04:05Z07:00" now "UTC" }}"#, "2026-01-02T03:04:05Z"),
        |call| Ok(in_zone(call, call.value(1), call.text(2)?).format(call.text(0)?).into()),
    ),
    Function::new(
        &["htmlDate"],
        "DATE",
        "the date as year, month and day",
        ("{{ htmlDate 86400 }}", "1970-01-02"),
        |call| Ok(in_zone(call, call.value(0), "Local").format("2006-01-02").into()),
    ),
    Function::new(
        &["htmlDateInZone"],
        "DATE ZONE",
        "the same in another zone",
        (r#"{{ htmlDateInZone 86400 "UTC" }}"#, "1970-01-02"),
        |call| Ok(in_zone(call, call.value(0), call.text(1)?).format("2006-01-02").into()),
    ),
    Function::new(
        &["dateModify", "date_modify", "mustDateModify", "must_date_modify"],
        "DURATION DATE",
        "the time a duration later",
        (r#"{{ now | dateModify "-1h30m" | date "15:04" }}"#, "01:34"),
        |call| {
            let nanoseconds = duration::parse(call.text(0)?).ok_or("the text is not a duration of Go")?;
            Ok(call.time(1)?.add(nanoseconds).into())
        },
    ),
    Function::new(
        &["toDate", "mustToDate"],
        "LAYOUT TEXT",
        "the time that a text in Go's layout means",
        (r#"{{ toDate "2006-01-02" "2017-12-31" | date "02/01/06" }}"#, "31/12/17"),
        |call| {
            let zone = zone(call.environment, "Local");
            Ok(Time::parse(call.text(0)?, call.text(1)?, |local| zone.of_local_time(local))?.into())
        },
    ),
    Function::new(
        &["unixEpoch"],
        "DATE",
        "seconds since 1970",
        ("{{ now | unixEpoch }}", "1767323045"),
        |call| Ok(call.time(0)?.seconds.to_string().into()),
    ),
    Function::new(
        &["ago"],
        "DATE",
        "how long ago a time was",
        (r#"{{ now | dateModify "-90m" | ago }}"#, "1h30m0s"),
        |call| Ok(duration::format(since(call, call.value(0)) / 1_000_000_000 * 1_000_000_000).into()),
    ),
    Function::new(
        &["duration"],
        "SECONDS",
        "so many seconds as a duration",
        (r#"{{ duration "95" }}"#, "1m35s"),
        |call| {
            let seconds = super::conversion::to_int(call.value(0));
            Ok(duration::format(seconds.saturating_mul(1_000_000_000)).into())
        },
    ),
    Function::new(
        &["durationRound"],
        "DURATION",
        "a duration (or the time since a date) in its greatest unit",
        (r#"{{ durationRound "2h10m5s" }}"#, "2h"),
        duration_round,
    ),
];

fn now(environment: &Environment<'_>) -> Time {
    let time = Time::of_clock(environment.now());
    zone(environment, "Local").localize(&time)
}

fn zone(environment: &Environment<'_>, name: &str) -> Zone {
    environment.zone_file(name).and_then(|file| Zone::parse(&file)).unwrap_or_default()
}

fn in_zone(call: &Call<'_>, date: &Value, name: &str) -> Time {
    let time = to_time(call, date);
    if name == "UTC" || name.is_empty() { Zone::default() } else { zone(call.environment, name) }
        .localize(&time)
}

/// sprig's idea of a date: a time, seconds since 1970, and now for everything else.
fn to_time(call: &Call<'_>, date: &Value) -> Time {
    match date {
        Value::Time(time) => (**time).clone(),
        Value::Int(seconds) => Time::utc(*seconds, 0),
        Value::Float(seconds) => Time::utc(*seconds as i64, 0),
        _ => Time::of_clock(call.environment.now()),
    }
}

/// Nanoseconds since a date.
fn since(call: &Call<'_>, date: &Value) -> i64 {
    let (now, then) = (Time::of_clock(call.environment.now()), to_time(call, date));
    let seconds = now.seconds.saturating_sub(then.seconds);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(i64::from(now.nanoseconds) - i64::from(then.nanoseconds))
}

fn duration_round(call: &Call<'_>) -> Outcome {
    let nanoseconds = match call.value(0) {
        Value::Text(text) => {
            duration::parse(text).ok_or_else(|| Failure::from("the text is not a duration of Go"))?
        }
        Value::Int(nanoseconds) => *nanoseconds,
        date @ Value::Time(_) => since(call, date),
        _ => 0,
    };
    let seconds = nanoseconds.unsigned_abs() / 1_000_000_000;
    const DAY: u64 = 86_400;
    for (unit, name) in [(365 * DAY, "y"), (30 * DAY, "m"), (DAY, "d"), (3600, "h"), (60, "m"), (1, "s")] {
        if seconds >= unit {
            return Ok(format!("{}{name}", seconds / unit).into());
        }
    }
    Ok("0s".into())
}
