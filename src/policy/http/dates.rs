//! HTTP dates ([RFC 9110 §5.6.7]), read with exact widths and, as caches should, without case ([RFC 9111 §4.2]).
//!
//! [RFC 9110 §5.6.7]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7
//! [RFC 9111 §4.2]: https://www.rfc-editor.org/rfc/rfc9111#section-4.2

use http::header::{HeaderMap, HeaderName};

use crate::clock::Millis;

const DAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];

const LONG_DAYS: [&[u8]; 7] =
    [b"Monday", b"Tuesday", b"Wednesday", b"Thursday", b"Friday", b"Saturday", b"Sunday"];

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// What a field that holds one date says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DateField {
    /// The field isn't there.
    Absent,
    /// No date, or lines that don't agree.
    Invalid,
    /// Seconds since 1970.
    At(i64),
}

impl DateField {
    /// The date, if there is one.
    pub(crate) fn valid(self) -> Option<i64> {
        match self {
            Self::At(date) => Some(date),
            Self::Absent | Self::Invalid => None,
        }
    }
}

/// 2026-01-01, for comparisons of dates with each other alone: a time only tells the century of two-digit years.
pub(super) const ERA: Millis = 1_767_225_600_000;

/// The date of a field that holds one.
///
/// Lines that say the same are one. Lines that differ are no date: which of them was meant nobody knows, and
/// [RFC 9111 §4.2.1] lets a cache take such an `Expires` for stale.
///
/// [RFC 9111 §4.2.1]: https://www.rfc-editor.org/rfc/rfc9111#section-4.2.1
pub(crate) fn one(headers: &HeaderMap, name: &HeaderName, now: Millis) -> DateField {
    let mut lines = headers.get_all(name).iter();
    let Some(first) = lines.next() else { return DateField::Absent };
    if lines.any(|line| line != first) {
        return DateField::Invalid;
    }
    parse(first.as_bytes(), now).map_or(DateField::Invalid, DateField::At)
}

/// Seconds since 1970; negative before. Three forms: IMF-fixdate, rfc850 and asctime.
///
/// The day's name must be one, but isn't compared with the date. A two-digit year is the latest that isn't more
/// than 50 years ahead of `now`. A leap second counts as the one before, the nearest that isn't later.
pub(crate) fn parse(value: &[u8], now: Millis) -> Option<i64> {
    let mut text = Text(value);
    let moment = if text.one_of(&LONG_DAYS).is_some() {
        text.rfc850(now)
    } else {
        text.one_of(&DAYS)?;
        if text.literal(b", ").is_some() { text.imf_fixdate() } else { text.asctime() }
    }?;
    (text.0.is_empty() && moment.is_possible()).then(|| moment.seconds())
}

/// What is left to read.
struct Text<'a>(&'a [u8]);

impl Text<'_> {
    /// `06 Nov 1994 08:49:37 GMT`
    fn imf_fixdate(&mut self) -> Option<Moment> {
        let day = self.digits(2)?;
        self.literal(b" ")?;
        let month = self.month()?;
        self.literal(b" ")?;
        let year = self.digits(4)?;
        self.literal(b" ")?;
        let time = self.time()?;
        self.literal(b" GMT")?;
        Some(Moment { year, month, day, time })
    }

    /// `, 06-Nov-94 08:49:37 GMT`
    fn rfc850(&mut self, now: Millis) -> Option<Moment> {
        self.literal(b", ")?;
        let day = self.digits(2)?;
        self.literal(b"-")?;
        let month = self.month()?;
        self.literal(b"-")?;
        let year = self.digits(2)?;
        self.literal(b" ")?;
        let time = self.time()?;
        self.literal(b" GMT")?;
        Some(Moment { year, month, day, time }.in_century_of(now))
    }

    /// ` Nov  6 08:49:37 1994`
    fn asctime(&mut self) -> Option<Moment> {
        self.literal(b" ")?;
        let month = self.month()?;
        self.literal(b" ")?;
        let day = if self.literal(b" ").is_some() { self.digits(1) } else { self.digits(2) }?;
        self.literal(b" ")?;
        let time = self.time()?;
        self.literal(b" ")?;
        let year = self.digits(4)?;
        Some(Moment { year, month, day, time })
    }

    fn literal(&mut self, text: &[u8]) -> Option<()> {
        let (start, rest) = self.0.split_at_checked(text.len())?;
        if !start.eq_ignore_ascii_case(text) {
            return None;
        }
        self.0 = rest;
        Some(())
    }

    fn one_of(&mut self, names: &[&[u8]]) -> Option<usize> {
        names.iter().position(|name| self.literal(name).is_some())
    }

    fn digits(&mut self, width: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(width)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.0 = rest;
        Some(digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
    }

    /// 1 to 12.
    fn month(&mut self) -> Option<i64> {
        i64::try_from(self.one_of(&MONTHS)?).ok().map(|month| month + 1)
    }

    /// Seconds of the day.
    fn time(&mut self) -> Option<i64> {
        let hour = self.digits(2)?;
        self.literal(b":")?;
        let minute = self.digits(2)?;
        self.literal(b":")?;
        let second = self.digits(2)?;
        (hour < 24 && minute < 60 && second <= 60).then(|| hour * 3600 + minute * 60 + second.min(59))
    }
}

