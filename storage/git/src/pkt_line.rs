//! The pkt-line format of git's protocols (gitprotocol-common): four hex digits of length, then data.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The most data one packet carries, in bytes.
pub const DATA_BYTES_MAX: usize = 65516;
/// The most text one sideband packet carries, in bytes.
const BAND_BYTES_MAX: usize = DATA_BYTES_MAX - 1;
/// A flush packet.
pub const FLUSH: &[u8] = b"0000";

/// One packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Data, perhaps none.
    Data(Vec<u8>),
    /// End of a section.
    Flush,
    /// Delimiter inside a section (protocol version 2).
    Delimiter,
    /// End of a response (protocol version 2).
    ResponseEnd,
}

/// Bytes that are no packet.
#[derive(Debug, thiserror::Error)]
pub enum PktLineError {
    /// The length is not four hex digits or not allowed.
    #[error("`{0}` is not a pkt-line length")]
    Length(String),
    /// The stream ended inside a packet.
    #[error("the stream ended inside a packet")]
    Truncated,
    /// The stream failed.
    #[error("the stream failed")]
    Io(#[from] std::io::Error),
}

/// What a packet's first four bytes announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Data(usize),
    Flush,
    Delimiter,
    ResponseEnd,
}

fn length(digits: [u8; 4]) -> Result<Length, PktLineError> {
    let invalid = || PktLineError::Length(String::from_utf8_lossy(&digits).into_owned());
    let mut total = 0usize;
    for digit in digits {
        let value = char::from(digit).to_digit(16).ok_or_else(invalid)?;
        total = total * 16 + value as usize;
    }
    match total {
        0 => Ok(Length::Flush),
        1 => Ok(Length::Delimiter),
        2 => Ok(Length::ResponseEnd),
        3 => Err(invalid()),
        total if total - 4 > DATA_BYTES_MAX => Err(invalid()),
        total => Ok(Length::Data(total - 4)),
    }
}

/// Reads one packet and not a byte more; `None` at the end of the stream.
pub async fn read(reader: &mut (impl AsyncRead + Unpin)) -> Result<Option<Packet>, PktLineError> {
    let mut digits = [0; 4];
    let mut filled = 0;
    while filled < 4 {
        match reader.read(&mut digits[filled..]).await? {
            0 if filled == 0 => return Ok(None),
            0 => return Err(PktLineError::Truncated),
            n => filled += n,
        }
    }
    let packet = match length(digits)? {
        Length::Flush => Packet::Flush,
        Length::Delimiter => Packet::Delimiter,
        Length::ResponseEnd => Packet::ResponseEnd,
        Length::Data(n) => {
            let mut data = vec![0; n];
            reader.read_exact(&mut data).await.map_err(|error| match error.kind() {
                std::io::ErrorKind::UnexpectedEof => PktLineError::Truncated,
                _ => PktLineError::Io(error),
            })?;
            Packet::Data(data)
        }
    };
    Ok(Some(packet))
}

/// Appends `data` as one packet; what is beyond [`DATA_BYTES_MAX`] goes into further ones.
pub fn write(out: &mut Vec<u8>, data: &[u8]) {
    let (now, later) = data.split_at(data.len().min(DATA_BYTES_MAX));
    out.extend_from_slice(format!("{:04x}", now.len() + 4).as_bytes());
    out.extend_from_slice(now);
    if !later.is_empty() {
        write(out, later);
    }
}

/// Appends `data` on a sideband.
pub fn write_band(out: &mut Vec<u8>, band: u8, data: &[u8]) {
    for chunk in data.chunks(BAND_BYTES_MAX) {
        out.extend_from_slice(format!("{:04x}", chunk.len() + 5).as_bytes());
        out.push(band);
        out.extend_from_slice(chunk);
    }
}

/// Text for the pusher's terminal: one packet on band 2. Lines end in `\n`.
pub fn progress_packet(text: &str) -> Bytes {
    let mut out = Vec::with_capacity(text.len() + 5);
    write_band(&mut out, 2, text.as_bytes());
    out.into()
}

/// The packet that ends a section or a sideband stream.
pub fn flush() -> Bytes {
    Bytes::from_static(FLUSH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_all(bytes: &[u8]) -> Result<Vec<Packet>, PktLineError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut reader = bytes;
            let mut packets = Vec::new();
            while let Some(packet) = read(&mut reader).await? {
                packets.push(packet);
            }
            Ok(packets)
        })
    }

    #[test]
    fn the_examples_of_the_specification_are_read() {
        let packets = read_all(b"0006a\n0005a000bfoobar\n000400000001").unwrap();
        let data = |text: &str| Packet::Data(text.into());
        let expected = [data("a\n"), data("a"), data("foobar\n"), data(""), Packet::Flush, Packet::Delimiter];
        assert_eq!(packets, expected);
    }

    #[test]
    fn wrong_and_cut_packets_are_errors() {
        for bad in ["0003", "fff5", "zzzz", "00", "0006a", "+005a"] {
            assert!(read_all(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_packets_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(packets) = read_all(&bytes) {
                let data: usize = packets.iter().map(|p| if let Packet::Data(d) = p { d.len() } else { 0 }).sum();
                prop_assert_eq!(data + packets.len() * 4, bytes.len());
            }
        }

        #[test]
        fn what_is_written_is_read(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..9)) {
            let mut out = Vec::new();
            for part in &parts {
                write(&mut out, part);
            }
            let expected: Vec<Packet> = parts.into_iter().map(Packet::Data).collect();
            prop_assert_eq!(read_all(&out).unwrap(), expected);
        }
    }
}
