//! Durations as Go writes them: `1h30m`, `1.5s`, `300ms`.

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Nanoseconds of a duration that is not negative.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let invalid = || format!("invalid duration {text:?}: expected a number and a unit such as 30s or 1m30s");
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let scale = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
        let part = scale.and_then(|scale| scaled(number, scale)).ok_or_else(invalid)?;
        total = total.checked_add(part).filter(|&t| i64::try_from(t).is_ok()).ok_or_else(invalid)?;
        rest = tail;
    }
    Ok(total)
}

fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole.checked_mul(scale)?;
    let mut unit = scale;
    for digit in fraction.bytes().take(18) {
        unit /= 10;
        nanos = nanos.checked_add(u64::from(digit - b'0') * unit)?;
    }
    Some(nanos)
}

/// The duration as Go prints it.
pub(crate) fn format(nanos: u64) -> String {
    let fraction = |value: u64, scale: u64, unit: &str| {
        let whole = value / scale;
        let digits = format!("{:0width$}", value % scale, width = scale.ilog10() as usize);
        let digits = digits.trim_end_matches('0');
        if digits.is_empty() { format!("{whole}{unit}") } else { format!("{whole}.{digits}{unit}") }
    };
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => fraction(nanos, 1_000, "µs"),
        1_000_000..1_000_000_000 => fraction(nanos, 1_000_000, "ms"),
        _ => {
            let minutes = nanos / 60_000_000_000;
            let seconds = fraction(nanos % 60_000_000_000, 1_000_000_000, "s");
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print_as_in_go() {
        for (text, nanos, printed) in [
            ("30s", 30_000_000_000, "30s"),
            ("1m30s", 90_000_000_000, "1m30s"),
            ("1.5s", 1_500_000_000, "1.5s"),
            ("2h", 7_200_000_000_000, "2h0m0s"),
            ("250ms", 250_000_000, "250ms"),
            ("0", 0, "0s"),
        ] {
            assert_eq!(parse(text).unwrap(), nanos, "{text}");
            assert_eq!(format(nanos), printed, "{text}");
        }
        for bad in ["", "1", "s", "-1s", "1x", "1..5s", ".s", "9999999999h", "300000h300000h3000000h"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
