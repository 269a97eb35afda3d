//! What a mouse does besides clicks.

use serde_json::json;

use super::Browser;

impl Browser {
    /// Turns the wheel over the first element that a selector names, by so many CSS pixels: down, or up if they are negative.
    pub fn wheel(&self, selector: &str, by: i32) {
        let over = self.command("POST", "/element", &json!({ "using": "css selector", "value": selector }));
        let turn = json!({
            "type": "scroll", "x": 0, "y": 0, "deltaX": 0, "deltaY": by, "duration": 0, "origin": over,
        });
        let wheel = json!({ "type": "wheel", "id": "wheel", "actions": [turn] });
        self.command("POST", "/actions", &json!({ "actions": [wheel] }));
    }
}