/// A date of the Gregorian calendar and the seconds of its day.
#[derive(Clone, Copy)]
struct Moment {
    year: i64,
    month: i64,
    day: i64,
    time: i64,
}

impl Moment {
    fn is_possible(self) -> bool {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let days = match self.month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        (1..=days).contains(&self.day)
    }

    /// Seconds since 1970.
    fn seconds(self) -> i64 {
        // A year that begins in March ends with the leap day; 400 of them are one cycle of the calendar.
        let (year, month) =
            if self.month > 2 { (self.year, self.month - 3) } else { (self.year - 1, self.month + 9) };
        let (cycle, of_cycle) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = (153 * month + 2) / 5 + self.day - 1;
        let days = cycle * 146_097 + of_cycle * 365 + of_cycle / 4 - of_cycle / 100 + of_year;
        // From 0000-03-01 to 1970-01-01.
        (days - 719_468) * 86_400 + self.time
    }

    /// The latest moment with this two-digit year that isn't more than 50 years after `now`.
    fn in_century_of(self, now: Millis) -> Self {
        let now = i64::try_from(now / 1000).unwrap_or(i64::MAX);
        let at_most = 1970 + now / 31_556_952 + 51;
        let year = at_most - (at_most - self.year).rem_euclid(100);
        let too_late = Self { year: year - 50, ..self }.seconds() > now;
        Self { year: if too_late { year - 100 } else { year }, ..self }
    }
}

#[cfg(test)]
mod tests {
    use http::header::{DATE, EXPIRES};
    use proptest::prelude::*;

    use super::*;
    use crate::policy::testing::headers;

    /// 2026-11-23T22:00:00Z
    const NOW: Millis = 1_795_471_200_000;

    fn read(text: &str) -> Option<i64> {
        parse(text.as_bytes(), NOW)
    }

