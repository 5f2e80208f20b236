//! What the map asks of the configuration.

/// Bounds.
pub(crate) struct LimitsConfig {
    pub(crate) max_fills: usize,
    pub(crate) max_orphan_fills: usize,
    pub(crate) finish_fills: bool,
}
