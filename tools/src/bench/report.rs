//! How results are printed: for a person, or for a program.

use serde::Serialize;

use crate::failure::Failure;
use crate::output::Output;

/// How a result is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// For a person.
    Text,
    /// One object of JSON on one line, for a program.
    Json,
}

impl Format {
    pub(super) fn of(json: bool) -> Self {
        if json { Format::Json } else { Format::Text }
    }
}

/// What was measured: as JSON it is what its fields say, as text what `text` makes of it.
pub(super) trait Report: Serialize {
    fn text(&self) -> String;
}

pub(super) fn print<R: Report>(report: &R, format: Format) -> Result<(), Failure> {
    let mut output = Output::standard();
    match format {
        Format::Text => output.bytes(report.text().as_bytes())?,
        Format::Json => output.json(report)?,
    }
    output.finish()
}

/// A number with commas between groups of three digits.
pub(super) fn grouped(number: u64) -> String {
    with_commas(&number.to_string())
}

/// The same for the nearest whole number.
pub(super) fn rounded(number: f64) -> String {
    with_commas(&format!("{number:.0}"))
}

fn with_commas(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in units of 10^6.
pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// A ratio, 0 where there is nothing to compare with.
pub(super) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_from_the_right() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
