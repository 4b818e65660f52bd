//! Exact decimal numbers, for money.

use std::{borrow::Cow, cmp::Ordering, fmt, iter::Sum, ops, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Visitor};

/// A decimal number as it is written: `0.00893` is exactly that, and a hundred of them are exactly `0.893`.
///
/// On the wire it is a JSON number (behaviour rule PRO-7). Reading is exact for up to 15 significant digits, which prices have;
/// [`fmt::Display`] writes no more digits than it needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// The number times ten to the power of `scale`, without zeros at the end.
    units: i64,
    scale: u8,
}

/// Most digits after the point.
const SCALE_MAX: u8 = 18;

impl Decimal {
    /// `units` divided by ten to the power of `scale`, which is at most 18.
    pub const fn new(units: i64, scale: u8) -> Self {
        let mut this = Self { units, scale: if scale > SCALE_MAX { SCALE_MAX } else { scale } };
        while this.scale > 0 && this.units % 10 == 0 {
            this.units /= 10;
            this.scale -= 1;
        }
        this
    }

    /// The nearest binary number, for arithmetic that need not be exact.
    #[expect(clippy::cast_precision_loss, reason = "that is what this is for")]
    pub fn to_f64(self) -> f64 {
        // The parser rounds once and right; a division would round twice.
        self.to_string().parse().unwrap_or(self.units as f64)
    }

    /// The number to `places` places after the point, half of the last one rounded up.
    pub fn round(self, places: u8) -> Self {
        if self.scale <= places {
            return self;
        }
        let cut = 10_i128.pow(u32::from(self.scale - places));
        let half = if self.units < 0 { -(cut / 2) } else { cut / 2 };
        Self::of((i128::from(self.units) + half) / cut, places)
    }

    /// The number with no zeros at its end. What is too large for the digits there are loses its last ones.
    fn of(mut units: i128, mut scale: u8) -> Self {
        while scale > 0 && (units % 10 == 0 || i64::try_from(units).is_err()) {
            units /= 10;
            scale -= 1;
        }
        let largest = if units < 0 { i64::MIN } else { i64::MAX };
        Self { units: i64::try_from(units).unwrap_or(largest), scale }
    }

    /// Both numbers' units at the larger scale of the two.
    fn aligned(self, other: Self) -> (i128, i128, u8) {
        let scale = self.scale.max(other.scale);
        let raised = |one: Self| i128::from(one.units) * 10_i128.pow(u32::from(scale - one.scale));
        (raised(self), raised(other), scale)
    }
}

impl ops::Add for Decimal {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let (one, two, scale) = self.aligned(other);
        Self::of(one + two, scale)
    }
}

impl ops::Mul<u64> for Decimal {
    type Output = Self;
    fn mul(self, times: u64) -> Self {
        Self::of(i128::from(self.units) * i128::from(times), self.scale)
    }
}

impl Sum for Decimal {
    fn sum<I: Iterator<Item = Self>>(numbers: I) -> Self {
        numbers.fold(Self::default(), ops::Add::add)
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let (one, two, _) = self.aligned(*other);
        one.cmp(&two)
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<f64> for Decimal {
    /// The shortest decimal that is read back as this number: `0.00893` for what is written `0.00893`. 0 for what is no number.
    fn from(number: f64) -> Self {
        number.to_string().parse().unwrap_or_default()
    }
}

impl From<u64> for Decimal {
    fn from(number: u64) -> Self {
        Self::of(number.into(), 0)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let power = 10_u64.pow(u32::from(self.scale));
        let (whole, rest) = (self.units.unsigned_abs() / power, self.units.unsigned_abs() % power);
        let mut text = whole.to_string();
        let places = f.precision().unwrap_or(usize::from(self.scale));
        if places > 0 {
            let scale = usize::from(self.scale);
            let digits = if scale == 0 { String::new() } else { format!("{rest:0scale$}") };
            text = format!("{text}.{digits:0<places$.places$}");
        }
        f.pad_integral(self.units >= 0, "", &text)
    }
}

/// The text is no decimal number, or one with too many digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotADecimal;

impl fmt::Display for NotADecimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("that is no decimal number, such as 0.00893")
    }
}

impl std::error::Error for NotADecimal {}

impl FromStr for Decimal {
    type Err = NotADecimal;
    fn from_str(text: &str) -> Result<Self, NotADecimal> {
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
        let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(rest) || (digits.ends_with('.')) {
            return Err(NotADecimal);
        }
        let rest = &rest[..rest.len().min(usize::from(SCALE_MAX))];
        let units: i128 = format!("{whole}{rest}").parse().map_err(|_| NotADecimal)?;
        let scale = u8::try_from(rest.len()).map_err(|_| NotADecimal)?;
        Ok(Self::of(sign * units, scale))
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.to_f64())
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Decimal;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal number")
            }
            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Decimal, E> {
                number.to_string().parse().map_err(E::custom)
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Decimal, E> {
                Ok(number.into())
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Decimal, E> {
                Ok(Decimal::new(number, 0))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Decimal, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Number)
    }
}

impl JsonSchema for Decimal {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "decimal".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "format": "double" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Decimal {
        serde_json::from_str(text).expect("a number")
    }

    #[test]
    fn prices_are_what_is_written_pro_7() {
        for text in ["0.00893", "6", "2.99", "35.920000", "0.00743999984115362", "23.92", "0", "-1.5"] {
            let number = read(text);
            assert_eq!(number, text.parse().expect("a number"), "{text}");
            assert_eq!(number.to_f64().to_string(), number.to_string(), "{text}");
        }
        assert_eq!(serde_json::to_string(&read("0.00893")).expect("a number"), "0.00893");
        assert_eq!(serde_json::to_string(&read("6")).expect("a number"), "6.0");
    }

    #[test]
    fn sums_and_products_are_exact() {
        assert_eq!((read("0.1") + read("0.2")).to_string(), "0.3");
        assert_eq!((read("0.00893") * 100).to_string(), "0.893");
        assert_eq!([read("2.99"), read("0.01"), read("7")].into_iter().sum::<Decimal>().to_string(), "10");
        assert!(read("0.00893") < read("0.0119") && read("10") > read("9.99"));
    }

    #[test]
    fn it_is_shown_with_as_many_places_as_one_asks_for() {
        let price = read("12.5");
        assert_eq!((format!("{price:.2}"), format!("{:.2}", read("6"))), ("12.50".to_owned(), "6.00".to_owned()));
        assert_eq!(
            (format!("{:.2}", read("1.005").round(2)), read("-1.005").round(2).to_string()),
            ("1.01".to_owned(), "-1.01".to_owned())
        );
        assert_eq!((read("12.5").round(2), format!("{price:>6}")), (price, "  12.5".to_owned()));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for bad in ["", "-", ".5", "5.", "1e3", "+1", "1,5", "NaN"] {
            assert_eq!(bad.parse::<Decimal>(), Err(NotADecimal), "{bad:?}");
        }
    }
}
