//! The value of a Content-Length field, byte by byte (RFC 9110, 8.6). Pure.

/// How far the value has come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum LengthValue {
    /// Whitespace before the digits.
    #[default]
    Before,
    Digits(u64),
    /// Whitespace behind the digits.
    After(u64),
    /// The CR of the line's end.
    Cr(u64),
    /// A sign, a list, a letter, nothing at all, or more than 64 bits.
    Bad,
}

impl LengthValue {
    pub fn with(self, bytes: &[u8]) -> Self {
        bytes.iter().fold(self, |value, byte| value.after(*byte))
    }

    /// Once its line has ended.
    pub fn value(self) -> Option<u64> {
        if let Self::Cr(length) = self { Some(length) } else { None }
    }

    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Before, b' ' | b'\t') => Self::Before,
            (Self::Before, b'0'..=b'9') => Self::Digits(u64::from(byte - b'0')),
            (Self::Digits(length), b'0'..=b'9') => {
                let digit = u64::from(byte - b'0');
                length.checked_mul(10).and_then(|tens| tens.checked_add(digit)).map_or(Self::Bad, Self::Digits)
            }
            (Self::Digits(length) | Self::After(length), b' ' | b'\t') => Self::After(length),
            (Self::Digits(length) | Self::After(length), b'\r') => Self::Cr(length),
            _ => Self::Bad,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_alone_are_a_length_whatever_space_is_around_them() {
        let spaces = " ".repeat(40);
        for (text, length) in [
            ("0\r", Some(0)),
            (" 5\r", Some(5)),
            ("\t007 \t\r", Some(7)),
            (&format!("{spaces}12{spaces}\r"), Some(12)),
            ("18446744073709551615\r", Some(u64::MAX)),
            ("18446744073709551616\r", None),
            ("99999999999999999999\r", None),
            ("\r", None),
            ("5", None),
            ("+5\r", None),
            ("-5\r", None),
            ("0x5\r", None),
            ("5, 5\r", None),
            ("5 5\r", None),
            ("5\r5\r", None),
            ("5\0\r", None),
        ] {
            assert_eq!(LengthValue::default().with(text.as_bytes()).value(), length, "{text:?}");
        }
    }
}
