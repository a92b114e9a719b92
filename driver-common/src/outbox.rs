//! Outgoing datagrams between the role and the kernel: equal neighbours joined into one system call, refused ones kept.
//!
//! The role writes at the end of what is already staged. When the new datagrams go to the same place and have the same
//! size, nothing is copied: the stage just grows. So thirty acknowledgements or relayed segments cost one call.

use std::{io, net::SocketAddr};

use pilot_proto::Transmit;

/// The largest UDP payload over IPv4, and so of one segmentation batch: 65 535 − 20 − 8 bytes.
pub(crate) const MAX_BATCH: usize = 65_507;

/// What a role may write in one call.
const LENT: usize = 65_536;

/// Segments above this may not fit the first link (1500 − 20 − 8, over IPv6 − 40 − 8); the kernel refuses to segment
/// those, and quinn-udp would then give up segmentation for the whole socket. Sent one by one, they may be fragmented.
const MAX_OFFLOADED_V4: usize = 1472;
/// The same over IPv6.
const MAX_OFFLOADED_V6: usize = 1452;

/// What became of asking the role once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    /// The role had datagrams.
    Some,
    /// The role has nothing to send.
    Nothing,
    /// The kernel has no room; the role was not asked.
    Full,
}

/// The kernel's side of an [`Outbox`].
pub(crate) trait Kernel {
    /// Hands over `bytes`: one datagram, or several of `segment` bytes each.
    ///
    /// What may not be fragmented is lost on the way if it does not fit.
    fn send(
        &mut self,
        to: SocketAddr,
        bytes: &[u8],
        segment: Option<usize>,
        may_fragment: bool,
    ) -> io::Result<()>;

    /// How many segments one call may carry; falls to 1 when the network card refuses segmentation.
    fn max_segments(&self) -> usize;
}

#[derive(Clone, Copy, Debug)]
struct Batch {
    to: SocketAddr,
    start: usize,
    end: usize,
    segment: usize,
    may_fragment: bool,
}

impl Batch {
    fn len(&self) -> usize {
        self.end - self.start
    }

    fn may_be_offloaded(&self) -> bool {
        let ip = self.to.ip().to_canonical();
        let most = if ip.is_ipv4() { MAX_OFFLOADED_V4 } else { MAX_OFFLOADED_V6 };
        self.segment <= most || ip.is_loopback()
    }

    /// Whether `next`, which lies right behind it in the buffer, can go in the same call.
    fn joins(&self, next: &Batch, max_segments: usize) -> bool {
        self.to == next.to
            && self.may_fragment
            && next.may_fragment
            && self.may_be_offloaded()
            && self.len().is_multiple_of(self.segment)
            && (next.segment == self.segment || (next.len() == next.segment && next.len() < self.segment))
            && self.len() + next.len() <= MAX_BATCH
            && (self.len() + next.len()).div_ceil(self.segment) <= max_segments
    }
}

