//! Ranges of blobs (RFC 9110, one range) and of uploads (distribution specification).

/// What a `Range` header asks of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: no range, several, or one that cannot be read.
    Whole,
    /// These bytes.
    Part(std::ops::Range<u64>),
    /// Bytes it does not have.
    Unsatisfiable,
}

/// Reads `Range` for a blob of `size` bytes.
pub(super) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some((first, last)) = header.and_then(|text| text.strip_prefix("bytes=")?.split_once('-')) else {
        return Wanted::Whole;
    };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    match (first.trim(), last.trim()) {
        ("", suffix) => match number(suffix) {
            Some(0) => Wanted::Unsatisfiable,
            Some(length) if size > 0 => Wanted::Part(size.saturating_sub(length)..size),
            Some(_) => Wanted::Unsatisfiable,
            None => Wanted::Whole,
        },
        (first, last) => {
            let Some(first) = number(first) else { return Wanted::Whole };
            let end = match last {
                "" => size,
                last => match number(last) {
                    Some(last) if last >= first => last.saturating_add(1).min(size),
                    _ => return Wanted::Whole,
                },
            };
            if first >= size { Wanted::Unsatisfiable } else { Wanted::Part(first..end) }
        }
    }
}

/// Reads an upload's `Content-Range`: `FIRST-LAST`, both included.
pub(super) fn chunk(header: &str) -> Option<(u64, u64)> {
    let text = header.trim().trim_start_matches("bytes").trim_start_matches(['=', ' ']);
    let (first, last) = text.split('/').next()?.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_answered_and_odd_ones_are_as_if_unsaid() {
        assert_eq!(wanted(Some("bytes=0-3"), 10), Wanted::Part(0..4));
        assert_eq!(wanted(Some("bytes=8-99"), 10), Wanted::Part(8..10));
        assert_eq!(wanted(Some("bytes=8-"), 10), Wanted::Part(8..10));
        assert_eq!(wanted(Some("bytes=-4"), 10), Wanted::Part(6..10));
        assert_eq!(wanted(Some("bytes=10-"), 10), Wanted::Unsatisfiable);
        for whole in [None, Some("bytes=0-1,3-4"), Some("lines=0-1"), Some("bytes=5-2"), Some("bytes=x-")] {
            assert_eq!(wanted(whole, 10), Wanted::Whole, "{whole:?}");
        }
    }

    #[test]
    fn chunks_are_written_with_or_without_a_unit() {
        assert_eq!(chunk("0-9"), Some((0, 9)));
        assert_eq!(chunk("bytes 10-19/*"), Some((10, 19)));
        assert_eq!(chunk("9-0"), None);
        assert_eq!(chunk("x"), None);
    }
}
