//! Wall-clock time as text: RFC 3339 for JSON, a sortable stamp for file names.

use alloc::{format, string::String};

/// A civil date and time at a fixed offset from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Civil {
    year: i64,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    micros: u32,
}

/// Days-to-civil conversion in the proleptic Gregorian calendar, valid for every `i64` of microseconds.
fn civil(unix_micros: i64, offset_minutes: i32) -> Civil {
    let micros = unix_micros.saturating_add(i64::from(offset_minutes) * 60_000_000);
    let (days, rest) = (micros.div_euclid(86_400_000_000), micros.rem_euclid(86_400_000_000));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let number = |n: i64| u32::try_from(n).unwrap_or(0);
    Civil {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month: number(month),
        day: number(day_of_year - (153 * shifted_month + 2) / 5 + 1),
        hour: number(rest / 3_600_000_000),
        minute: number(rest / 60_000_000 % 60),
        second: number(rest / 1_000_000 % 60),
        micros: number(rest % 1_000_000),
    }
}

/// `2026-04-06T09:08:07Z`, or with `+02:00` when the offset is not zero. Whole seconds.
pub fn rfc3339(unix_micros: i64, offset_minutes: i32) -> String {
    let c = civil(unix_micros, offset_minutes);
    let zone = if offset_minutes == 0 {
        String::from("Z")
    } else {
        let (sign, ahead) = if offset_minutes < 0 { ('-', -offset_minutes) } else { ('+', offset_minutes) };
        format!("{sign}{:02}:{:02}", ahead / 60, ahead % 60)
    };
    format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{zone}", c.year, c.month, c.day, c.hour, c.minute, c.second)
}

/// UTC RFC 3339 with up to six fraction digits, trailing zeros dropped (the form of webhook bodies).
pub fn rfc3339_micros(unix_micros: i64) -> String {
    let whole = rfc3339(unix_micros, 0);
    let fraction = format!("{:06}", civil(unix_micros, 0).micros);
    match fraction.trim_end_matches('0') {
        "" => whole,
        digits => format!("{}.{digits}Z", whole.trim_end_matches('Z')),
    }
}

/// `20260406-090807.065`: sorts by time, used in names of stored files.
pub fn stamp(unix_micros: i64, offset_minutes: i32) -> String {
    let c = civil(unix_micros, offset_minutes);
    format!(
        "{:04}{:02}{:02}-{:02}{:02}{:02}.{:03}",
        c.year,
        c.month,
        c.day,
        c.hour,
        c.minute,
        c.second,
        c.micros / 1000
    )
}

/// Unix seconds of an RFC 3339 time such as `2026-04-06T09:08:07.123+02:00`; `None` if it is not one.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let is = |at: usize, what: u8| text.as_bytes().get(at) == Some(&what);
    if !(is(4, b'-') && is(7, b'-') && (is(10, b'T') || is(10, b't')) && is(13, b':') && is(16, b':')) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let rest = text.get(19..)?;
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    let offset = match zone.as_bytes() {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let minutes = zone.get(1..3)?.parse::<i64>().ok()? * 60 + zone.get(4..6)?.parse::<i64>().ok()?;
            if *sign == b'-' { -minutes } else { minutes }
        }
        _ => return None,
    };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second - offset * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        assert_eq!(rfc3339(0, 0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_775_466_487_065_000, 0), "2026-04-06T09:08:07Z");
        assert_eq!(rfc3339(1_775_466_487_065_000, 120), "2026-04-06T11:08:07+02:00");
        assert_eq!(rfc3339(951_782_400_000_000, 0), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339_micros(1_775_466_487_065_000), "2026-04-06T09:08:07.065Z");
        assert_eq!(stamp(1_775_466_487_065_000, -90), "20260406-073807.065");
    }

    #[test]
    fn parsing_inverts_writing() {
        for unix in [0, 951_782_400, 1_775_466_487, 4_102_444_799] {
            for offset in [0, 120, -330] {
                assert_eq!(parse_rfc3339(&rfc3339(unix * 1_000_000, offset)), Some(unix));
            }
        }
        assert_eq!(parse_rfc3339("2026-04-06T09:08:07.123456789Z"), Some(1_775_466_487));
        for bad in ["", "2026-04-06", "2026-13-06T09:08:07Z", "2026-04-06T09:08:07", "äöüäöüäöüäöüäöü"]
        {
            assert_eq!(parse_rfc3339(bad), None);
        }
    }
}
