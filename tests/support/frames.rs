//! WebSocket frames by hand (RFC 6455, 5.2).

use super::wire::Wire;

/// One frame as it came, unmasked: its first byte, whether it was masked, its payload.
pub fn frame(wire: &mut Wire) -> std::io::Result<(u8, bool, Vec<u8>)> {
    let head = wire.exactly(2)?;
    let is_masked = head[1] & 0x80 != 0;
    let length = match head[1] & 0x7f {
        126 => wire.exactly(2)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
        127 => wire.exactly(8)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
        short => usize::from(short),
    };
    let mask = if is_masked { wire.exactly(4)? } else { vec![0; 4] };
    let payload = wire.exactly(length)?;
    Ok((head[0], is_masked, payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()))
}

/// What a client would send.
pub fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [7, 0, 255, 9];
    let masked = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    [0x80 | opcode, 0x80 | u8::try_from(payload.len()).unwrap()].into_iter().chain(mask).chain(masked).collect()
}

pub fn closing(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}
