//! Where the frames of a WebSocket begin and end (RFC 6455, 5.2), seen in the bytes as they pass.
//!
//! Reads frame headers alone, changes nothing, and holds nothing back. Once the bytes have broken the protocol, no border
//! between frames is reported any more, and no frame of ours may be put between.

/// The side that sends the frames. Clients mask their frames, servers must not (5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    Server,
}

/// One direction of a WebSocket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frames {
    from: Role,
    at: Position,
    /// Whether the frame that is on its way is a Close.
    is_close: bool,
    closed: bool,
}

#[derive(Debug, Clone, Copy)]
enum Position {
    Border,
    /// Two bytes and a longer length; the mask is counted with the payload.
    Header {
        bytes: [u8; 10],
        have: usize,
    },
    /// Bytes left.
    Payload(u64),
    /// Not a WebSocket that we understand.
    Lost,
}

const CLOSE: u8 = 0x8;

impl Frames {
    pub fn new(from: Role) -> Self {
        Self { from, at: Position::Border, is_close: false, closed: false }
    }

    /// Takes in what has passed.
    pub fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = self.step(bytes);
            bytes = &bytes[taken..];
        }
    }

    /// Whether what has passed ends with a whole frame: another may be put here.
    pub fn is_between(&self) -> bool {
        matches!(self.at, Position::Border)
    }

    pub fn is_lost(&self) -> bool {
        matches!(self.at, Position::Lost)
    }

    /// Whether a whole Close frame has passed: none may follow (5.5.1).
    pub fn has_closed(&self) -> bool {
        self.closed
    }

    /// How many of the bytes that come next belong to the frame that is on its way.
    pub fn rest_of_frame(&self, bytes: &[u8]) -> usize {
        let mut ahead = *self;
        if self.is_between() { 0 } else { ahead.step(bytes) }
    }

    /// Reads up to the end of one frame; returns how far that was.
    fn step(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            taken += match self.at {
                Position::Border => self.header([0; 10], 0, bytes[taken]),
                Position::Header { bytes: header, have } => self.header(header, have, bytes[taken]),
                Position::Payload(left) => self.payload(left, bytes.len() - taken),
                Position::Lost => return bytes.len(),
            };
            if self.is_between() {
                break;
            }
        }
        taken
    }

    fn header(&mut self, mut header: [u8; 10], have: usize, byte: u8) -> usize {
        header[have] = byte;
        let have = have + 1;
        let length = if have < 2 { None } else { self.judge(header) };
        self.at = match length {
            _ if have < 2 => Position::Header { bytes: header, have },
            None => Position::Lost,
            Some(length) if have < length => Position::Header { bytes: header, have },
            Some(length) => match payload_length(&header[..length]) {
                Some(payload) => Position::Payload(payload + if self.from == Role::Client { 4 } else { 0 }),
                None => Position::Lost,
            },
        };
        if matches!(self.at, Position::Payload(0)) {
            self.end_frame();
        }
        1
    }

    /// The header's length by its first two bytes, the mask apart. Reserved bits are an extension's; `None`: nonsense.
    fn judge(&mut self, header: [u8; 10]) -> Option<usize> {
        let (is_last, opcode) = (header[0] & 0x80 != 0, header[0] & 0x0f);
        let (is_masked, short) = (header[1] & 0x80 != 0, header[1] & 0x7f);
        let is_known = matches!(opcode, 0x0..=0x2 | CLOSE..=0xa);
        let is_control = opcode >= CLOSE;
        if !is_known || is_masked != (self.from == Role::Client) || is_control && (short > 125 || !is_last) {
            return None;
        }
        self.is_close = opcode == CLOSE;
        Some(match short {
            126 => 4,
            127 => 10,
            _ => 2,
        })
    }

    fn payload(&mut self, left: u64, there: usize) -> usize {
        let taken = usize::try_from(left).map_or(there, |left| left.min(there));
        self.at = Position::Payload(left - taken as u64);
        if left == taken as u64 {
            self.end_frame();
        }
        taken
    }

    fn end_frame(&mut self) {
        self.at = Position::Border;
        self.closed |= self.is_close;
    }
}

fn payload_length(header: &[u8]) -> Option<u64> {
    let length = match header {
        [_, short] => u64::from(short & 0x7f),
        [_, _, long @ ..] => long.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        _ => return None,
    };
    // The highest bit must be 0.
    (length >> 63 == 0).then_some(length)
}

/// For the fuzz target: whether the bytes, in pieces of `size`, end between frames, are lost, and have closed.
#[cfg(fuzzing)]
pub fn follow(from_client: bool, bytes: &[u8], size: usize) -> (bool, bool, bool) {
    let mut frames = Frames::new(if from_client { Role::Client } else { Role::Server });
    bytes.chunks(size).for_each(|piece| frames.follow(piece));
    (frames.is_between(), frames.is_lost(), frames.has_closed())
}

