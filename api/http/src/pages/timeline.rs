//! When the parts of a run were under way, beside one another. A drawing without style attributes, which the
//! policy forbids; the table beside it says the same in words.

use askama::Template;
use askama::filters::HtmlSafe;
use chrono::{DateTime, TimeDelta, Utc};

use super::texts::Texts;

/// Room of the bars, in the drawing's own units.
const WIDTH: i64 = 680;
/// Names stand left of it.
const NAMES_WIDTH: i64 = 160;
/// What fits there of a name, in characters.
const NAME_CHARS_MAX: usize = 20;
/// Times stand right of it.
const TIMES_WIDTH: i64 = 90;
/// A bar is at least so wide, or nobody sees it.
const BAR_WIDTH_MIN: i64 = 4;
/// From one bar to the next.
const ROW_HEIGHT: i64 = 28;
/// Most bars; what follows is in the table.
const BARS_MAX: usize = 60;

/// A part of a run.
pub(super) struct Period {
    name: String,
    tone: &'static str,
    began: DateTime<Utc>,
    ended: DateTime<Utc>,
}

/// A part as it is drawn.
struct Bar {
    name: String,
    whole_name: String,
    tone: &'static str,
    took: String,
    x: i64,
    y: i64,
    width: i64,
    text_y: i64,
}

/// The drawing.
#[derive(Template)]
#[template(path = "part/timeline.html")]
pub(super) struct Timeline {
    label: &'static str,
    width: i64,
    height: i64,
    bars: Vec<Bar>,
}

impl HtmlSafe for Timeline {}

impl Period {
    pub(super) fn new(
        name: impl Into<String>,
        tone: &'static str,
        began: DateTime<Utc>,
        ended: DateTime<Utc>,
    ) -> Self {
        Self { name: name.into(), tone, began, ended }
    }
}

impl Timeline {
    /// The drawing of `periods` between two times.
    pub(super) fn new(
        t: &'static Texts,
        (began, ended): (DateTime<Utc>, DateTime<Utc>),
        periods: Vec<Period>,
    ) -> Self {
        let whole_ms = (ended - began).num_milliseconds().max(1);
        let place = |at: DateTime<Utc>| part(at - began, whole_ms);
        let bars = periods.into_iter().take(BARS_MAX).zip(0..).map(|(period, row)| {
            let (from, to) = (place(period.began), place(period.ended));
            let x = from.min(WIDTH - BAR_WIDTH_MIN);
            Bar {
                took: t.took(period.ended - period.began),
                name: shown(&period.name),
                whole_name: period.name,
                tone: period.tone,
                x: NAMES_WIDTH + x,
                y: row * ROW_HEIGHT,
                width: (to - x).max(BAR_WIDTH_MIN),
                text_y: row * ROW_HEIGHT + 15,
            }
        });
        let bars: Vec<Bar> = bars.collect();
        let rows = i64::try_from(bars.len()).expect("invariant: at most BARS_MAX");
        let width = NAMES_WIDTH + WIDTH + TIMES_WIDTH;
        Self { label: t.timeline, width, height: rows * ROW_HEIGHT, bars }
    }
}

/// What fits into the drawing of a name.
fn shown(name: &str) -> String {
    let mut shown: String = name.chars().take(NAME_CHARS_MAX).collect();
    if shown.len() < name.len() {
        shown.pop();
        shown.push('…');
    }
    shown
}

/// Where a time lies in the drawing.
fn part(since: TimeDelta, whole_ms: i64) -> i64 {
    since.num_milliseconds().clamp(0, whole_ms).saturating_mul(WIDTH) / whole_ms
}

#[cfg(test)]
mod tests {
    use super::super::texts::ENGLISH;
    use super::*;

    #[test]
    fn bars_lie_within_the_drawing() {
        let at = |seconds: i64| DateTime::from_timestamp(seconds, 0).unwrap();
        let periods = vec![
            Period::new("plan", "off", at(0), at(1)),
            Period::new("<api>", "good", at(5), at(10)),
            Period::new("late".repeat(20), "bad", at(10), at(12)),
        ];
        let drawing = Timeline::new(&ENGLISH, (at(0), at(10)), periods);
        for bar in &drawing.bars {
            let end = bar.x - NAMES_WIDTH + bar.width;
            assert!(bar.x >= NAMES_WIDTH && bar.width >= BAR_WIDTH_MIN && end <= WIDTH, "{}", bar.name);
        }
        assert_eq!((drawing.bars[1].x, drawing.bars[1].width), (NAMES_WIDTH + WIDTH / 2, WIDTH / 2));
        assert_eq!(drawing.bars[2].name, format!("{}…", &"late".repeat(20)[..NAME_CHARS_MAX - 1]));
        assert!(!drawing.to_string().contains("<api>"));
    }
}
