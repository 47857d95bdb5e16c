//! Times in files: RFC 3339, so that people can read them.

use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub fn serialize<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    Timestamp::try_from(*time).map_err(serde::ser::Error::custom)?.serialize(to)
}

pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
    let time = SystemTime::from(Timestamp::deserialize(from)?);
    // Sums with it must stay within what a clock can show.
    let is_sane = time >= SystemTime::UNIX_EPOCH && Timestamp::try_from(time).is_ok();
    if is_sane { Ok(time) } else { Err(de::Error::custom("a time before 1970")) }
}

/// The same for what may be absent.
pub mod option {
    use super::{Deserialize, Deserializer, Serializer, SystemTime, Timestamp};

    #[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
    pub fn serialize<S: Serializer>(time: &Option<SystemTime>, to: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::serialize(time, to),
            None => to.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SystemTime>, D::Error> {
        Ok(Option::<Timestamp>::deserialize(from)?.map(SystemTime::from))
    }
}
