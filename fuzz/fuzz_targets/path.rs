//! A path's readings: what was resolved has nothing more to resolve, and reads the same.

#![no_main]

use edgectl::site::PathReadings;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|path: &str| {
    let Ok(readings) = PathReadings::of(path) else { return };
    for reading in readings.others.iter().map(String::as_str).chain([&*readings.first]) {
        assert!(reading.starts_with('/'), "{reading:?}");
        assert!(!reading.contains("//"), "{reading:?}");
        assert!(!reading.split('/').any(|segment| segment == "." || segment == ".."), "{reading:?}");
    }
    if let Some(resolved) = &readings.resolved {
        let again = PathReadings::of(resolved).expect("what was resolved is a path");
        assert_eq!(again.resolved, None, "{resolved:?}");
        assert_eq!((again.first, &again.others), (readings.first, &readings.others), "{resolved:?}");
    }
});
