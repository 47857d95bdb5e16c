//! A path's readings: what was resolved has nothing more to resolve, and reads the same.

#![no_main]

use edgectl::site::PathReadings;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|path: &str| {
    // The codec lets none of these through.
    if path.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return;
    }
    let Ok(readings) = PathReadings::of(path) else { return };
    let others = readings.others.iter().chain(&readings.references);
    for reading in others.map(String::as_str).chain([&*readings.first]) {
        assert!(reading.starts_with('/'), "{reading:?}");
        assert!(!reading.contains("//"), "{reading:?}");
    }
    // Others may be those of a server that leaves dots alone.
    assert!(!readings.first.split('/').any(|segment| segment == "." || segment == ".."), "{readings:?}");
    if let Some(resolved) = &readings.resolved {
        let again = PathReadings::of(resolved).expect("what was resolved is a path");
        assert_eq!(again.resolved, None, "{resolved:?}");
        let found = (again.first, &again.others, &again.references);
        assert_eq!(found, (readings.first, &readings.others, &readings.references), "{resolved:?}");
    }
});
