//! A bounded queue of byte records over lent memory: what waits for a key, an answer or the application.
//!
//! Every record lies in one piece, so that a waiting frame can be opened in place. A record that does not fit before
//! the end of the lent bytes starts at their beginning; the rest at the end stays unused until the queue has passed it.

/// Bytes that each record costs besides its content.
pub const RECORD_OVERHEAD: usize = HEADER;

const HEADER: usize = 4;
/// In place of a length: the next record is at the beginning.
const WRAP: u32 = u32::MAX;

/// What a ring remembers between calls, apart from the lent bytes.
#[derive(Clone, Debug, Default)]
pub struct RingState {
    head: usize,
    tail: usize,
    records: usize,
}

impl RingState {
    /// An empty ring.
    pub const fn new() -> Self {
        RingState { head: 0, tail: 0, records: 0 }
    }

    /// Number of records.
    pub const fn len(&self) -> usize {
        self.records
    }

    /// Whether there is no record.
    pub const fn is_empty(&self) -> bool {
        self.records == 0
    }
}

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// No room now; popping makes some.
    Full {
        /// Length of the record.
        len: usize,
    },
    /// It would not fit into an empty ring either.
    TooLong {
        /// Length of the record.
        len: usize,
        /// Longest record this ring can hold.
        max: usize,
    },
}

impl core::fmt::Display for RingError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            RingError::Full { len } => write!(f, "queue full: no room for a record of {len} bytes"),
            RingError::TooLong { len, max } => {
                write!(f, "record of {len} bytes never fits: the queue takes at most {max}")
            }
        }
    }
}

impl core::error::Error for RingError {}

/// The ring joined with its lent bytes, for one call.
#[derive(Debug)]
pub struct Ring<'a> {
    state: &'a mut RingState,
    bytes: &'a mut [u8],
}

impl<'a> Ring<'a> {
    /// Joins the state with its bytes, the same ones at every call; their content does not matter while it is new.
    pub const fn new(state: &'a mut RingState, bytes: &'a mut [u8]) -> Self {
        Ring { state, bytes }
    }

    /// Number of records.
    pub const fn len(&self) -> usize {
        self.state.records
    }

    /// Whether there is no record.
    pub const fn is_empty(&self) -> bool {
        self.state.records == 0
    }

    /// Longest record an empty ring can hold.
    pub const fn max_record(&self) -> usize {
        let room = self.bytes.len().saturating_sub(HEADER);
        if room < WRAP as usize { room } else { WRAP as usize - 1 }
    }

    /// Appends one record made of `parts`, one after the other.
    pub fn push(&mut self, parts: &[&[u8]]) -> Result<(), RingError> {
        let len = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
        let max = self.max_record();
        if len > max || self.bytes.len() < HEADER {
            return Err(RingError::TooLong { len, max });
        }
        let need = HEADER + len;
        let RingState { head, tail, records } = *self.state;
        let wrapped = records > 0 && tail <= head;
        let room = if wrapped { head - tail } else { self.bytes.len() - tail };
        let start = if need <= room {
            tail
        } else if !wrapped && need <= head {
            self.write_header(tail, WRAP);
            0
        } else {
            return Err(RingError::Full { len });
        };
        self.write_header(start, len as u32);
        let mut at = start + HEADER;
        for part in parts {
            if let Some(place) = self.bytes.get_mut(at..at + part.len()) {
                place.copy_from_slice(part);
            }
            at += part.len();
        }
        self.state.tail = at;
        self.state.records += 1;
        Ok(())
    }

    /// The oldest record.
    pub fn front(&self) -> Option<&[u8]> {
        self.bytes.get(self.front_range()?)
    }

    /// The oldest record, to be changed in place.
    pub fn front_mut(&mut self) -> Option<&mut [u8]> {
        let range = self.front_range()?;
        self.bytes.get_mut(range)
    }

    /// Drops the oldest record; says whether there was one.
    pub fn pop(&mut self) -> bool {
        let Some(range) = self.front_range() else { return false };
        self.state.records -= 1;
        if self.state.records == 0 {
            self.clear();
        } else {
            let ends_here = matches!(self.read_header(range.end), None | Some(WRAP));
            self.state.head = if ends_here { 0 } else { range.end };
        }
        true
    }

    /// Drops every record.
    pub fn clear(&mut self) {
        *self.state = RingState::new();
    }

    fn front_range(&self) -> Option<core::ops::Range<usize>> {
        if self.is_empty() {
            return None;
        }
        let start = self.state.head + HEADER;
        Some(start..start + self.read_header(self.state.head)? as usize)
    }

    fn read_header(&self, at: usize) -> Option<u32> {
        self.bytes.get(at..).and_then(|rest| rest.first_chunk()).map(|header| u32::from_be_bytes(*header))
    }

    /// Writes nothing if fewer than four bytes are left: reading there then finds none, which means wrap as well.
    fn write_header(&mut self, at: usize, value: u32) {
        if let Some(header) = self.bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
            *header = value.to_be_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        #[test]
        fn it_is_a_queue_and_refuses_only_for_want_of_room(
            size in 0..60_usize,
            ops in proptest::collection::vec(proptest::option::of(proptest::collection::vec(any::<u8>(), 0..24)), 0..200),
        ) {
            let mut state = RingState::new();
            let mut bytes = vec![0xa5; size];
            let mut model: VecDeque<Vec<u8>> = VecDeque::new();
            for op in ops {
                let mut ring = Ring::new(&mut state, &mut bytes);
                match op {
                    None => prop_assert_eq!(ring.pop(), model.pop_front().is_some()),
                    Some(record) => {
                        let cut = record.len() / 3;
                        match ring.push(&[&record[..cut], &[], &record[cut..]]) {
                            Ok(()) => model.push_back(record),
                            Err(RingError::TooLong { len, max }) => {
                                prop_assert_eq!((len, max), (record.len(), size.saturating_sub(HEADER)));
                                prop_assert!(len + HEADER > size);
                            }
                            Err(RingError::Full { .. }) => {
                                // Free bytes lie before and behind the records, or lie between them and less than
                                // one waiting record is lost at the end.
                                let need = record.len() + HEADER;
                                let sizes = || model.iter().map(|r| r.len() + HEADER);
                                let lost = sizes().max().unwrap_or(0).max(need);
                                prop_assert!(sizes().sum::<usize>() + need + lost > size);
                            }
                        }
                    }
                }
                prop_assert_eq!(ring.len(), model.len());
                prop_assert_eq!(ring.front(), model.front().map(Vec::as_slice));
            }
        }
    }

    #[test]
    fn a_ring_can_be_filled_to_the_last_byte() {
        let mut state = RingState::new();
        let mut bytes = [0; 12];
        let mut ring = Ring::new(&mut state, &mut bytes);
        ring.push(&[b"ab"]).unwrap();
        ring.push(&[b"cd"]).unwrap();
        assert_eq!(ring.push(&[b""]), Err(RingError::Full { len: 0 }));
        assert!(ring.pop());
        ring.push(&[b"e", b"f"]).unwrap();
        assert_eq!(ring.push(&[b""]), Err(RingError::Full { len: 0 }));
        ring.front_mut().unwrap().reverse();
        assert_eq!(ring.front(), Some(&b"dc"[..]));
        assert!(ring.pop());
        assert_eq!(ring.front(), Some(&b"ef"[..]));
        assert_eq!(ring.push(&[&[0; 9]]), Err(RingError::TooLong { len: 9, max: 8 }));
    }
}
