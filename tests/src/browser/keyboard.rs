//! Journeys by keys alone.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::Browser;
use crate::wait;

/// A page with more stops than these is no page for a keyboard.
const MAX_STOPS: usize = 100;
const SETTLES_WITHIN: Duration = Duration::from_secs(45);
/// Left Shift and left Control, as WebDriver writes keys that are no characters.
const SHIFT: char = '\u{e008}';
const CONTROL: char = '\u{e009}';

/// A key that is no character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// To the next stop.
    Tab,
    /// With Shift: to the stop before.
    BackTab,
    /// Follows, sends.
    Enter,
    /// Presses buttons, ticks boxes.
    Space,
    /// Closes.
    Escape,
    /// Up.
    ArrowUp,
    /// Down.
    ArrowDown,
    /// To the left.
    ArrowLeft,
    /// To the right.
    ArrowRight,
    /// To the first.
    Home,
    /// To the last.
    End,
}

/// Where keys go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Focus {
    /// Role, as assistive technology says it.
    pub role: String,
    /// Accessible name.
    pub name: String,
}

impl fmt::Display for Focus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} «{}»", self.role, self.name)
    }
}

impl Key {
    /// What is held while it is pressed, and the key itself (<https://www.w3.org/TR/webdriver2/#keyboard-actions>).
    fn codes(self) -> (Option<char>, char) {
        match self {
            Self::Tab => (None, '\u{e004}'),
            Self::BackTab => (Some(SHIFT), '\u{e004}'),
            Self::Enter => (None, '\u{e007}'),
            Self::Space => (None, ' '),
            Self::Escape => (None, '\u{e00c}'),
            Self::ArrowLeft => (None, '\u{e012}'),
            Self::ArrowUp => (None, '\u{e013}'),
            Self::ArrowRight => (None, '\u{e014}'),
            Self::ArrowDown => (None, '\u{e015}'),
            Self::End => (None, '\u{e010}'),
            Self::Home => (None, '\u{e011}'),
        }
    }
}

impl Browser {
    /// Presses and lets go of a key.
    pub fn press(&self, key: Key) {
        let (held, key) = key.codes();
        let mut strokes = stroke(key).to_vec();
        if let Some(held) = held {
            let [down, up] = stroke(held);
            strokes.insert(0, down);
            strokes.push(up);
        }
        self.strokes(strokes);
    }

    /// Types a text, wherever keys go.
    pub fn write(&self, text: &str) {
        self.strokes(text.chars().flat_map(stroke).collect());
    }

    /// Presses Control and V: what was copied comes to where keys go.
    pub fn paste(&self) {
        let ([held, released], [down, up]) = (stroke(CONTROL), stroke('v'));
        self.strokes(vec![held, down, up, released]);
    }

    /// Where keys go now.
    pub fn focused(&self) -> Focus {
        wait::until("where keys go", SETTLES_WITHIN, || {
            let (role, name) = self.active()?.role_and_name()?;
            Ok::<_, String>(Focus { role, name })
        })
    }

    /// Presses Tab until keys go to this element. Panics with the stops on the way if it is none of them.
    pub fn tab_to(&self, role: &str, name: &str) {
        let mut stops: Vec<String> = Vec::new();
        while stops.len() < MAX_STOPS {
            self.press(Key::Tab);
            let stop = self.focused();
            if stop.role == role && stop.name == name {
                return;
            }
            stops.push(stop.to_string());
        }
        panic!(
            "Tab never comes to the {role} «{name}» of {}, but to:\n{}",
            self.location(),
            stops.join("\n")
        );
    }

    fn strokes(&self, strokes: Vec<Value>) {
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": strokes });
        self.command("POST", "/actions", &json!({ "actions": [keyboard] }));
    }
}

fn stroke(key: char) -> [Value; 2] {
    let key = key.to_string();
    [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
}
