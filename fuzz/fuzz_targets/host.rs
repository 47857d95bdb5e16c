//! The host of a head: never more than one name, in the form in which sites are found.

#![no_main]

use edgectl::decide::host_of;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &[u8])| {
    let (target, host) = input;
    let Ok(request) = http::Request::get(target).header("host", host).body(()) else { return };
    let (head, ()) = request.into_parts();
    let Ok(host) = host_of(&head) else { return };
    assert!(host.name.len() <= 255, "{host:?}");
    assert!(!host.name.bytes().any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_control() || b" /@,[]".contains(&byte)), "{host:?}");
});
