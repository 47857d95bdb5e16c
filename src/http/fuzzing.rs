//! What the fuzz targets in `fuzz/` reach of this module's inside. Built for them alone.

pub use super::connection::compare as compare_scan_with_codec;
pub use super::tunnel::follow_frames;
