//! A list that needs no heap while it is short.

/// A list of which the first `N` items live in place. Past them all items move to the heap.
pub(super) struct Few<T, const N: usize> {
    inline: [T; N],
    used: usize,
    spilled: Vec<T>,
}

impl<T: Copy + Default, const N: usize> Few<T, N> {
    /// An empty list; allocates nothing.
    pub(super) fn new() -> Self {
        Self { inline: [T::default(); N], used: 0, spilled: Vec::new() }
    }

    /// Adds an item at the end.
    pub(super) fn push(&mut self, item: T) {
        if let Some(place) = self.inline.get_mut(self.used) {
            *place = item;
            self.used += 1;
            return;
        }
        if self.spilled.is_empty() {
            self.spilled.extend_from_slice(&self.inline);
        }
        self.spilled.push(item);
    }

    /// All items.
    pub(super) fn as_slice(&self) -> &[T] {
        if self.spilled.is_empty() { self.inline.get(..self.used).unwrap_or_default() } else { &self.spilled }
    }

    /// All items, to be reordered.
    pub(super) fn as_mut_slice(&mut self) -> &mut [T] {
        if self.spilled.is_empty() {
            self.inline.get_mut(..self.used).unwrap_or_default()
        } else {
            &mut self.spilled
        }
    }
}
