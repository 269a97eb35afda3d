//! Masking secrets in a stream of log bytes, also where a value is cut by the edge of a chunk.

use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};

/// What stands in place of a secret.
pub const MASK: &str = "***";
/// Shorter values, in bytes, are not masked: they would hide ordinary text and tell their length.
pub const MIN_MASKED_BYTES: usize = 4;
/// Shorter lines of a value of several lines, in bytes, are not masked by themselves.
const MIN_LINE_BYTES: usize = 8;

/// Replaces secret values, their base64 forms and their single lines by `***`.
///
/// Holds back only bytes that may be the beginning of a secret, never more than the longest one.
pub struct Mask {
    finder: Option<AhoCorasick>,
    patterns: Vec<Vec<u8>>,
    longest: usize,
    buffer: Vec<u8>,
    /// Bytes at the start of the buffer that belong to a secret whose mask is already written.
    covered: usize,
}

impl Mask {
    /// A mask for these values.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let mut patterns = BTreeSet::new();
        for value in values {
            add_forms(&mut patterns, value.expose_secret());
        }
        let patterns: Vec<Vec<u8>> = patterns.into_iter().collect();
        let finder = (!patterns.is_empty()).then(|| {
            AhoCorasick::new(&patterns)
                .expect("invariant: secrets are far smaller than the automaton's limit")
        });
        let longest = patterns.iter().map(Vec::len).max().unwrap_or(0);
        Self { finder, patterns, longest, buffer: Vec::new(), covered: 0 }
    }

    /// Takes in the next bytes and gives those that can be shown.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.buffer.extend_from_slice(bytes);
        let hold = self.hold();
        self.release(hold)
    }

    /// Gives what was held back: the stream ended, or a reader shall see all there is.
    pub fn finish(&mut self) -> Vec<u8> {
        let shown = self.release(self.buffer.len());
        self.covered = 0;
        shown
    }

    /// Masks one text at once.
    pub fn mask(&self, text: &str) -> String {
        let mut once = Self {
            finder: self.finder.clone(),
            patterns: Vec::new(),
            longest: 0,
            buffer: text.as_bytes().to_vec(),
            covered: 0,
        };
        String::from_utf8_lossy(&once.finish()).into_owned()
    }

    /// Where the first suffix begins that may grow into a secret.
    fn hold(&self) -> usize {
        let end = self.buffer.len();
        let first = end.saturating_sub(self.longest.saturating_sub(1));
        let may_grow = |start: &usize| {
            let suffix = &self.buffer[*start..];
            self.patterns.iter().any(|pattern| pattern.len() > suffix.len() && pattern.starts_with(suffix))
        };
        (first..end).find(may_grow).unwrap_or(end)
    }

    /// Gives the first `hold` bytes, masked, and forgets them.
    fn release(&mut self, hold: usize) -> Vec<u8> {
        let mut shown = Vec::with_capacity(hold);
        let mut done = self.covered;
        for (start, end) in self.secrets() {
            if start >= hold {
                break;
            }
            // Overlapping secrets, and one that goes on from before, share a mask.
            if start >= done && !(start == 0 && self.covered > 0) {
                shown.extend_from_slice(&self.buffer[done..start]);
                shown.extend_from_slice(MASK.as_bytes());
            }
            done = done.max(end);
        }
        if done < hold {
            shown.extend_from_slice(&self.buffer[done..hold]);
        }
        self.covered = done.max(hold) - hold;
        self.buffer.drain(..hold);
        shown
    }

    /// Every occurrence of every pattern, by start.
    fn secrets(&self) -> Vec<(usize, usize)> {
        let Some(finder) = &self.finder else { return Vec::new() };
        let mut found: Vec<(usize, usize)> =
            finder.find_overlapping_iter(&self.buffer).map(|found| (found.start(), found.end())).collect();
        found.sort_unstable();
        found
    }
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask({} patterns)", self.patterns.len())
    }
}

