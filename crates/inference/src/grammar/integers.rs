//! Bounds of integers as alternatives of digits.

use serde_json::{Map, Value};

use crate::{Refusal, asked::invalid};

/// Most digits of an integer that has no bound on that side.
const MOST_DIGITS: u32 = 15;

/// The least and the most of what a schema's keywords leave.
pub(super) fn bounds(members: &Map<String, Value>, at: &str) -> Result<(Option<i64>, Option<i64>), Refusal> {
    let read = |name: &str, step: i64| match members.get(name) {
        None => Ok(None),
        Some(value) => {
            let whole = value
                .as_i64()
                .or_else(|| value.as_f64().filter(|float| float.fract() == 0.0).map(|float| float as i64));
            let fits = whole.filter(|whole| whole.unsigned_abs() < 10_u64.pow(MOST_DIGITS));
            let problem = || {
                invalid(
                    format!("{at}.{name}"),
                    format!("is {value}; this model can be held to integers of {MOST_DIGITS} digits."),
                )
            };
            fits.map(|whole| Some(whole + step)).ok_or_else(problem)
        }
    };
    let least = read("minimum", 0)?.max(read("exclusiveMinimum", 1)?);
    let most = match (read("maximum", 0)?, read("exclusiveMaximum", -1)?) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    Ok((least, most))
}

/// The integers from `least` to `most`, both included.
pub(super) fn between(least: Option<i64>, most: Option<i64>, at: &str) -> Result<String, Refusal> {
    let end = 10_i64.pow(MOST_DIGITS) - 1;
    let (least, most) = (least.unwrap_or(-end), most.unwrap_or(end));
    if least > most {
        return Err(invalid(at, "has bounds between which there is no integer."));
    }
    let mut parts = Vec::new();
    if least < 0 {
        parts.push(format!("\"-\" ({})", natural(most.min(-1).unsigned_abs(), least.unsigned_abs())));
    }
    if most >= 0 {
        parts.push(natural(least.max(0).unsigned_abs(), most.unsigned_abs()));
    }
    Ok(parts.join(" | "))
}

/// The numbers from `least` to `most`, those with as many digits together.
fn natural(least: u64, most: u64) -> String {
    let mut parts = Vec::new();
    let mut from = least;
    loop {
        let digits = from.to_string();
        // The last number with as many digits.
        let last = 10_u64.pow(u32::try_from(digits.len()).unwrap_or(19)) - 1;
        parts.push(same_length(digits.as_bytes(), last.min(most).to_string().as_bytes()));
        if last >= most {
            return parts.join(" | ");
        }
        from = last + 1;
    }
}

fn same_length(least: &[u8], most: &[u8]) -> String {
    let ([first, lower @ ..], [last, upper @ ..]) = (least, most) else { return String::new() };
    if lower.iter().all(|digit| *digit == b'0') && upper.iter().all(|digit| *digit == b'9') {
        return join(&digit(*first, *last), &any(lower.len()));
    }
    if first == last {
        return join(&digit(*first, *first), &bracketed(&same_length(lower, upper)));
    }
    let mut parts = vec![join(&digit(*first, *first), &bracketed(&same_length(lower, &vec![b'9'; lower.len()])))];
    if first + 1 < *last {
        parts.push(join(&digit(first + 1, last - 1), &any(lower.len())));
    }
    parts.push(join(&digit(*last, *last), &bracketed(&same_length(&vec![b'0'; upper.len()], upper))));
    parts.join(" | ")
}

fn digit(first: u8, last: u8) -> String {
    let (first, last) = (char::from(first), char::from(last));
    if first == last { format!("\"{first}\"") } else { format!("[{first}-{last}]") }
}

fn any(count: usize) -> String {
    if count == 0 { String::new() } else { format!("[0-9]{{{count}}}") }
}

fn bracketed(text: &str) -> String {
    if text.contains('|') { format!("({text})") } else { text.to_owned() }
}

fn join(first: &str, rest: &str) -> String {
    if rest.is_empty() { first.to_owned() } else { format!("{first} {rest}") }
}
