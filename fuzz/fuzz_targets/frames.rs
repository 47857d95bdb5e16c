//! WebSocket frames: where they end does not depend on how they come.

#![no_main]

use edgectl::http::fuzzing::follow_frames;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, u8, &[u8])| {
    let (from_client, size, bytes) = input;
    let whole = follow_frames(from_client, bytes, bytes.len().max(1));
    let parts = follow_frames(from_client, bytes, usize::from(size).max(1));
    assert_eq!(whole, parts);
});
