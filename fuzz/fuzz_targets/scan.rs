//! The scan of HTTP/1.1 against the codec: where the scan finds no fault, both see the same requests.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(difference) = edgectl::http::fuzzing::compare_scan_with_codec(bytes) {
        panic!("{difference}");
    }
});
