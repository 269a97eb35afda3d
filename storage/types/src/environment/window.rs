//! Windows: times of the week.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Minutes in a day.
const DAY: u32 = 24 * 60;
/// Minutes in a week.
const WEEK: u32 = 7 * DAY;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A time of the week in UTC or at a fixed distance from it, written `mon-fri 09:00-17:00 +08:00`.
/// Without an offset it is UTC. A window whose end is not after its beginning lasts into the next day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    first_day: u32,
    last_day: u32,
    from: u32,
    to: u32,
    offset_minutes: i32,
}

/// A text that is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no window: expected DAYS FROM-TO [OFFSET], e.g. `mon-fri 09:00-17:00 +08:00`")]
pub struct InvalidWindow(String);

impl Window {
    /// Whether `minute` lies in it: minutes since Monday 00:00 UTC.
    pub fn contains(&self, minute: u32) -> bool {
        self.minutes_left(minute).is_some()
    }

    /// How many minutes until it opens; 0 while it is open.
    pub fn opens_in(&self, minute: u32) -> u32 {
        (0..WEEK).find(|ahead| self.contains((minute + ahead) % WEEK)).unwrap_or(WEEK)
    }

    fn minutes_left(&self, minute: u32) -> Option<u32> {
        let week = i32::try_from(WEEK).expect("invariant: a week is short");
        let local = (i32::try_from(minute % WEEK).expect("invariant: a week is short") + self.offset_minutes)
            .rem_euclid(week);
        let local = u32::try_from(local).expect("invariant: a remainder is positive");
        let length = if self.to > self.from { self.to - self.from } else { self.to + DAY - self.from };
        let days = (self.last_day + 7 - self.first_day) % 7;
        (0..=days).find_map(|day| {
            let start = ((self.first_day + day) % 7) * DAY + self.from;
            let into = (local + WEEK - start) % WEEK;
            (into < length).then(|| length - into)
        })
    }
}

fn day(text: &str) -> Option<u32> {
    DAYS.iter().position(|day| *day == text).and_then(|at| u32::try_from(at).ok())
}

fn clock(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let both = hours.len() == 2 && minutes.len() == 2;
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let within = minutes < 60 && (hours < 24 || (hours == 24 && minutes == 0));
    (both && within).then_some(hours * 60 + minutes)
}

fn parse(text: &str) -> Option<Window> {
    let mut parts = text.split_whitespace();
    let (days, times, offset) = (parts.next()?, parts.next()?, parts.next());
    if parts.next().is_some() {
        return None;
    }
    let (first_day, last_day) = match days {
        "daily" => (0, 6),
        days => match days.split_once('-') {
            Some((first, last)) => (day(first)?, day(last)?),
            None => (day(days)?, day(days)?),
        },
    };
    let (from, to) = times.split_once('-')?;
    let offset_minutes = match offset {
        None | Some("UTC" | "utc" | "Z") => 0,
        Some(offset) => {
            let minutes = i32::try_from(clock(offset.trim_start_matches(['+', '-']))?).ok()?;
            match offset.chars().next()? {
                '+' => minutes,
                '-' => -minutes,
                _ => return None,
            }
        }
    };
    let from = clock(from).filter(|from| *from < DAY)?;
    Some(Window { first_day, last_day, from, to: clock(to)?, offset_minutes })
}

impl FromStr for Window {
    type Err = InvalidWindow;

    fn from_str(text: &str) -> Result<Self, InvalidWindow> {
        parse(text).ok_or_else(|| InvalidWindow(text.chars().take(80).collect()))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first_day, last_day, from, to, offset_minutes } = self;
        let name = |day: u32| DAYS[day as usize % 7];
        write!(f, "{}", name(*first_day))?;
        if first_day != last_day {
            write!(f, "-{}", name(*last_day))?;
        }
        write!(f, " {:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)?;
        if *offset_minutes != 0 {
            let sign = if *offset_minutes < 0 { '-' } else { '+' };
            let minutes = offset_minutes.abs();
            write!(f, " {sign}{:02}:{:02}", minutes / 60, minutes % 60)?;
        }
        Ok(())
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: u32, hour: u32, minute: u32) -> u32 {
        day * DAY + hour * 60 + minute
    }

    #[test]
    fn a_window_opens_and_closes() {
        let window: Window = "mon-fri 09:00-17:00".parse().unwrap();
        assert!(window.contains(at(0, 9, 0)) && window.contains(at(4, 16, 59)));
        for closed in [at(0, 8, 59), at(4, 17, 0), at(5, 12, 0), at(6, 12, 0)] {
            assert!(!window.contains(closed), "{closed}");
        }
        assert_eq!(window.opens_in(at(4, 17, 0)), 2 * DAY + 16 * 60);
        assert_eq!(window.opens_in(at(2, 10, 0)), 0);
    }

    #[test]
    fn a_window_may_pass_midnight_and_the_end_of_the_week() {
        let night: Window = "sun 22:00-02:00".parse().unwrap();
        assert!(night.contains(at(6, 23, 0)) && night.contains(at(0, 1, 59)));
        assert!(!night.contains(at(0, 2, 0)) && !night.contains(at(5, 23, 0)));
        let weekend: Window = "sat-mon 10:00-11:00".parse().unwrap();
        assert!([5, 6, 0].iter().all(|day| weekend.contains(at(*day, 10, 30))));
        assert!(!weekend.contains(at(1, 10, 30)));
    }

    #[test]
    fn an_offset_moves_it() {
        let shanghai: Window = "mon 00:00-08:00 +08:00".parse().unwrap();
        assert!(shanghai.contains(at(6, 16, 0)) && !shanghai.contains(at(0, 0, 0)));
    }

    #[test]
    fn windows_are_written_as_they_are_read() {
        for text in ["mon-fri 09:00-17:00", "sat 00:00-24:00", "sun-tue 22:30-02:00 -05:30"] {
            assert_eq!(text.parse::<Window>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "mon",
            "mon 9:00-17:00",
            "mon 09:00",
            "xyz 09:00-10:00",
            "mon 09:00-10:00 08:00",
            "mon 24:00-10:00",
        ] {
            assert!(bad.parse::<Window>().is_err(), "{bad}");
        }
    }
}
