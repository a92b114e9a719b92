//! A list of entries by node id over lent memory: sorted, so that the gate finds a node in logarithmic time and
//! every listing comes in the same order.

/// Something kept per node.
pub(super) trait Entry {
    fn node(&self) -> u32;
}

/// The first `len` slots are in use, ascending by node id.
#[derive(Debug)]
pub(super) struct Book<'a, T> {
    len: &'a mut usize,
    slots: &'a mut [T],
}

impl<'a, T: Entry> Book<'a, T> {
    pub(super) const fn new(len: &'a mut usize, slots: &'a mut [T]) -> Self {
        Book { len, slots }
    }

    pub(super) fn entries(&self) -> &[T] {
        self.slots.get(..*self.len).unwrap_or_default()
    }

    pub(super) const fn capacity(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_full(&self) -> bool {
        *self.len >= self.slots.len()
    }

    fn find(&self, node: u32) -> Result<usize, usize> {
        self.entries().binary_search_by_key(&node, T::node)
    }

    pub(super) fn get(&self, node: u32) -> Option<&T> {
        find(self.entries(), node)
    }

    pub(super) fn get_mut(&mut self, node: u32) -> Option<&mut T> {
        let at = self.find(node).ok()?;
        self.slots.get_mut(at)
    }

    /// Stores the entry in place of an older one of its node; says whether there was room.
    #[must_use]
    pub(super) fn insert(&mut self, entry: T) -> bool {
        let len = *self.len;
        let at = match self.find(entry.node()) {
            Ok(at) => at,
            Err(at) => {
                let Some(tail) = self.slots.get_mut(at..=len) else { return false };
                tail.rotate_right(1);
                *self.len += 1;
                at
            }
        };
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = entry;
        }
        true
    }

    /// Drops the entry of `node`; says whether there was one.
    pub(super) fn remove(&mut self, node: u32) -> bool {
        let Ok(at) = self.find(node) else { return false };
        if let Some(tail) = self.slots.get_mut(at..*self.len) {
            tail.rotate_left(1);
        }
        *self.len -= 1;
        true
    }
}

/// The entry of `node` in a sorted list.
pub(super) fn find<T: Entry>(entries: &[T], node: u32) -> Option<&T> {
    entries.binary_search_by_key(&node, T::node).ok().and_then(|at| entries.get(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    impl Entry for (u32, u8) {
        fn node(&self) -> u32 {
            self.0
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_btreemap(ops in proptest::collection::vec((any::<bool>(), 0..8_u32, any::<u8>()), 0..100)) {
            let (mut len, mut slots) = (0, [(0, 0); 5]);
            let mut model = BTreeMap::new();
            for (add, node, value) in ops {
                let mut book = Book::new(&mut len, &mut slots);
                if add {
                    let fits = model.len() < 5 || model.contains_key(&node);
                    prop_assert_eq!(book.insert((node, value)), fits);
                    if fits {
                        model.insert(node, value);
                    }
                } else {
                    prop_assert_eq!(book.remove(node), model.remove(&node).is_some());
                }
                prop_assert!(book.entries().iter().copied().eq(model.iter().map(|(n, v)| (*n, *v))));
                prop_assert_eq!(book.get(node).map(|e| e.1), model.get(&node).copied());
                prop_assert_eq!(book.is_full(), model.len() == 5);
            }
        }
    }
}
