//! What parent and child say to each other: frames of a four-byte length and JSON.
//!
//! A call is two frames, [`Call`] and the input; an answer is one, [`Answer`], and a second with
//! the value if there is one. Input and value stand apart so that neither is parsed twice.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use slipway_types::{Digest, Place};

use crate::error::{Limit, PluginError, Refusal};
use crate::program::Program;

/// No frame but the input, a program and a value is longer.
pub(crate) const MAX_HEADER_BYTES: u64 = 1 << 20;

/// One call.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) program: Digest,
    /// The program's text, if the child does not have it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<Source>,
    pub(crate) function: String,
}

/// A program on its way to the child.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Source {
    pub(crate) modules: BTreeMap<String, String>,
    pub(crate) entry: String,
}

/// How a call went.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// Whether the child now has the program.
    pub(crate) known: bool,
    /// What was printed.
    pub(crate) talk: Vec<String>,
    /// `None`: the value follows.
    pub(crate) fault: Option<Fault>,
}

/// A [`PluginError`] as the child tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    Refused(Refusal),
    Failed { message: String, at: Option<Place>, text: Option<String>, called_from: Vec<Place> },
    Limit { which: Limit, limit: u64, at: Option<Place> },
    BadResult { path: String, why: String },
    BadInput { path: String, why: String },
}

impl Fault {
    /// A failure without a place.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), at: None, text: None, called_from: Vec::new() }
    }

    pub(crate) fn into_error(self, program: &Program) -> PluginError {
        match self {
            Self::Refused(refusal) => PluginError::Refused(vec![refusal]),
            Self::Failed { message, at, text, called_from } => {
                PluginError::Failed { message, at, text, called_from }
            }
            Self::Limit { which, limit, at } => {
                PluginError::Limit { program: program.title().to_owned(), which, limit, at }
            }
            Self::BadResult { path, why } => PluginError::BadResult { path, why },
            Self::BadInput { path, why } => PluginError::BadInput { path, why },
        }
    }
}

/// Appends `body` as a frame.
pub(crate) fn append(buffer: &mut Vec<u8>, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).map_err(|_| io::Error::other("a frame of more than 4 GiB"))?;
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(body);
    Ok(())
}

/// Appends a value as a frame.
pub(crate) fn append_json(buffer: &mut Vec<u8>, value: &impl Serialize) -> io::Result<()> {
    append(buffer, &serde_json::to_vec(value)?)
}

/// The length a frame announces, if it may be that long.
pub(crate) fn length(header: [u8; 4], max_bytes: u64) -> io::Result<usize> {
    let length = u32::from_le_bytes(header);
    if u64::from(length) > max_bytes {
        return Err(io::Error::other(format!("a frame of {length} bytes where {max_bytes} are the most")));
    }
    Ok(length as usize)
}

/// The next frame; `None` where the other side closed between two.
pub(crate) fn read(input: &mut impl Read, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; 4];
    match input.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut body = vec![0; length(header, max_bytes)?];
    input.read_exact(&mut body)?;
    Ok(Some(body))
}

/// The next frame as JSON.
pub(crate) fn read_json<T: DeserializeOwned>(input: &mut impl Read, max_bytes: u64) -> io::Result<Option<T>> {
    Ok(match read(input, max_bytes)? {
        Some(body) => Some(serde_json::from_slice(&body)?),
        None => None,
    })
}

/// Writes frames that were appended.
pub(crate) fn write(output: &mut impl Write, frames: &[u8]) -> io::Result<()> {
    output.write_all(frames)?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back_and_none_is_longer_than_it_may_be() {
        let mut frames = Vec::new();
        append(&mut frames, b"[1]").expect("short");
        append_json(&mut frames, &2).expect("short");
        let mut input = frames.as_slice();
        assert_eq!(read(&mut input, 3).expect("whole"), Some(b"[1]".to_vec()));
        assert_eq!(read_json(&mut input, 3).expect("whole"), Some(2));
        assert_eq!(read(&mut input, 3).expect("whole"), None);
        assert!(read(&mut frames.as_slice(), 2).is_err());
        assert!(read(&mut &frames[..6], 3).is_err());
    }
}