    #[test]
    fn the_three_forms_say_the_same() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "sun, 06 nOV 1994 08:49:37 gmt",
            "SUNDAY, 06-NOV-94 08:49:37 Gmt",
            "sUN nov  6 08:49:37 1994",
            "Mon, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(read(text), Some(784_111_777), "{text}");
        }
    }

    #[test]
    fn every_part_of_the_calendar_is_read() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
            ("Mon, 01 Jan 0001 00:00:00 GMT", -62_135_596_800),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
            ("Tue, 29 Feb 2000 00:00:00 GMT", 951_782_400),
            ("Thu, 29 Feb 2024 12:00:00 GMT", 1_709_208_000),
            ("Tue Nov 10 08:49:37 2009", 1_257_842_977),
            // A leap second is the nearest second that isn't later (RFC 9111 §4.2).
            ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_799),
        ] {
            assert_eq!(read(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn a_two_digit_year_is_at_most_fifty_years_ahead() {
        let year = |years: i64| years * 31_556_952;
        for (text, expected) in [
            ("Monday, 23-Nov-26 22:00:00 GMT", Some(1_795_471_200)),
            ("Monday, 23-Nov-76 22:00:00 GMT", read("Mon, 23 Nov 2076 22:00:00 GMT")),
            ("Monday, 23-Nov-76 22:00:01 GMT", read("Tue, 23 Nov 1976 22:00:01 GMT")),
            ("Monday, 01-Jan-77 00:00:00 GMT", read("Sat, 01 Jan 1977 00:00:00 GMT")),
            ("Monday, 01-Jan-70 00:00:00 GMT", read("Wed, 01 Jan 2070 00:00:00 GMT")),
            ("Monday, 29-Feb-00 00:00:00 GMT", read("Tue, 29 Feb 2000 00:00:00 GMT")),
            ("Monday, 29-Feb-99 00:00:00 GMT", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        // At the end of a century the years to come are those of the next.
        let late = u64::try_from(year(2090 - 1970)).unwrap() * 1000;
        assert_eq!(parse(b"Monday, 01-Jan-10 00:00:00 GMT", late), read("Wed, 01 Jan 2110 00:00:00 GMT"));
        assert_eq!(parse(b"Monday, 01-Jan-85 00:00:00 GMT", late), read("Mon, 01 Jan 2085 00:00:00 GMT"));
    }

    #[test]
    fn all_else_is_no_date() {
        for text in [
            "",
            "0",
            "-1",
            "1994-11-06T08:49:37Z",
            "784111777",
            "06 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 006 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun, 06 Nov 19940 08:49:37 GMT",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 PST",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 08:49:37 GMT+1",
            "Sun, 06 Nov 1994 08.49.37 GMT",
            "Sun, 06  Nov 1994 08:49:37 GMT",
            "Sun,  06 Nov 1994 08:49:37 GMT",
            "Sun,06 Nov 1994 08:49:37 GMT",
            "Sun 06 Nov 1994 08:49:37 GMT",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            " Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
            "\"Sun, 06 Nov 1994 08:49:37 GMT\"",
            "Xyz, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nob 1994 08:49:37 GMT",
            "Sun, 06 November 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 29 Feb 1900 08:49:37 GMT",
            "Sun, 30 Feb 2000 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sunday, 6-Nov-94 08:49:37 GMT",
            "Sunday 06-Nov-94 08:49:37 GMT",
            "Sunday, 06 Nov 94 08:49:37 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06 Nov 1994 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun Nov 06 08:49:37 94",
            "Sun Nov  6 08:49:37 1994 GMT",
            "Sun Nov   6 08:49:37 1994",
            "Sunday Nov  6 08:49:37 1994",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    /// RFC 9111 §4.2.1: of several values the first, or stale; here those that agree, or stale.
    #[test]
    fn lines_that_differ_are_no_date() {
        let (early, late) = ("Thu, 01 Jan 1970 00:00:01 GMT", "Thu, 01 Jan 1970 00:00:02 GMT");
        for (lines, expected) in [
            (&[][..], DateField::Absent),
            (&[("expires", early)], DateField::At(1)),
            (&[("expires", early), ("expires", early)], DateField::At(1)),
            (&[("expires", early), ("expires", late)], DateField::Invalid),
            (&[("expires", early), ("expires", "0")], DateField::Invalid),
            (&[("expires", "0")], DateField::Invalid),
            (&[("expires", "")], DateField::Invalid),
            (&[("date", early)], DateField::Absent),
        ] {
            assert_eq!(one(&headers(lines), &EXPIRES, NOW), expected, "{lines:?}");
        }
        assert_eq!(one(&headers(&[("date", late)]), &DATE, NOW).valid(), Some(2));
    }

    proptest! {
        #[test]
        fn no_bytes_and_no_clock_panic(
            value in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                "(Sun|Sunday|mon),? [0-9 ]{1,2}[ -][A-Z][a-z]{2}[ -][0-9]{2,4} [0-9]{2}:[0-9]{2}:[0-9]{2} (GMT|[0-9]{4})"
                    .prop_map(String::into_bytes),
            ],
            now in any::<Millis>(),
        ) {
            let _ = parse(&value, now);
        }

        /// What the library for dates makes, is read back.
        #[test]
        fn made_dates_are_read_back(seconds in 0_i64..253_402_300_799) {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds.unsigned_abs());
            prop_assert_eq!(read(&httpdate::fmt_http_date(time)), Some(seconds));
        }
    }
}
