//! "Did you mean": the known words nearest to an unknown one.

const LONGEST_COMPARED_BYTES: usize = 64;
const SHOWN_WORDS_MAX: usize = 12;

/// The word of `known` that is near enough to `found` to be what was meant.
pub(crate) fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The distance is quadratic in the length, and a long text is no typing mistake.
    if found.len() > LONGEST_COMPARED_BYTES {
        return None;
    }
    let folded = found.to_lowercase();
    known
        .into_iter()
        .filter(|word| word.len() <= LONGEST_COMPARED_BYTES)
        .map(|word| (strsim::damerau_levenshtein(&folded, &word.to_lowercase()), word))
        .filter(|(distance, word)| *distance <= (word.chars().count() / 3).max(1))
        .min()
        .map(|(_, word)| word)
}

/// The way out for an unknown word: the nearest known one, else the known ones.
pub(crate) fn did_you_mean(found: &str, known: &[&str]) -> String {
    if let Some(word) = nearest(found, known.iter().copied()) {
        return format!("did you mean `{word}`?");
    }
    if known.is_empty() {
        return "none is allowed here".to_owned();
    }
    let shown: Vec<String> = known.iter().take(SHOWN_WORDS_MAX).map(|word| format!("`{word}`")).collect();
    let more = if known.len() > SHOWN_WORDS_MAX { " and others" } else { "" };
    format!("known are {}{more}", shown.join(", "))
}

/// `text`, cut for display.
pub(crate) fn shortened(text: &str) -> String {
    const SHOWN_CHARS: usize = 60;
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_listed() {
        assert_eq!(did_you_mean("prot", &["image", "port"]), "did you mean `port`?");
        assert_eq!(did_you_mean("x", &["image", "port"]), "known are `image`, `port`");
        assert_eq!(did_you_mean("x", &[]), "none is allowed here");
        assert_eq!(nearest(&"a".repeat(65), ["a"]), None);
    }

    #[test]
    fn cutting_respects_characters() {
        assert_eq!(shortened(&"ä".repeat(61)), format!("{}…", "ä".repeat(60)));
        assert_eq!(shortened(&"ä".repeat(60)), "ä".repeat(60));
    }
}
