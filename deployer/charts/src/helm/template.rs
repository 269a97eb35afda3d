//! What templates ask for that freezing cannot give, found in their text.

use slipway_types::Place;

use crate::rendered::Note;

/// Functions that give something else each time.
const RANDOM: [&str; 20] = [
    "ago",
    "bcrypt",
    "encryptAES",
    "genCA",
    "genCAWithKey",
    "genPrivateKey",
    "genSelfSignedCert",
    "genSelfSignedCertWithKey",
    "genSignedCert",
    "genSignedCertWithKey",
    "htpasswd",
    "now",
    "randAlpha",
    "randAlphaNum",
    "randAscii",
    "randBytes",
    "randInt",
    "randNumeric",
    "shuffle",
    "uuidv4",
];
/// What is the same at every freeze, so that branches on it mean nothing.
const RELEASE: [(&str, &str); 3] = [("IsUpgrade", "false"), ("IsInstall", "true"), ("Revision", "1")];

/// Whether Helm runs a file of this path as a template; `values.yaml` may hold text for `tpl`.
pub(crate) fn is_template(path: &str) -> bool {
    let mut rest = path;
    while let Some((_, below)) = rest.strip_prefix("charts/").and_then(|rest| rest.split_once('/')) {
        rest = below;
    }
    let name = rest.rsplit('/').next().unwrap_or_default();
    (rest.starts_with("templates/") && name != "NOTES.txt") || rest == "values.yaml"
}

/// What a person should know of the template `file`.
pub(crate) fn notes(file: &str, text: &str) -> Vec<Note> {
    let mut found = Vec::new();
    for word in words(text) {
        let at = Some(Place { file: file.to_owned(), line: word.line, column: word.column });
        let mut note =
            |code: &str, message: String| found.push(Note { at: at.clone(), code: code.to_owned(), message });
        if word.text == "lookup" {
            note(
                "lookup_is_empty",
                format!("{file}:{} uses `lookup`, which finds nothing: no cluster is asked", word.line),
            );
        } else if RANDOM.contains(&word.text) {
            note(
                "not_reproducible",
                format!("{file}:{} uses `{}`, which gives something else each time", word.line, word.text),
            );
        } else if let Some((field, value)) = RELEASE.iter().find(|(field, _)| is_release(word.text, field)) {
            note(
                "release_is_first",
                format!("{file}:{} reads `.Release.{field}`, which is always {value}", word.line),
            );
        }
    }
    found
}

fn is_release(word: &str, field: &str) -> bool {
    word.strip_suffix(field).is_some_and(|before| before.ends_with(".Release."))
}

/// A name in an action, with all that dots join to it: `lookup`, `$.Release.IsUpgrade`.
struct Word<'a> {
    text: &'a str,
    line: usize,
    column: usize,
}

/// The words in `{{ }}`, without those of comments and of quoted text.
fn words(text: &str) -> Vec<Word<'_>> {
    let bytes = text.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    let mut lines = Lines { text, line: 1, start: 0, at: 0 };
    while let Some(open) = text[at..].find("{{") {
        at += open + 2;
        let body = text[at..].trim_start_matches('-').trim_start();
        if body.starts_with("/*") {
            at = text[at..].find("*/").map_or(text.len(), |end| at + end + 2);
            continue;
        }
        while at < bytes.len() && !bytes[at..].starts_with(b"}}") {
            match bytes[at] {
                quote @ (b'"' | b'\'') => at = after_quoted(bytes, at, quote),
                b'`' => {
                    let end = bytes[at + 1..].iter().position(|b| *b == b'`');
                    at = end.map_or(bytes.len(), |end| at + end + 2);
                }
                b if is_word(b) => {
                    let end =
                        bytes[at..].iter().position(|b| !is_word(*b)).map_or(bytes.len(), |end| at + end);
                    let (line, column) = lines.place(at);
                    found.push(Word { text: &text[at..end], line, column });
                    at = end;
                }
                _ => at += 1,
            }
        }
        // An action may end within a character that is none of ours.
        while !text.is_char_boundary(at) {
            at += 1;
        }
    }
    found
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.$".contains(&byte)
}

fn after_quoted(bytes: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != quote && bytes[at] != b'\n' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// Lines counted as the text is gone through.
struct Lines<'a> {
    text: &'a str,
    line: usize,
    start: usize,
    at: usize,
}

impl Lines<'_> {
    fn place(&mut self, at: usize) -> (usize, usize) {
        let passed = &self.text[self.at..at];
        if let Some(last) = passed.rfind('\n') {
            self.line += passed.matches('\n').count();
            self.start = self.at + last + 1;
        }
        self.at = at;
        (self.line, self.text[self.start..at].chars().count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        notes("c/templates/a.yaml", text)
            .into_iter()
            .map(|note| {
                let at = note.at.unwrap();
                format!("{}:{} {}", at.line, at.column, note.code)
            })
            .collect()
    }

    #[test]
    fn uses_are_told_from_mentions() {
        let text = "a: lookup now\n{{- /* lookup */ -}}\n{{ \"lookup \\\" now\" }}{{ `genCA` }} {{ 'x' }}\n\
                    b: {{ $lookup }} {{ .lookup }} {{ .Values.now }}\nc: é {{ (lookup \"v1\" \"Pod\" \"\" \"\").items }}\n\
                    {{- if and $.Release.IsUpgrade .Release.Name }}\nd: {{ randAlphaNum 5 | b64enc }}{{ now|date \"2006\" }}\n{{ \"open";
        assert_eq!(
            told(text),
            [
                "5:10 lookup_is_empty",
                "6:12 release_is_first",
                "7:7 not_reproducible",
                "7:36 not_reproducible"
            ]
        );
    }

    #[test]
    fn templates_of_charts_below_count() {
        for path in
            ["templates/a.yaml", "charts/b/templates/_c.tpl", "charts/b-1.tgz/charts/d/templates/x.yaml"]
        {
            assert!(is_template(path), "{path}");
        }
        for path in ["README.md", "templates/NOTES.txt", "crds/a.yaml", "charts/templates/a.yaml"] {
            assert!(!is_template(path), "{path}");
        }
    }
}
