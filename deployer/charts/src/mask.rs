//! Secrets never stand in what people read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};

const MASK: &str = "***";
/// Shorter values, in bytes, would hide ordinary text.
const MIN_MASKED_BYTES: usize = 4;

/// The forms in which a program may repeat a secret.
pub(crate) struct Mask {
    forms: Vec<String>,
}

impl Mask {
    pub(crate) fn new(secrets: &[SecretString]) -> Self {
        let mut forms = Vec::new();
        for secret in secrets.iter().map(SecretString::expose_secret) {
            forms.push(STANDARD.encode(secret));
            forms.push(serde_json::Value::from(secret).to_string().trim_matches('"').to_owned());
            forms.extend(secret.lines().map(|line| line.trim().to_owned()));
            forms.push(secret.to_owned());
        }
        forms.retain(|form| form.len() >= MIN_MASKED_BYTES);
        // The longest first, else a part of it stays.
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self { forms }
    }

    pub(crate) fn apply(&self, text: &str) -> String {
        self.forms.iter().fold(text.to_owned(), |text, form| text.replace(form, MASK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_in_every_form() {
        let mask = Mask::new(&["pa\"ss word".to_owned().into(), "line-one\nline-two".to_owned().into()]);
        let said =
            format!("got pa\"ss word, \"pa\\\"ss word\", {} and line-two", STANDARD.encode("pa\"ss word"));
        assert_eq!(mask.apply(&said), "got ***, \"***\", *** and ***");
    }
}
