//! JSON numbers in the form of RFC 8785 §3.2.2.3, where a double holds them exactly.

use ryu_js::Buffer;

/// Writes the canonical form of the number that `text` begins with, and gives what follows it. `None` if
/// there is no number, or its double denotes another decimal, or it is a negative zero, or only one of text
/// and form is written as an integer: readers with types tell `5.0` from `5`.
pub(super) fn canonical<'a>(text: &'a str, out: &mut Vec<u8>) -> Option<&'a str> {
    let (number, rest) = split(text)?;
    let double = number.text.parse::<f64>().ok().filter(|double| double.is_finite())?;
    let mut buffer = Buffer::new();
    let shortest = buffer.format_finite(double);
    let (held, _) = split(shortest)?;
    // The zero that ryu-js writes has no sign, so a negative zero differs from it here.
    let exact = number.negative == held.negative
        && number.decimal_point() == held.decimal_point()
        && number.significant().eq(held.significant())
        && is_integer(number.text) == is_integer(shortest);
    exact.then(|| {
        out.extend_from_slice(shortest.as_bytes());
        rest
    })
}

/// Whether a number has neither fraction nor exponent.
fn is_integer(number: &str) -> bool {
    !number.contains(['.', 'e', 'E'])
}

/// A number taken apart.
struct Number<'a> {
    text: &'a str,
    negative: bool,
    integer: &'a str,
    fraction: &'a str,
    exponent: i64,
}

/// Splits off the number that `text` begins with (RFC 8259 §6).
fn split(text: &str) -> Option<(Number<'_>, &str)> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (integer, mut rest) = digits(unsigned)?;
    if integer.len() > 1 && integer.starts_with('0') {
        return None;
    }
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        (fraction, rest) = digits(after)?;
    }
    let mut exponent = 0;
    if let Some(after) = rest.strip_prefix(['e', 'E']) {
        let negative = after.starts_with('-');
        let (magnitude, end) = digits(after.strip_prefix(['+', '-']).unwrap_or(after))?;
        // Saturates: a text can't have digits enough to make up for an exponent as large as that.
        let magnitude = magnitude.bytes().fold(0_i64, |value, digit| {
            value.saturating_mul(10).saturating_add(i64::from(digit - b'0')).min(i64::MAX / 4)
        });
        (exponent, rest) = (if negative { -magnitude } else { magnitude }, end);
    }
    let text = text.get(..text.len().checked_sub(rest.len())?)?;
    Some((Number { text, negative: text.starts_with('-'), integer, fraction, exponent }, rest))
}

/// One digit or more, and what follows.
fn digits(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).filter(|(digits, _)| !digits.is_empty())
}

impl Number<'_> {
    /// The digits from the first to the last that isn't zero.
    fn significant(&self) -> impl Iterator<Item = u8> {
        let (integer, fraction) = match self.fraction.trim_end_matches('0') {
            "" => (self.integer.trim_end_matches('0'), ""),
            fraction => (self.integer, fraction),
        };
        integer.bytes().chain(fraction.bytes()).skip_while(|digit| *digit == b'0')
    }

    /// Where the decimal point stands, counted from the first significant digit; `None` for zero.
    fn decimal_point(&self) -> Option<i64> {
        let zeros = self.integer.bytes().chain(self.fraction.bytes()).position(|digit| digit != b'0')?;
        let point = i64::try_from(self.integer.len()).ok()? - i64::try_from(zeros).ok()?;
        point.checked_add(self.exponent)
    }
}
