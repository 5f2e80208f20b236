//! The cases, a file for each family of rules. The number in a name is the section: of RFC 9111 (`s`), 9110 (`http`), 5861,
//! 8246, 9211 or 9213.

pub(crate) mod storing;
pub(crate) mod fields;
pub(crate) mod vary;
pub(crate) mod freshness;
pub(crate) mod dates;
pub(crate) mod age;
pub(crate) mod stale;
pub(crate) mod validation;
pub(crate) mod second_call;
pub(crate) mod conditionals;
pub(crate) mod ranges;
pub(crate) mod partial;
pub(crate) mod completion;
pub(crate) mod untouched;
pub(crate) mod invalidation;
pub(crate) mod requests;
pub(crate) mod targeted;
pub(crate) mod methods;
pub(crate) mod bursts;
pub(crate) mod uris;
pub(crate) mod messages;
pub(crate) mod updates;
pub(crate) mod late;
pub(crate) mod status;
