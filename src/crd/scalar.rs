//! What a scalar without quotes means: as the YAML reader of kubectl and of the API server decides it, which follows
//! YAML 1.1 where that differs from YAML 1.2.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Number;

/// The meaning of a scalar without quotes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Number(Number),
    Text,
    /// Infinity or not a number, which no manifest can hold.
    NotFinite,
}

static FLOAT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$").expect("the pattern is well-formed")
});

/// Resolves a scalar without quotes.
pub(super) fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Scalar::NotFinite,
        _ => {}
    }
    if matches!(text.strip_prefix(['+', '-']).unwrap_or(text), ".inf" | ".Inf" | ".INF") {
        return Scalar::NotFinite;
    }
    match text.as_bytes().first() {
        Some(b'.' | b'+' | b'-' | b'0'..=b'9') => number(&text.replace('_', "")),
        _ => Scalar::Text,
    }
}

/// What a number with a leading zero is to Kubernetes (octal) and to YAML 1.2 (decimal), where these differ.
pub(super) fn octal_or_decimal(text: &str) -> Option<(i128, i64)> {
    let plain = text.replace('_', "");
    let decimal = plain.parse().ok()?;
    let octal = integer(&plain)?;
    (octal != i128::from(decimal)).then_some((octal, decimal))
}

fn number(plain: &str) -> Scalar {
    let Some(value) = integer(plain) else { return float(plain) };
    if let Ok(value) = i64::try_from(value) {
        return Scalar::Number(value.into());
    }
    u64::try_from(value).map_or_else(|_| float(plain), |value| Scalar::Number(value.into()))
}

/// An integer in the notations of Go: decimal, `0x`, `0o`, `0b`, and octal with a leading zero.
fn integer(plain: &str) -> Option<i128> {
    let (negative, digits) = match plain.as_bytes().first()? {
        b'-' => (true, &plain[1..]),
        b'+' => (false, &plain[1..]),
        _ => (false, plain),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    Some(if negative { -value } else { value })
}

/// A float; one without a fraction is an integer once it is JSON.
fn float(plain: &str) -> Scalar {
    const EXACT: f64 = 1e15;
    if !FLOAT.is_match(plain) {
        return Scalar::Text;
    }
    match plain.parse::<f64>() {
        Ok(value) if value.fract() == 0.0 && value.abs() < EXACT => Scalar::Number(Number::from(value as i64)),
        Ok(value) => Number::from_f64(value).map_or(Scalar::Text, Scalar::Number),
        Err(_) => Scalar::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(value: i64) -> Scalar {
        Scalar::Number(Number::from(value))
    }

    #[test]
    fn yes_on_and_y_are_booleans() {
        for text in ["y", "Y", "yes", "YES", "on", "On", "true", "True"] {
            assert_eq!(resolve(text), Scalar::Bool(true), "{text}");
        }
        for text in ["n", "N", "no", "off", "OFF", "false"] {
            assert_eq!(resolve(text), Scalar::Bool(false), "{text}");
        }
        for text in ["yEs", "tRUE", "oN", "nope", "yy"] {
            assert_eq!(resolve(text), Scalar::Text, "{text}");
        }
    }

    #[test]
    fn numbers_are_those_of_kubectl() {
        for (text, value) in [
            ("0", 0),
            ("-15", -15),
            ("+7", 7),
            ("0x1F", 31),
            ("0o17", 15),
            ("0b101", 5),
            ("1_000", 1000),
            ("1e3", 1000),
            ("08", 8),
            ("007", 7),
            ("30.0", 30),
        ] {
            assert_eq!(resolve(text), int(value), "{text}");
        }
        assert_eq!(resolve(".5"), Scalar::Number(Number::from_f64(0.5).unwrap()));
        assert_eq!(resolve("18446744073709551615"), Scalar::Number(Number::from(u64::MAX)));
    }

    #[test]
    fn what_only_looks_like_a_number_is_text() {
        for text in ["1.2.3", "0x", "12:30:45", "2026-11-25", "-", "+-1", "--1", "0:v:0", "1e999", "10.0.0.5", "-hide"]
        {
            assert_eq!(resolve(text), Scalar::Text, "{text}");
        }
    }

    #[test]
    fn a_leading_zero_that_changes_the_value_is_told_apart() {
        assert_eq!(resolve("010"), int(8));
        assert_eq!(octal_or_decimal("010"), Some((8, 10)));
        assert_eq!(octal_or_decimal("-0_17"), Some((-15, -17)));
        for same in ["0", "10", "007", "08", "0o10", "0x10", "1e3", "a"] {
            assert_eq!(octal_or_decimal(same), None, "{same}");
        }
    }

    #[test]
    fn nothing_and_tilde_are_null() {
        for text in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(resolve(text), Scalar::Null, "{text}");
        }
    }

    #[test]
    fn infinity_is_no_number() {
        for text in [".inf", "-.INF", "+.Inf", ".nan"] {
            assert_eq!(resolve(text), Scalar::NotFinite, "{text}");
        }
    }
}
