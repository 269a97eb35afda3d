//! Plain scalars by the core schema (YAML 1.2.2, 10.3.2).

use serde_json::Number;

use super::Value;

/// The value of a plain scalar; an error where JSON has no such number.
pub(super) fn plain(text: String) -> Result<Value, String> {
    Ok(match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => match number(&text)? {
            Some(number) => Value::Number(number),
            None => Value::Text(text),
        },
    })
}

fn number(text: &str) -> Result<Option<Number>, String> {
    let out_of_range = || format!("the number {} is out of range", text.chars().take(40).collect::<String>());
    let based = |digits: &str, radix| i64::from_str_radix(digits, radix).map_err(|_| out_of_range());
    if let Some(digits) = text.strip_prefix("0o").filter(|d| is_digits(d, 8)) {
        return based(digits, 8).map(|value| Some(value.into()));
    }
    if let Some(digits) = text.strip_prefix("0x").filter(|d| is_digits(d, 16)) {
        return based(digits, 16).map(|value| Some(value.into()));
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if is_digits(unsigned, 10) {
        return text.parse::<i64>().map(|value| Some(value.into())).map_err(|_| out_of_range());
    }
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(format!("`{text}` is a number that JSON does not have"));
    }
    if !is_float(unsigned) {
        return Ok(None);
    }
    let value = text.parse::<f64>().ok().and_then(Number::from_f64);
    value.map(Some).ok_or_else(out_of_range)
}

pub(super) fn is_digits(text: &str, radix: u32) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_digit(radix))
}

/// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
pub(super) fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let exponent_valid =
        exponent.is_none_or(|digits| is_digits(digits.strip_prefix(['-', '+']).unwrap_or(digits), 10));
    let mantissa_valid = match mantissa.split_once('.') {
        Some(("", fraction)) => is_digits(fraction, 10),
        Some((whole, fraction)) => is_digits(whole, 10) && (fraction.is_empty() || is_digits(fraction, 10)),
        None => is_digits(mantissa, 10),
    };
    exponent_valid && mantissa_valid
}