fn add_forms(patterns: &mut BTreeSet<Vec<u8>>, value: &str) {
    let value = value.trim_end_matches(['\r', '\n']);
    if value.len() < MIN_MASKED_BYTES {
        return;
    }
    patterns.insert(value.as_bytes().to_vec());
    for line in value.lines().map(str::trim).filter(|line| line.len() >= MIN_LINE_BYTES) {
        patterns.insert(line.as_bytes().to_vec());
    }
    let escaped = serde_json::Value::from(value).to_string();
    patterns.insert(escaped.as_bytes()[1..escaped.len() - 1].to_vec());
    for before in 0..3 {
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let inner = base64_inside(engine, value.as_bytes(), before);
            if inner.len() >= MIN_MASKED_BYTES {
                patterns.insert(inner.into_bytes());
            }
        }
    }
}

/// The base64 characters that depend on `value` alone when `before` (mod 3) other bytes stand before
/// it and others may follow, as in `user:password`.
fn base64_inside(engine: &impl base64::Engine, value: &[u8], before: usize) -> String {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(value);
    let text = engine.encode(&bytes);
    let first = (before * 8).div_ceil(6);
    let last = bytes.len() * 8 / 6;
    text[first..last].to_owned()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn mask(values: &[&str], chunks: &[&[u8]]) -> String {
        let values: Vec<SecretString> = values.iter().map(|&value| value.into()).collect();
        let mut mask = Mask::new(&values);
        let mut shown = Vec::new();
        for chunk in chunks {
            shown.extend(mask.push(chunk));
        }
        shown.extend(mask.finish());
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn values_are_masked_across_edges_and_other_text_passes_at_once() {
        assert_eq!(mask(&["hunter2"], &[b"a hun", b"ter", b"2 b"]), "a *** b");
        assert_eq!(mask(&["hunter2"], &[b"hunting", b" hunter"]), "hunting hunter");
        let mut live = Mask::new(&["hunter2".into()]);
        assert_eq!(live.push(b"Step 1/3\n"), b"Step 1/3\n");
        assert_eq!(live.push(b"password: h"), b"password: ");
    }

    #[test]
    fn base64_forms_are_masked_at_every_alignment() {
        for user in ["", "u", "us", "usr:"] {
            let encoded = STANDARD.encode(format!("{user}correct horse!"));
            let shown = mask(&["correct horse!"], &[encoded.as_bytes()]);
            assert!(shown.contains("***") && shown.len() <= user.len() * 2 + 7, "{user}: {shown}");
        }
    }

    #[test]
    fn a_secret_that_begins_like_another_leaves_nothing_behind() {
        assert_eq!(mask(&["abcd", "abcdef"], &[b"xabcd", b"efx"]), "x***x");
        assert_eq!(mask(&["abcd", "cdef"], &[b"abcd", b"ef."]), "***.");
    }

    #[test]
    fn lines_and_json_forms_of_a_value_are_masked() {
        let key = "-----BEGIN KEY-----\nMIIBOgIBAAJB\n-----END KEY-----\n";
        assert_eq!(mask(&[key], &[b"12 MIIBOgIBAAJB 34"]), "12 *** 34");
        assert_eq!(mask(&["a\"b\\c"], &[br#"{"p":"a\"b\\c"}"#]), r#"{"p":"***"}"#);
    }

    #[test]
    fn an_endless_repetition_is_held_in_bounded_memory() {
        let mut mask = Mask::new(&["aaaa".into()]);
        let shown: usize = (0..1000).map(|_| mask.push(&[b'a'; 100]).len()).sum();
        assert!(mask.buffer.len() < mask.longest && shown < 100);
        assert_eq!(mask.push(b"b"), b"b");
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing_and_no_value_is_shown(
            secret in "[ab]{4,8}",
            text in "[abc]{0,60}",
            cuts in proptest::collection::vec(0usize..60, 0..8),
        ) {
            let whole = mask(&[&secret], &[text.as_bytes()]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            let parts = mask(&[&secret], &chunks);
            prop_assert!(!whole.contains(&secret));
            prop_assert_eq!(parts, whole);
        }
    }
}
