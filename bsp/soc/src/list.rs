//! Lists that grow while the compiler evaluates a constant.

/// Up to `N` items.
#[derive(Clone, Copy, Debug)]
pub struct List<T: Copy, const N: usize> {
    items: [T; N],
    len: usize,
}

impl<T: Copy, const N: usize> List<T, N> {
    /// Of no items. `filler` stands where there is none.
    #[must_use]
    pub const fn new(filler: T) -> Self {
        Self {
            items: [filler; N],
            len: 0,
        }
    }

    /// With one more.
    ///
    /// # Panics
    /// When there are `N` already: in a constant, an error of the compiler.
    #[must_use]
    pub const fn with(mut self, item: T) -> Self {
        self.items[self.len] = item;
        self.len += 1;
        self
    }

    /// With all of `items`.
    ///
    /// # Panics
    /// As [`with`](Self::with).
    #[must_use]
    pub const fn with_all(mut self, items: &[T]) -> Self {
        let mut n = 0;
        while n < items.len() {
            self = self.with(items[n]);
            n += 1;
        }
        self
    }

    /// The items.
    #[must_use]
    pub const fn as_slice(&self) -> &[T] {
        self.items.split_at(self.len).0
    }
}
