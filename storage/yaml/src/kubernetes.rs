//! Plain scalars as clients of Kubernetes read them, who still follow YAML 1.1: `yes` is true and
//! `0644` is 420.

use serde_json::Number;

use super::Value;

/// The largest whole number that a double holds without doubt.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// The value of a plain scalar; an error where JSON has no such number.
pub(super) fn plain(text: String) -> Result<Value, String> {
    Ok(match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Value::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        _ => match number(&text)? {
            Some(number) => Value::Number(number),
            None => Value::Text(text),
        },
    })
}

fn number(text: &str) -> Result<Option<Number>, String> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(format!("`{text}` is a number that JSON does not have"));
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Ok(None);
    }
    let digits: String = unsigned.chars().filter(|c| *c != '_').collect();
    let negative = text.starts_with('-');
    if let Some(whole) = whole(&digits, negative) {
        return Ok(Some(whole));
    }
    if !super::scalar::is_float(&digits) {
        return Ok(None);
    }
    let value: f64 = digits.parse().map_err(|_| out_of_range(text))?;
    let value = if negative { -value } else { value };
    if value.fract() == 0.0 && value.abs() <= MAX_EXACT {
        // JSON has one kind of number, and a field that wants a whole one takes no `1.0`.
        return Ok(format!("{value:.0}").parse::<i64>().ok().map(Number::from));
    }
    Number::from_f64(value).map(Some).ok_or_else(|| out_of_range(text))
}

fn whole(digits: &str, negative: bool) -> Option<Number> {
    let (radix, rest) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !super::scalar::is_digits(rest, radix) {
        return None;
    }
    let value = u64::from_str_radix(rest, radix).ok()?;
    if negative {
        return 0_i64.checked_sub_unsigned(value).map(Number::from);
    }
    Some(Number::from(value))
}

fn out_of_range(text: &str) -> String {
    format!("the number {} is out of range", text.chars().take(40).collect::<String>())
}
