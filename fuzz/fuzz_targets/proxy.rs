//! The PROXY header: bounded, whatever comes, and not a byte more is read than it has.

#![no_main]

use edgectl::listen::read_proxy_header;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut rest = bytes;
    if runtime.block_on(read_proxy_header(&mut rest)).is_ok() {
        let header = &bytes[..bytes.len() - rest.len()];
        let mut alone = header;
        assert!(runtime.block_on(read_proxy_header(&mut alone)).is_ok(), "the header alone is one too");
        assert!(alone.is_empty());
    }
});
