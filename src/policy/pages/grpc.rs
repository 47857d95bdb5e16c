//! What a gRPC client is told: it reads `grpc-status` alone, and takes an HTTP error for a broken connection.

use http::StatusCode;

/// gRPC's own table of HTTP statuses (`doc/http-grpc-status-mapping.md`), and RESOURCE_EXHAUSTED for what is too large.
pub fn grpc_status(status: StatusCode) -> u8 {
    const UNKNOWN: u8 = 2;
    const PERMISSION_DENIED: u8 = 7;
    const RESOURCE_EXHAUSTED: u8 = 8;
    const UNIMPLEMENTED: u8 = 12;
    const INTERNAL: u8 = 13;
    const UNAVAILABLE: u8 = 14;
    const UNAUTHENTICATED: u8 = 16;
    match status.as_u16() {
        400 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        413 | 431 => RESOURCE_EXHAUSTED,
        429 | 502..=504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}
