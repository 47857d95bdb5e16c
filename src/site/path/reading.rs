//! One way to read a path: what is a slash, what a `;` means, whether `//` begins a host.
//!
//! Owns the decoding and the resolving of dots for each of them. Which of them matter for a path: [`all_readings`].

/// A path that climbs above the root, holds NUL, or is not percent-encoded properly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPath;

/// How a server may read what RFC 3986 leaves open.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reading {
    /// `%2F` ends a segment.
    pub decodes_slash: bool,
    /// A backslash ends a segment, also an encoded one.
    pub takes_backslash: bool,
    pub params: Params,
}

/// What a `;` in a segment means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Params {
    #[default]
    Kept,
    /// It and what follows is cut, up to the next slash as the client wrote it.
    CutToSlash,
    /// The same, also from an encoded one, and up to any end of a segment.
    CutToEnd,
}

/// Every way to read what is in the path.
pub(super) fn all_readings(path: &[u8]) -> impl Iterator<Item = Reading> {
    let has_slash = encodes(path, b'/');
    let has_backslash = path.contains(&b'\\') || encodes(path, b'\\');
    let has_params = path.contains(&b';') || encodes(path, b';');
    let choices = |is_there: bool| if is_there { &[false, true][..] } else { &[false] };
    let params: &[Params] =
        if has_params { &[Params::Kept, Params::CutToSlash, Params::CutToEnd] } else { &[Params::Kept] };
    choices(has_slash).iter().flat_map(move |decodes_slash| {
        choices(has_backslash).iter().flat_map(move |takes_backslash| {
            params.iter().map(|params| Reading {
                decodes_slash: *decodes_slash,
                takes_backslash: *takes_backslash,
                params: *params,
            })
        })
    })
}

/// Whether this byte is in the path percent-encoded.
fn encodes(path: &[u8], byte: u8) -> bool {
    path.windows(3).any(|part| part[0] == b'%' && hex(part[1]).zip(hex(part[2])) == Some((byte >> 4, byte & 15)))
}

pub(super) fn read(path: &[u8], reading: Reading) -> Result<String, BadPath> {
    resolved(&decode(path, reading)?)
}

/// The same for `note`, and where dot segments come out of the decoding, also as who leaves them alone sees it.
pub(super) fn read_both(path: &[u8], reading: Reading, mut note: impl FnMut(String)) -> Result<(), BadPath> {
    let decoded = decode(path, reading)?;
    note(resolved(&decoded)?);
    if segments(&decoded).any(|segment| matches!(segment, b"." | b"..")) {
        let names = segments(&decoded).filter(|segment| !segment.is_empty());
        let merged: Vec<u8> = names.flat_map(|name| std::iter::once(b'/').chain(name.iter().copied())).collect();
        note(String::from_utf8_lossy(&merged).into_owned());
    }
    Ok(())
}

fn resolved(decoded: &[u8]) -> Result<String, BadPath> {
    let mut out = Vec::with_capacity(decoded.len());
    for segment in segments(decoded) {
        match segment {
            b"" | b"." => {}
            b".." => {
                let parent = out.iter().rposition(|b| *b == b'/').ok_or(BadPath)?;
                out.truncate(parent);
            }
            name => {
                out.push(b'/');
                out.extend_from_slice(name);
            }
        }
    }
    let ends_in_folder = matches!(segments(decoded).last(), Some(b"" | b"." | b".."));
    if ends_in_folder || out.is_empty() {
        out.push(b'/');
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn decode(path: &[u8], reading: Reading) -> Result<Vec<u8>, BadPath> {
    let mut out = Vec::with_capacity(path.len());
    let mut is_cut = false;
    let mut rest = path;
    while let Some((&first, tail)) = rest.split_first() {
        let mut is_encoded = false;
        let mut byte = first;
        rest = tail;
        if first == b'%' {
            let [high, low, after @ ..] = tail else { return Err(BadPath) };
            byte = (hex(*high).ok_or(BadPath)? << 4) | hex(*low).ok_or(BadPath)?;
            is_encoded = true;
            rest = after;
        }
        let ends_segment = match byte {
            0 => return Err(BadPath),
            b'/' => !is_encoded || reading.decodes_slash,
            b'\\' => reading.takes_backslash,
            _ => false,
        };
        if ends_segment {
            let ends_params = reading.params == Params::CutToEnd || byte == b'/' && !is_encoded;
            is_cut &= !ends_params;
        }
        is_cut |= byte == b';'
            && match reading.params {
                Params::Kept => false,
                Params::CutToSlash => !is_encoded,
                Params::CutToEnd => true,
            };
        match byte {
            _ if is_cut => {}
            _ if ends_segment => out.push(b'/'),
            b'/' => out.extend_from_slice(b"%2F"),
            byte => out.push(byte),
        }
    }
    Ok(out)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
}
