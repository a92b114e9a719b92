//! The ports on which streams are accepted: sorted, in lent memory.

/// A port on which streams are accepted. Opaque; the owner only provides room for it.
#[derive(Clone, Copy, Debug)]
pub struct Listener {
    pub(super) port: u16,
    /// Streams accepted on it that are open.
    pub(super) open: u32,
}

impl Listener {
    /// An unused slot.
    pub const EMPTY: Listener = Listener { port: 0, open: 0 };
}

impl Default for Listener {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// The listeners joined with their lent slots, for one call.
#[derive(Debug)]
pub(super) struct Listeners<'a> {
    len: &'a mut usize,
    slots: &'a mut [Listener],
}

impl<'a> Listeners<'a> {
    pub(super) const fn new(len: &'a mut usize, slots: &'a mut [Listener]) -> Self {
        Listeners { len, slots }
    }

    fn find(&self, port: u16) -> Result<usize, usize> {
        self.slots.get(..*self.len).unwrap_or_default().binary_search_by_key(&port, |listener| listener.port)
    }

    pub(super) fn contains(&self, port: u16) -> bool {
        self.find(port).is_ok()
    }

    pub(super) fn get_mut(&mut self, port: u16) -> Option<&mut Listener> {
        let at = self.find(port).ok()?;
        self.slots.get_mut(at)
    }

    /// Adds a port that is not there yet; says whether there was room.
    #[must_use]
    pub(super) fn insert(&mut self, port: u16) -> bool {
        let Err(at) = self.find(port) else { return false };
        let Some(tail) = self.slots.get_mut(at..=*self.len) else { return false };
        tail.rotate_right(1);
        if let Some(slot) = tail.first_mut() {
            *slot = Listener { port, open: 0 };
        }
        *self.len += 1;
        true
    }

    pub(super) fn remove(&mut self, port: u16) {
        let Ok(at) = self.find(port) else { return };
        if let Some(tail) = self.slots.get_mut(at..*self.len) {
            tail.rotate_left(1);
            *self.len -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_stay_sorted_and_a_full_table_takes_no_more() {
        let (mut len, mut slots) = (0, [Listener::EMPTY; 3]);
        let mut listeners = Listeners::new(&mut len, &mut slots);
        assert!(listeners.insert(80) && listeners.insert(7) && listeners.insert(443));
        assert!(!listeners.insert(9), "full");
        assert!(listeners.contains(7) && listeners.contains(80) && listeners.contains(443));
        listeners.remove(9);
        listeners.remove(80);
        assert!(!listeners.contains(80));
        assert!(!listeners.insert(7), "already there");
        assert!(listeners.insert(9));
        assert_eq!(slots.map(|listener| listener.port), [7, 9, 443]);
    }
}
