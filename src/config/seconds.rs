//! Durations as numbers of seconds, with fractions. Negative and unbounded ones are errors.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de::Error};

pub(crate) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
    if value.subsec_nanos() == 0 {
        to.serialize_u64(value.as_secs())
    } else {
        to.serialize_f64(value.as_secs_f64())
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(from)?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| D::Error::custom(format_args!("{seconds} is not a time in seconds")))
}

/// A duration inside another container.
#[derive(Deserialize, serde::Serialize)]
struct Seconds(#[serde(with = "super::seconds")] Duration);

/// For `Option<Duration>`.
pub(crate) mod option {
    use serde::Serialize;

    use super::{Deserialize, Deserializer, Duration, Seconds, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        value.map(Seconds).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Seconds>::deserialize(from)?.map(|Seconds(value)| value))
    }
}

/// For a map from status codes to durations.
pub(crate) mod by_status {
    use std::collections::BTreeMap;

    use super::{Deserialize, Deserializer, Duration, Seconds, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        value: &BTreeMap<u16, Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_map(value.iter().map(|(status, ttl)| (status, Seconds(*ttl))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<u16, Duration>, D::Error> {
        let map = BTreeMap::<u16, Seconds>::deserialize(from)?;
        Ok(map.into_iter().map(|(status, Seconds(ttl))| (status, ttl)).collect())
    }
}
