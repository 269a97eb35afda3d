//! "Did you mean": the known word nearest to an unknown one.

/// The word of `known` that is near enough to `found` to be what was meant.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A long text is no typing mistake, and the distance is quadratic in its length.
    if found.len() > 64 {
        return None;
    }
    let folded = found.to_lowercase();
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&folded, &word.to_lowercase()), word))
        .filter(|(distance, word)| *distance <= (word.chars().count() / 3).max(1))
        .min()
        .map(|(_, word)| word)
}

/// The hint for an unknown word: the nearest one, else all of them.
pub fn did_you_mean(found: &str, known: &[&str]) -> String {
    match nearest(found, known.iter().copied()) {
        Some(word) => format!("did you mean `{word}`?"),
        None if known.is_empty() => "none is allowed here".to_owned(),
        None => {
            let words: Vec<String> = known.iter().map(|word| format!("`{word}`")).collect();
            format!("known are {}", words.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let known = ["dockerfile", "helm", "image"];
        assert_eq!(nearest("dokcerfile", known), Some("dockerfile"));
        assert_eq!(nearest("Helm", known), Some("helm"));
        assert_eq!(nearest("jib", known), None);
        assert_eq!(did_you_mean("jib", &["a", "b"]), "known are `a`, `b`");
    }
}
