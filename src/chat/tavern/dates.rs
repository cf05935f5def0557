//! Dates as `SillyTavern` has written them over the years, without a clock: those without a zone are UTC.

use serde_json::Value;

/// The latest moment that can be written: the last second of the year 9999, in seconds since 1970.
pub const LATEST: u64 = 253_402_300_799;

const DAY: u64 = 24 * 60 * 60;

/// Days from the year 0 to 1970, in a calendar whose years begin in March.
const BEFORE_1970: u64 = 719_468;

/// Days of 400 years: after so many the calendar is the same.
const ERA: u64 = 146_097;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// A date in seconds since 1970: milliseconds since then as a number or a text, `2024-01-05T12:30:15.123Z`,
/// `2024-1-5@12h30m15s123ms`, or `January 5, 2024 12:30pm`. `None` where it is none of these.
pub(super) fn read(date: &Value) -> Option<u64> {
    let text = match date {
        Value::Number(number) => return number.as_u64().and_then(of_milliseconds),
        Value::String(text) => text.trim(),
        _ => return None,
    };
    if let Ok(number) = text.parse::<u64>() {
        return of_milliseconds(number);
    }
    let date = if text.starts_with(char::is_alphabetic) { in_words(text) } else { in_numbers(text) };
    date.filter(|&date| date <= LATEST)
}

fn of_milliseconds(number: u64) -> Option<u64> {
    Some(number / 1_000).filter(|&date| date <= LATEST)
}

/// The date as everything since 1.0 reads it.
pub(super) fn write(date: u64) -> String {
    let date = date.min(LATEST);
    let (day, second) = (date / DAY + BEFORE_1970, date % DAY);
    let (era, of_era) = (day / ERA, day % ERA);
    // Leap days come each 4 years, but not each 100, but each 400.
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / (ERA - 1)) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000Z")
}

/// Year, month, day, and what there is of hour, minute and second; then perhaps a zone.
fn in_numbers(text: &str) -> Option<u64> {
    let of_time = text.find(['T', 't', ' ', '@']).unwrap_or(text.len());
    let zone = text[of_time..].find(['+', '-']).map_or(text.len(), |zone| of_time + zone);
    let (text, zone) = text.split_at(zone);
    let numbers = numbers(text)?;
    let &[year, month, day, ref time @ ..] = &numbers[..] else { return None };
    let date = moment(year, month, day, time)?;
    let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
    let ahead = match digits.parse::<u64>() {
        Ok(hours) if digits.len() <= 2 => hours * 3_600,
        Ok(both) if digits.len() == 4 => both / 100 * 3_600 + both % 100 * 60,
        _ if zone.is_empty() => 0,
        _ => return None,
    };
    if zone.starts_with('-') { date.checked_add(ahead) } else { date.checked_sub(ahead) }
}

/// A month by its name, day, year, hour and minute, and which half of the day.
fn in_words(text: &str) -> Option<u64> {
    let text = text.to_lowercase();
    let month = (1..).zip(MONTHS).find(|(_, month)| text.starts_with(month))?.0;
    let numbers = numbers(&text)?;
    let &[day, year, ref time @ ..] = &numbers[..] else { return None };
    let mut time = time.to_vec();
    if let Some(hour) = time.first_mut() {
        if text.ends_with("am") && *hour == 12 {
            *hour = 0;
        } else if text.ends_with("pm") && *hour < 12 {
            *hour += 12;
        }
    }
    moment(year, month, day, &time)
}

/// The numbers of a text, if each is of a size that dates have.
fn numbers(text: &str) -> Option<Vec<u64>> {
    let numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|number| !number.is_empty());
    numbers.map(|number| number.parse().ok()).collect()
}

fn moment(year: u64, month: u64, day: u64, time: &[u64]) -> Option<u64> {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 => 28 + u64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let part = |place: usize, most: u64| {
        let part = time.get(place).copied().unwrap_or(0);
        (part < most).then_some(part)
    };
    let (hour, minute, second) = (part(0, 24)?, part(1, 60)?, part(2, 60)?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=days).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * month + 2) / 5 + day - 1;
    let day = era * ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - BEFORE_1970;
    Some(day * DAY + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_form_that_was_written_is_read() {
        let noon = 1_704_457_815;
        for date in [
            json!("2024-01-05T12:30:15.123Z"),
            json!("2024-01-05T12:30:15Z"),
            json!("2024-01-05T14:30:15+02:00"),
            json!("2024-01-05T14:30:15+0200"),
            json!("2024-01-05T11:30:15-01"),
            json!("2024-1-5@12h30m15s123ms"),
            json!("2024-01-05@12h30m15s"),
            json!("2024-1-5 @12h 30m 15s 123ms"),
            json!(" 2024-01-05 12:30:15 "),
            json!(1_704_457_815_123_u64),
            json!("1704457815123"),
        ] {
            assert_eq!(read(&date), Some(noon), "{date}");
        }
        assert_eq!(read(&json!("2024-01-05")), Some(noon / DAY * DAY));
        for (date, clock) in [
            ("January 5, 2024 12:30pm", "2024-01-05T12:30:00.000Z"),
            ("June 19, 2023 2:20pm", "2023-06-19T14:20:00.000Z"),
            ("February 29, 2024 12:05AM", "2024-02-29T00:05:00.000Z"),
            ("Dec 31, 1999 23:59", "1999-12-31T23:59:00.000Z"),
        ] {
            assert_eq!(read(&json!(date)).map(write).as_deref(), Some(clock), "{date}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for date in [
            json!(null),
            json!(-1),
            json!(1e300),
            json!(u64::MAX),
            json!(""),
            json!("yesterday"),
            json!("May"),
            json!("2023-02-29T00:00:00Z"),
            json!("2024-13-01"),
            json!("2024-01-05T25:00:00Z"),
            json!("1969-12-31T23:59:59Z"),
            json!("1970-01-01T00:00:00+01:00"),
            json!("9999-12-31T23:59:59-01:00"),
            json!("99999999999999999999-01-01"),
            json!("2024-01-05T12:30:15+oh"),
            json!("mayä"),
            json!(["2024-01-05"]),
        ] {
            assert_eq!(read(&date), None, "{date}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(date in 0..=LATEST) {
            prop_assert_eq!(read(&json!(write(date))), Some(date));
        }

        #[test]
        fn no_text_makes_it_panic(text in "(Ma[yä]|[0-9T:+@ -]|\\PC){0,30}") {
            let _ = read(&json!(text));
        }
    }
}
