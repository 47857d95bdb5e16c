//! Characters that a log must not hand to a terminal or an editor as they came.

/// Whether a character steers what shows it instead of being shown: C0, DEL and C1 (ECMA-48), the line and paragraph separators,
/// and the controls that turn the direction of text around (Unicode's UAX #9), so that a line reads as something that it is not.
#[must_use]
pub fn is_control(character: char) -> bool {
    matches!(character,
        '\0'..='\x1f' | '\x7f'..='\u{9f}'
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The same of any character in it; quick where all is plain ASCII.
#[must_use]
pub fn has_control(text: &str) -> bool {
    text.bytes().any(|byte| !matches!(byte, 0x20..0x7f)) && text.chars().any(is_control)
}