/// A whole Close frame to the other end of the direction: what `from` would send.
pub(super) fn close(from: Role, code: u16, reason: &str) -> Vec<u8> {
    let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
    let mut frame = vec![0x80 | CLOSE, payload.len() as u8];
    match from {
        Role::Server => frame.extend(payload),
        Role::Client => {
            let mask: [u8; 4] = fastrand::u32(..).to_be_bytes();
            frame[1] |= 0x80;
            frame.extend(mask);
            frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        }
    }
    frame
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(from: Role, opcode: u8, is_last: bool, payload: &[u8]) -> Vec<u8> {
        let mask_bit = if from == Role::Client { 0x80 } else { 0 };
        let mut frame = vec![opcode | if is_last { 0x80 } else { 0 }];
        match payload.len() {
            short @ ..126 => frame.push(mask_bit | short as u8),
            long @ ..0x1_0000 => {
                frame.push(mask_bit | 0x7e);
                frame.extend((long as u16).to_be_bytes());
            }
            longer => {
                frame.push(mask_bit | 0x7f);
                frame.extend((longer as u64).to_be_bytes());
            }
        }
        if from == Role::Client {
            frame.extend([1, 2, 3, 4]);
        }
        frame.extend(payload);
        frame
    }

    fn any_frame(from: Role) -> impl Strategy<Value = Vec<u8>> {
        let lengths = prop_oneof![0..130_usize, 60_000..70_000_usize];
        (prop_oneof![Just(0_u8), Just(1), Just(2), Just(9), Just(10)], any::<bool>(), lengths).prop_map(
            move |(opcode, is_last, length)| {
                let is_control = opcode >= CLOSE;
                let length = if is_control { length.min(125) } else { length };
                frame(from, opcode, is_last || is_control, &vec![0x88; length])
            },
        )
    }

    fn any_stream() -> impl Strategy<Value = (Role, Vec<Vec<u8>>)> {
        prop_oneof![Just(Role::Client), Just(Role::Server)]
            .prop_flat_map(|from| (Just(from), prop::collection::vec(any_frame(from), 1..6)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn borders_are_where_frames_end_however_the_bytes_come(
            (from, frames) in any_stream(),
            chunks in prop::collection::vec(1..5000_usize, 1..50),
        ) {
            let ends: Vec<usize> = frames.iter().scan(0, |at, frame| { *at += frame.len(); Some(*at) }).collect();
            let stream = frames.concat();
            let (mut followed, mut at) = (Frames::new(from), 0);
            for length in chunks.iter().cycle() {
                let chunk = &stream[at..(at + length).min(stream.len())];
                let next_end = ends.iter().find(|end| **end > at).copied().unwrap_or(at);
                let rest = if followed.is_between() { 0 } else { (next_end - at).min(chunk.len()) };
                prop_assert_eq!(followed.rest_of_frame(chunk), rest);
                followed.follow(chunk);
                at += chunk.len();
                prop_assert_eq!(followed.is_between(), ends.contains(&at), "at {}", at);
                if at == stream.len() {
                    break;
                }
            }
            prop_assert!(!followed.has_closed() && !followed.is_lost());
        }

        #[test]
        fn any_bytes_are_followed_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            Frames::new(Role::Client).follow(&bytes);
            Frames::new(Role::Server).follow(&bytes);
        }
    }

    #[test]
    fn a_close_is_seen_when_it_is_whole() {
        for from in [Role::Client, Role::Server] {
            let (mut frames, close) = (Frames::new(from), close(from, 1012, "service restart"));
            frames.follow(&close[..close.len() - 1]);
            assert!(!frames.has_closed() && !frames.is_between());
            frames.follow(&close[close.len() - 1..]);
            assert!(frames.has_closed() && frames.is_between());
        }
    }

    #[test]
    fn after_bytes_that_break_the_protocol_no_border_is_found() {
        let masked = frame(Role::Client, 1, true, b"x");
        for (from, bytes) in [
            (Role::Server, masked.as_slice()),
            (Role::Client, b"hello"),
            (Role::Server, &[0x83, 0]),
            (Role::Server, &[0x89, 126]),
            (Role::Server, &[0x09, 0]),
            (Role::Server, &[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            let mut frames = Frames::new(from);
            frames.follow(bytes);
            assert!(frames.is_lost(), "{bytes:x?}");
            frames.follow(&frame(from, 1, true, b""));
            assert!(!frames.is_between());
        }
    }
}
