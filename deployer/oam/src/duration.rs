//! Durations as operators write them: `30s`, `1h30m`, `500ms`.

use std::time::Duration;

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a duration")]
pub struct InvalidDuration {
    /// What was given, cut to 80 characters.
    pub found: String,
}

/// Longer words first: `m` begins `ms` and `min`.
const UNITS: [(&str, u64); 7] = [
    ("ms", 1),
    ("min", 60_000),
    ("m", 60_000),
    ("s", 1000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];

/// Reads numbers with a unit each: `ms`, `s`, `m` or `min`, `h`, `d`, `w`. Never zero.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let wrong = || InvalidDuration { found: text.chars().take(80).collect() };
    let mut rest = text;
    let mut total_ms = 0_u64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..end].parse().map_err(|_| wrong())?;
        let (unit, unit_ms) =
            UNITS.iter().find(|(unit, _)| rest[end..].starts_with(unit)).ok_or_else(wrong)?;
        let part_ms = number.checked_mul(*unit_ms).ok_or_else(wrong)?;
        total_ms = total_ms.checked_add(part_ms).ok_or_else(wrong)?;
        rest = &rest[end + unit.len()..];
    }
    if total_ms == 0 { Err(wrong()) } else { Ok(Duration::from_millis(total_ms)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_sums_of_numbers_with_units() {
        for (text, ms) in
            [("30s", 30_000), ("1h30m", 5_400_000), ("500ms", 500), ("1min", 60_000), ("2m15s", 135_000)]
        {
            assert_eq!(parse(text).unwrap().as_millis(), ms, "{text}");
        }
        for wrong in [
            "",
            "10",
            "s",
            "-1s",
            "1.5h",
            "0s",
            "1 s",
            "99999999999999999999s",
            "18446744073709551615w",
            "1x",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
