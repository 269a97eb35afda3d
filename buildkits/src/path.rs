//! Paths inside a tree, as text with `/`.

/// A path that cannot be one of a tree's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    /// `..` goes above the top.
    #[error("leads outside")]
    Outside,
    /// It begins with `/` where it must be relative.
    #[error("must be relative")]
    Absolute,
    /// It names nothing.
    #[error("is empty")]
    Empty,
    /// It holds `\`, a control character or a drive letter.
    #[error("holds a backslash, a control character or a drive letter")]
    Odd,
}

/// `path`, read from the directory `from`, without `.`, `..` and doubled `/`. The top is `""`.
pub fn resolve(from: &str, path: &str) -> Result<String, InvalidPath> {
    if path.is_empty() {
        return Err(InvalidPath::Empty);
    }
    if path.starts_with('/') {
        return Err(InvalidPath::Absolute);
    }
    if is_odd(path) {
        return Err(InvalidPath::Odd);
    }
    let mut parts: Vec<&str> = from.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or(InvalidPath::Outside)?;
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// The directory that holds `path`; `""` for one at the top.
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

fn is_odd(path: &str) -> bool {
    let drive = path.as_bytes().get(1) == Some(&b':') && path.as_bytes()[0].is_ascii_alphabetic();
    drive || path.contains('\\') || path.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised_and_never_leave_the_top() {
        assert_eq!(resolve("a/b", "../c/./d//e"), Ok("a/c/d/e".into()));
        assert_eq!(resolve("", "."), Ok(String::new()));
        assert_eq!(resolve("a", "../.."), Err(InvalidPath::Outside));
        assert_eq!(resolve("a", "../../a"), Err(InvalidPath::Outside));
        assert_eq!(resolve("a", "/etc"), Err(InvalidPath::Absolute));
        assert_eq!(resolve("a", "C:/x"), Err(InvalidPath::Odd));
        assert_eq!(resolve("a", "x\\y"), Err(InvalidPath::Odd));
    }
}
