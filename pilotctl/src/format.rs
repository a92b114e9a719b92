//! Sizes, durations, times and numbers as the command line writes and reads them.

use std::time::Duration;

use pilot_roles::json::Value;

/// `512 B`, `1.2 KB`, `3.0 MB`, `1.5 GB`, in powers of 1024.
pub(crate) fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
    let amount = bytes as f64;
    if bytes >= 1 << 30 {
        format!("{:.1} GB", amount / f64::from(1u32 << 30))
    } else if bytes >= 1 << 20 {
        format!("{:.1} MB", amount / f64::from(1u32 << 20))
    } else if bytes >= 1 << 10 {
        format!("{:.1} KB", amount / f64::from(1u32 << 10))
    } else {
        format!("{bytes} B")
    }
}

/// `HH:MM:SS`; hours go on past a day.
pub(crate) fn uptime(seconds: u64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `0s`, `950ns`, `12.5µs`, `11.976562ms`, `1.5s`, `1m30s`, `1h0m0s`.
pub(crate) fn duration(value: Duration) -> String {
    let nanos = value.as_nanos();
    let decimal = |unit: u128| {
        let digits = unit.ilog10() as usize;
        let text = format!("{}.{:0digits$}", nanos / unit, nanos % unit);
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    };
    match nanos {
        0 => "0s".into(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(1_000_000)),
        _ => {
            let (hours, minutes) = (value.as_secs() / 3600, value.as_secs() / 60 % 60);
            let rest = value - Duration::from_secs(value.as_secs() / 60 * 60);
            let digits = format!("{}.{:09}", rest.as_secs(), rest.subsec_nanos());
            let seconds = digits.trim_end_matches('0').trim_end_matches('.');
            match (hours, minutes) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// Milliseconds with microsecond resolution, as results carry them.
pub(crate) fn millis(value: Duration) -> f64 {
    f64::from(u32::try_from(value.as_micros()).unwrap_or(u32::MAX)) / 1000.0
}

/// `1h2m`, `1.5s`, `300ms`, or a plain number of seconds. Negative durations are over at once.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let seconds = if unsigned.is_empty() {
        None
    } else if unsigned.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        unsigned.parse::<f64>().ok()
    } else {
        pilot_mio::seconds_of_units(unsigned)
    };
    let duration = Duration::try_from_secs_f64(seconds?).ok()?;
    Some(if negative { Duration::ZERO } else { duration })
}

/// `2006-01-02 15:04:05` on this machine's clock.
pub(crate) fn local_time(unix_seconds: i64) -> String {
    let text = local_rfc3339(unix_seconds.saturating_mul(1_000_000));
    text.get(..19).unwrap_or(&text).replace('T', " ")
}

/// RFC 3339 in whole seconds with this machine's offset.
pub(crate) fn local_rfc3339(unix_micros: i64) -> String {
    let offset = jiff::Timestamp::from_microsecond(unix_micros)
        .map_or(0, |time| jiff::tz::TimeZone::system().to_offset(time).seconds() / 60);
    pilot_roles::clock::rfc3339(unix_micros, offset)
}

/// A number of a result, 0 if it is missing.
pub(crate) fn number(object: &Value, key: &str) -> u64 {
    let value = &object[key];
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters never exceed 2^53")]
    value.as_u64().or_else(|| value.as_f64().map(|n| n as u64)).unwrap_or(0)
}

/// A point in time of a result, in Unix seconds.
pub(crate) fn seconds(object: &Value, key: &str) -> i64 {
    i64::try_from(number(object, key)).unwrap_or(i64::MAX)
}

/// A text of a result, empty if it is missing.
pub(crate) fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_default()
}

/// A truth of a result, false if it is missing.
pub(crate) fn flag(object: &Value, key: &str) -> bool {
    object[key].as_bool().unwrap_or(false)
}

/// The elements of a list in a result; `null` and a missing list have none.
pub(crate) fn list<'a>(object: &'a Value, key: &str) -> &'a [Value] {
    object[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// `"word"` as diagnostics quote it.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_else(|_| format!("{text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_uptimes() {
        let cases =
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KB"), (52_428, "51.2 KB"), (1 << 20, "1.0 MB")];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(size(3 << 30), "3.0 GB");
        assert_eq!(uptime(100 * 3600 + 61), "100:01:01");
    }

    #[test]
    fn durations_are_written_like_this() {
        let cases = [
            (0, "0s"),
            (950, "950ns"),
            (12_500, "12.5µs"),
            (11_976_562, "11.976562ms"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(duration(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn durations_are_read_like_this() {
        let millis = |text| parse_duration(text).map(|d| d.as_millis());
        assert_eq!(millis("1h2m"), Some(3_720_000));
        assert_eq!(millis("1.5s"), Some(1500));
        assert_eq!(millis("300ms"), Some(300));
        assert_eq!(millis("2.5"), Some(2500));
        assert_eq!(millis("0"), Some(0));
        assert_eq!(millis("-1s"), Some(0));
        for bad in ["", "soon", "1x", "s", "1s2", "--", "1.2.3", "1e400s"] {
            assert_eq!(millis(bad), None, "{bad}");
        }
    }
}
