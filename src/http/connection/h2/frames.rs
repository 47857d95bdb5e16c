//! Where the frames of an HTTP/2 connection begin, and what they are (RFC 9113, 4.1). Pure.

/// "PRI * HTTP/2.0…": what a client sends before its first frame.
const PREFACE: u32 = 24;
const HEAD: usize = 9;
const SETTING: usize = 6;

/// SETTINGS_MAX_HEADER_LIST_SIZE (RFC 9113, 6.5.2).
const MAX_HEADER_LIST_SIZE: u16 = 6;

/// Follows the frames that a client sends.
#[derive(Debug)]
pub(super) struct FrameScan {
    /// Bytes to step over before the next frame, or before the frame's next setting.
    skip: u32,
    /// The head or the setting that is being read.
    part: [u8; HEAD],
    part_len: usize,
    /// Bytes of settings that are still to come.
    settings: u32,
    /// What follows is the length of a frame's padding; and the rest of the frame.
    padded: Option<u32>,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Frame(Frame),
    /// The largest head that the client takes.
    HeaderListSize(u32),
    /// Bytes of a DATA frame that are no data.
    Padding(u16),
}

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub length: u32,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

impl Frame {
    const END_STREAM: u8 = 1;
    const ACK: u8 = 1;
    const PADDED: u8 = 8;

    pub fn opens_a_stream(self) -> bool {
        self.kind == 1
    }

    /// Whether it carries some of a request's body, or its end.
    pub fn carries_a_body(self) -> bool {
        self.kind == 0 && (self.length > 0 || self.flags & Self::END_STREAM != 0)
    }

    fn has_padding(self) -> bool {
        self.kind == 0 && self.length > 0 && self.flags & Self::PADDED != 0
    }

    fn has_settings(self) -> bool {
        self.kind == 4 && self.flags & Self::ACK == 0
    }
}

impl Default for FrameScan {
    fn default() -> Self {
        Self { skip: PREFACE, part: [0; HEAD], part_len: 0, settings: 0, padded: None }
    }
}