/// At most two batches: the one that grows, and the one that could not follow it.
#[derive(Debug)]
pub(crate) struct Outbox {
    buffer: Vec<u8>,
    staged: Option<Batch>,
    held: Option<Batch>,
    full: bool,
    /// Datagrams the kernel refused for another reason than lack of room, and that are lost.
    pub(crate) lost: u64,
    /// Why the last one was.
    pub(crate) last_error: Option<io::Error>,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Outbox {
            buffer: vec![0; MAX_BATCH + LENT],
            staged: None,
            held: None,
            full: false,
            lost: 0,
            last_error: None,
        }
    }

    /// Asks the role once and stages what it wrote.
    pub(crate) fn poll(
        &mut self,
        kernel: &mut impl Kernel,
        role: impl FnOnce(&mut [u8]) -> Option<Transmit>,
    ) -> Polled {
        if self.full {
            return Polled::Full;
        }
        if self.staged.is_some_and(|staged| staged.end > MAX_BATCH) {
            self.flush(kernel);
            if self.full {
                return Polled::Full;
            }
        }
        let start = self.staged.map_or(0, |staged| staged.end);
        let Some(transmit) = role(&mut self.buffer[start..start + LENT]) else { return Polled::Nothing };
        let len = transmit.len.min(LENT);
        let segment = transmit.segment_size.filter(|size| (1..len).contains(size)).unwrap_or(len);
        // An address nobody can have would make the kernel say EINVAL, the same word as for refused segmentation.
        if len == 0 || transmit.to.port() == 0 || transmit.to.ip().is_unspecified() {
            self.lost += 1;
            self.last_error = Some(io::Error::other(format!("{len} bytes to {}", transmit.to)));
            return Polled::Some;
        }
        let may_fragment = transmit.may_fragment;
        let next = Batch { to: transmit.to, start, end: start + len, segment, may_fragment };
        match &mut self.staged {
            Some(staged) if staged.joins(&next, kernel.max_segments()) => staged.end = next.end,
            Some(_) => {
                self.held = Some(next);
                self.flush_staged(kernel);
                self.promote_held();
            }
            None => self.staged = Some(next),
        }
        Polled::Some
    }

    /// Hands everything to the kernel, until it has no room.
    pub(crate) fn flush(&mut self, kernel: &mut impl Kernel) {
        while !self.full && self.staged.is_some() {
            self.flush_staged(kernel);
            self.promote_held();
        }
    }

    /// The kernel has room again.
    pub(crate) fn writable(&mut self, kernel: &mut impl Kernel) {
        self.full = false;
        self.flush(kernel);
    }

    /// Whether the kernel refused and something waits for [`Outbox::writable`].
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    fn promote_held(&mut self) {
        if self.staged.is_none()
            && let Some(held) = self.held.take()
        {
            self.buffer.copy_within(held.start..held.end, 0);
            self.staged = Some(Batch { start: 0, end: held.len(), ..held });
        }
    }

    fn flush_staged(&mut self, kernel: &mut impl Kernel) {
        let Some(mut batch) = self.staged.take() else { return };
        while batch.start < batch.end {
            let segments = if batch.may_be_offloaded() {
                kernel.max_segments().min(MAX_BATCH / batch.segment).max(1)
            } else {
                1
            };
            let end = batch.end.min(batch.start.saturating_add(segments * batch.segment));
            let bytes = &self.buffer[batch.start..end];
            let several = (bytes.len() > batch.segment).then_some(batch.segment);
            match kernel.send(batch.to, bytes, several, batch.may_fragment) {
                Ok(()) => batch.start = end,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.full = true;
                    self.staged = Some(batch);
                    return;
                }
                // Segmentation was refused and is now off: the same datagrams again, one by one.
                Err(_) if several.is_some() && kernel.max_segments() == 1 => {}
                Err(e) => {
                    self.lost += bytes.len().div_ceil(batch.segment) as u64;
                    self.last_error = Some(e);
                    batch.start = end;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Fake {
        max: usize,
        room: usize,
        card_refuses: bool,
        calls: Vec<(SocketAddr, Vec<u8>, Option<usize>)>,
        /// What was sent with fragments forbidden.
        whole: Vec<Vec<u8>>,
    }

    impl Kernel for Fake {
        fn send(
            &mut self,
            to: SocketAddr,
            bytes: &[u8],
            segment: Option<usize>,
            may_fragment: bool,
        ) -> io::Result<()> {
            if segment.is_some() && self.card_refuses {
                self.max = 1;
                return Err(io::Error::from_raw_os_error(5));
            }
            if self.room == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.room -= 1;
            self.calls.push((to, bytes.to_vec(), segment));
            self.whole.extend((!may_fragment).then(|| bytes.to_vec()));
            Ok(())
        }

        fn max_segments(&self) -> usize {
            self.max
        }
    }

    fn to(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn put(outbox: &mut Outbox, kernel: &mut Fake, port: u16, data: &[u8], segment: Option<usize>) -> Polled {
        outbox.poll(kernel, |buffer| {
            buffer[..data.len()].copy_from_slice(data);
            Some(Transmit { to: to(port), len: data.len(), segment_size: segment, may_fragment: true })
        })
    }

    #[test]
    fn equal_neighbours_share_one_call_and_a_short_one_ends_it() {
        let (mut outbox, mut kernel) = (Outbox::new(), Fake { max: 64, room: 99, ..Fake::default() });
        for data in [b"aaaa".as_slice(), b"bbbb", b"cc", b"dddd"] {
            put(&mut outbox, &mut kernel, 7, data, None);
        }
        put(&mut outbox, &mut kernel, 8, b"eeee", None);
        outbox.flush(&mut kernel);
        assert_eq!(
            kernel.calls,
            [
                (to(7), b"aaaabbbbcc".to_vec(), Some(4)),
                (to(7), b"dddd".to_vec(), None),
                (to(8), b"eeee".to_vec(), None)
            ]
        );
    }

    #[test]
    fn a_probe_of_the_path_goes_alone_and_whole() {
        let (mut outbox, mut kernel) = (Outbox::new(), Fake { max: 64, room: 99, ..Fake::default() });
        put(&mut outbox, &mut kernel, 7, b"aaaa", None);
        outbox.poll(&mut kernel, |buffer| {
            buffer[..4].copy_from_slice(b"size");
            Some(Transmit { to: to(7), len: 4, segment_size: None, may_fragment: false })
        });
        put(&mut outbox, &mut kernel, 7, b"bbbb", None);
        outbox.flush(&mut kernel);
        assert_eq!(kernel.calls.len(), 3);
        assert_eq!(kernel.whole, [b"size".to_vec()]);
    }

    #[test]
    fn a_batch_never_exceeds_the_largest_datagram_nor_the_segments_of_the_socket() {
        let (mut outbox, mut kernel) = (Outbox::new(), Fake { max: 64, room: 999, ..Fake::default() });
        let data = vec![7; 1400];
        for _ in 0..200 {
            put(&mut outbox, &mut kernel, 7, &data, None);
        }
        put(&mut outbox, &mut kernel, 9, &[1; 65_000], Some(100));
        outbox.flush(&mut kernel);
        assert!(kernel.calls.iter().all(|(_, bytes, _)| bytes.len() <= MAX_BATCH));
        assert!(kernel.calls.iter().all(|(_, bytes, s)| bytes.len().div_ceil(s.unwrap_or(65_536)) <= 64));
        let sent: usize = kernel.calls.iter().map(|(_, bytes, _)| bytes.len()).sum();
        assert_eq!(sent, 200 * 1400 + 65_000);
    }

    #[test]
    fn a_refused_transmit_is_kept_and_the_role_not_asked_until_there_is_room() {
        let (mut outbox, mut kernel) = (Outbox::new(), Fake { max: 64, ..Fake::default() });
        put(&mut outbox, &mut kernel, 7, b"one", None);
        put(&mut outbox, &mut kernel, 8, b"two", None);
        assert!(outbox.is_full());
        assert_eq!(outbox.poll(&mut kernel, |_| panic!("asked")), Polled::Full);
        kernel.room = 1;
        outbox.writable(&mut kernel);
        assert!(outbox.is_full());
        kernel.room = 9;
        outbox.writable(&mut kernel);
        assert_eq!(kernel.calls, [(to(7), b"one".to_vec(), None), (to(8), b"two".to_vec(), None)]);
        assert_eq!(outbox.lost, 0);
    }

    #[test]
    fn a_card_that_refuses_segmentation_gets_them_one_by_one_and_none_is_lost() {
        let (mut outbox, mut kernel) =
            (Outbox::new(), Fake { max: 64, room: 2, card_refuses: true, ..Fake::default() });
        put(&mut outbox, &mut kernel, 7, b"aabbccddee", Some(2));
        outbox.flush(&mut kernel);
        assert!(outbox.is_full(), "room for two of five");
        kernel.room = 9;
        outbox.writable(&mut kernel);
        let sent: Vec<_> = kernel.calls.iter().map(|(_, bytes, _)| bytes.as_slice()).collect();
        assert_eq!(sent, [b"aa", b"bb", b"cc", b"dd", b"ee"]);
    }

    #[test]
    fn segments_that_may_need_fragments_and_impossible_addresses_never_reach_segmentation() {
        let (mut outbox, mut kernel) = (Outbox::new(), Fake { max: 64, room: 9, ..Fake::default() });
        put(&mut outbox, &mut kernel, 7, &[1; 8000], Some(4000));
        put(&mut outbox, &mut kernel, 0, b"nobody", None);
        outbox.flush(&mut kernel);
        assert_eq!(kernel.calls.len(), 2);
        assert!(kernel.calls.iter().all(|(_, bytes, segment)| bytes.len() == 4000 && segment.is_none()));
        assert_eq!(outbox.lost, 1);
    }
}
