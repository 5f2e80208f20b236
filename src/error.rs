//! One error enum a stage.

use std::borrow::Cow;

/// A setting of the handle that can't be used. Never shows a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A variable or field has a value that isn't accepted.
    #[error("{name}: {problem}; accepted: {accepted}")]
    Value {
        /// The environment variable or the field.
        name: Cow<'static, str>,
        /// What is wrong with the value. Credentials are never part of it.
        problem: String,
        /// What would be accepted.
        accepted: &'static str,
    },
    /// A setting needs a feature that this build lacks.
    #[error("{name} needs the crate feature `{feature}`")]
    Feature {
        /// The environment variable or the field.
        name: Cow<'static, str>,
        /// The missing crate feature.
        feature: &'static str,
    },
}

/// A policy or route table that can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A field has a value that isn't accepted.
    #[error("policy field `{field}`: {problem}")]
    Field {
        /// The field of [`PolicyConfig`](crate::PolicyConfig).
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A route pattern can't be matched or stands in the table twice.
    #[error("route `{pattern}`: {problem}")]
    Route {
        /// The pattern as it was given.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
}