impl FrameScan {
    /// Takes in what arrived. `found` says whether to go on.
    pub fn feed(&mut self, mut bytes: &[u8], mut found: impl FnMut(Found) -> bool) -> bool {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let length = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
                self.skip -= u32::try_from(length).unwrap_or(self.skip);
                bytes = &bytes[length..];
                continue;
            }
            let wanted = match self.padded {
                Some(_) => 1,
                None if self.settings > 0 => SETTING,
                None => HEAD,
            };
            let length = (wanted - self.part_len).min(bytes.len());
            self.part[self.part_len..self.part_len + length].copy_from_slice(&bytes[..length]);
            self.part_len += length;
            bytes = &bytes[length..];
            if self.part_len == wanted {
                self.part_len = 0;
                if let Some(what) = self.read_part()
                    && !found(what)
                {
                    return false;
                }
            }
        }
        true
    }

    fn read_part(&mut self) -> Option<Found> {
        if let Some(rest) = self.padded.take() {
            self.skip = rest;
            return Some(Found::Padding(u16::from(self.part[0]) + 1));
        }
        if self.settings > 0 {
            let [id_high, id_low, value @ .., _, _, _] = self.part;
            self.settings -= 6;
            self.rest_of_settings();
            let is_size = u16::from_be_bytes([id_high, id_low]) == MAX_HEADER_LIST_SIZE;
            return is_size.then(|| Found::HeaderListSize(u32::from_be_bytes(value)));
        }
        let [high, middle, low, kind, flags, stream @ ..] = self.part;
        let frame = Frame {
            length: u32::from_be_bytes([0, high, middle, low]),
            kind,
            flags,
            // The highest bit is reserved.
            stream: u32::from_be_bytes(stream) & (u32::MAX >> 1),
        };
        if frame.has_settings() {
            self.settings = frame.length;
            self.rest_of_settings();
        } else if frame.has_padding() {
            self.padded = Some(frame.length - 1);
        } else {
            self.skip = frame.length;
        }
        Some(Found::Frame(frame))
    }

    /// What is less than a setting is none; the codec refuses it.
    fn rest_of_settings(&mut self) {
        if self.settings < 6 {
            self.skip = std::mem::take(&mut self.settings);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    fn found(bytes: &[u8], piece: usize) -> Vec<Found> {
        let mut scan = FrameScan::default();
        let mut all = Vec::new();
        for piece in bytes.chunks(piece) {
            scan.feed(piece, |what| {
                all.push(what);
                true
            });
        }
        all
    }

    #[test]
    fn frames_and_settings_are_found_in_any_pieces() {
        let settings = [0, 3, 0, 0, 0, 100, 0, 6, 0, 1, 0, 0];
        let bytes = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(4, 0, 0, &settings),
            frame(4, 1, 0, b""),
            frame(1, 5, 1, b"head"),
            frame(0, 0, 3, &[7; 300]),
            frame(4, 0, 0, b"odd"),
            frame(6, 0, 0, &[0; 8]),
        ]
        .concat();
        let head = |length, kind, flags, stream| Found::Frame(Frame { length, kind, flags, stream });
        let expected = [
            head(12, 4, 0, 0),
            Found::HeaderListSize(65536),
            head(0, 4, 1, 0),
            head(4, 1, 5, 1),
            head(300, 0, 0, 3),
            head(3, 4, 0, 0),
            head(8, 6, 0, 0),
        ];
        for piece in [1, 2, 5, 9, 64, 4096] {
            assert_eq!(found(&bytes, piece), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn headers_open_a_stream_and_data_carries_a_body() {
        let head = |kind, flags, length| Frame { length, kind, flags, stream: 1 };
        for kind in 0..=10 {
            assert_eq!(head(kind, 0, 8).opens_a_stream(), kind == 1, "kind {kind}");
            assert_eq!(head(kind, 0, 8).carries_a_body(), kind == 0, "kind {kind}");
        }
        for (flags, length, carries) in [(0, 0, false), (0, 1, true), (1, 0, true), (8, 0, false), (9, 0, true)] {
            assert_eq!(head(0, flags, length).carries_a_body(), carries, "flags {flags}, {length} bytes");
        }
    }

    #[test]
    fn padding_is_told_from_data() {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(0, 8, 1, &[&[3][..], b"data", &[0; 3]].concat()));
        bytes.extend(frame(0, 8, 1, &[]));
        bytes.extend(frame(1, 8, 3, &[2, 0x82, 0, 0]));
        bytes.extend(frame(0, 1, 1, b"end"));
        for piece in [1, 3, 100] {
            let all = found(&bytes, piece);
            let kinds: Vec<_> = all
                .iter()
                .map(|found| match found {
                    Found::Frame(frame) => (frame.kind, frame.length),
                    Found::Padding(length) => (99, u32::from(*length)),
                    Found::HeaderListSize(_) => (100, 0),
                })
                .collect();
            assert_eq!(kinds, [(0, 8), (99, 4), (0, 0), (1, 4), (0, 3)], "in pieces of {piece}");
        }
    }

    #[test]
    fn settings_are_those_of_a_settings_frame_alone() {
        let like_a_setting = [0, 6, 0, 1, 0, 0];
        for (kind, flags, is_found) in [(4, 0, true), (4, 1, false), (6, 0, false), (8, 0, false)] {
            let bytes = [[0; 24].to_vec(), frame(kind, flags, 0, &like_a_setting)].concat();
            let all = found(&bytes, bytes.len());
            assert_eq!(all.contains(&Found::HeaderListSize(65536)), is_found, "kind {kind}, flags {flags}");
        }
    }

    #[test]
    fn nothing_is_read_behind_a_frame_that_is_one_too_many() {
        let bytes = [[0; 24].to_vec(), frame(6, 0, 0, &[0; 8]), frame(6, 0, 0, &[0; 8])].concat();
        let mut count = 0;
        let goes_on = FrameScan::default().feed(&bytes, |_| {
            count += 1;
            false
        });
        assert_eq!((goes_on, count), (false, 1));
    }
}
