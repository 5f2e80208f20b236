//! What is filled in where a case can't name it: its path, and dates.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::fmt_http_date;

/// What is filled into the texts of one run of a case:
///
/// - `{path}`: the case's path;
/// - `{+60}`, `{-60}`: the IMF-fixdate so many seconds from the case's beginning;
/// - `{850:+60}`, `{asctime:+60}`: the obsolete forms of it; `{lower:+60}`, `{upper:+60}`: in small and capital letters;
/// - `{+60|GMT|UTC}`: the same with a part replaced.
#[derive(Clone)]
pub(crate) struct Template {
    name: String,
    start: SystemTime,
}

/// The wall clock, by which the origin dates its answers.
#[expect(clippy::disallowed_methods, reason = "the origin is another host with a clock of its own")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

impl Template {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), start: now() }
    }

    /// The case's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The text with everything filled in.
    pub(crate) fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').expect("a closing brace");
            filled += before;
            filled += &self.named(name);
            rest = after;
        }
        filled + rest
    }

    fn named(&self, name: &str) -> String {
        if name == "path" {
            return format!("/{}", self.name);
        }
        let mut parts = name.split('|');
        let (form, offset) = match parts.next().unwrap().split_once(':') {
            Some((form, offset)) => (form, offset),
            None => ("", name.split('|').next().unwrap()),
        };
        let date = self.date(form, offset);
        match (parts.next(), parts.next()) {
            (Some(from), Some(to)) => {
                assert!(date.contains(from), "{date}: no {from}");
                date.replacen(from, to, 1)
            }
            _ => date,
        }
    }

    fn date(&self, form: &str, offset: &str) -> String {
        let offset: i64 = offset.parse().expect("an offset in seconds");
        let seconds = self.start.duration_since(UNIX_EPOCH).unwrap().as_secs();
        let time = UNIX_EPOCH + Duration::from_secs(seconds.checked_add_signed(offset).unwrap());
        let fixed = fmt_http_date(time);
        let [weekday, day, month, year, clock, _] = fixed.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{fixed}");
        };
        match form {
            "" => fixed,
            "lower" => fixed.to_lowercase(),
            "upper" => fixed.to_uppercase(),
            "850" => format!("{}, {day}-{month}-{} {clock} GMT", long(weekday), &year[2..]),
            "asctime" => {
                let day = day.trim_start_matches('0');
                format!("{} {month} {day:>2} {clock} {year}", &weekday[..3])
            }
            _ => panic!("no such form: {form}"),
        }
    }
}

fn long(weekday: &str) -> &'static str {
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
        .into_iter()
        .find(|long| long.starts_with(&weekday[..3]))
        .expect("a weekday")
}
