//! What any driver's endpoints must do, as functions generic over "start a node": the nodes are in this process, their
//! rendezvous too.

use std::{
    future::{Future, poll_fn},
    io::{self, ErrorKind},
    net::SocketAddr,
    path::PathBuf,
    task::Poll,
    time::Duration,
};

use pilot_driver::embed::{self, Endpoint, Event, SockAddr, Stream};

/// No step of a test may take longer; it fails then instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a node should be.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) registry: SocketAddr,
    pub(crate) beacon: SocketAddr,
    pub(crate) name: &'static str,
    pub(crate) public: bool,
    pub(crate) socket: Option<PathBuf>,
}

/// A driver: how it starts a rendezvous (which lives as long as what is returned) and a node, and joins a daemon.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    pub(crate) rendezvous: fn() -> (SocketAddr, SocketAddr, Box<dyn Send>),
    pub(crate) node: fn(Spec) -> io::Result<Endpoint>,
    pub(crate) local: fn(PathBuf) -> io::Result<Endpoint>,
}

/// A network of this process.
pub(crate) struct World {
    start: Start,
    registry: SocketAddr,
    beacon: SocketAddr,
    _rendezvous: Box<dyn Send>,
}

impl World {
    pub(crate) fn new(start: Start) -> Self {
        let (registry, beacon, rendezvous) = (start.rendezvous)();
        World { start, registry, beacon, _rendezvous: rendezvous }
    }

    fn spec(&self, name: &'static str) -> Spec {
        Spec { registry: self.registry, beacon: self.beacon, name, public: true, socket: None }
    }

    pub(crate) fn node(&self, name: &'static str) -> Endpoint {
        (self.start.node)(self.spec(name)).unwrap()
    }

    fn private(&self, name: &'static str) -> Endpoint {
        (self.start.node)(Spec { public: false, ..self.spec(name) }).unwrap()
    }
}

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    embed::wait(Some(PATIENCE), future).expect("done in time")
}

async fn read(stream: &Stream, buffer: &mut [u8]) -> io::Result<usize> {
    poll_fn(|cx| stream.poll_read(cx, buffer)).await
}

async fn read_all(stream: &Stream) -> io::Result<Vec<u8>> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 32 * 1024]);
    loop {
        match read(stream, &mut buffer).await? {
            0 => return Ok(all),
            n => all.extend_from_slice(&buffer[..n]),
        }
    }
}

async fn write_all(stream: &Stream, mut data: &[u8]) -> io::Result<()> {
    while !data.is_empty() {
        let n = poll_fn(|cx| stream.poll_write(cx, data)).await?;
        data = &data[n..];
    }
    Ok(())
}

async fn close(stream: &Stream) -> io::Result<()> {
    poll_fn(|cx| stream.poll_close(cx)).await
}

/// Both at once, on this thread.
async fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    let (mut a, mut b) = (Box::pin(a), Box::pin(b));
    let (mut left, mut right) = (None, None);
    poll_fn(|cx| {
        if left.is_none()
            && let Poll::Ready(done) = a.as_mut().poll(cx)
        {
            left = Some(done);
        }
        if right.is_none()
            && let Poll::Ready(done) = b.as_mut().poll(cx)
        {
            right = Some(done);
        }
        match (left.take(), right.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (left, right) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}

/// Whether a future is not done yet, having been asked once.
async fn is_pending<T>(future: impl Future<Output = T>) -> bool {
    let mut future = Box::pin(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

/// A stream from `a` to `b`, both ends.
async fn pair(a: &Endpoint, b: &Endpoint, port: u16) -> (Stream, Stream) {
    let listener = b.listen(port).await.unwrap();
    let (ours, theirs) = both(a.connect(&format!("{}:{port}", b.addr())), listener.accept()).await;
    (ours.unwrap(), theirs.unwrap())
}

/// IPC-4: each direction ends by itself, and after everything that was written.
pub(crate) fn a_stream_carries_everything_both_ways_and_ends_one_way_at_a_time(start: Start) {
    let world = World::new(start);
    let (a, b) = (world.node("a"), world.node("b"));
    run(async {
        let listener = b.listen(1000).await.unwrap();
        assert_eq!(b.listen(1000).await.unwrap_err().kind(), ErrorKind::AddrInUse);
        let (ours, theirs) = both(a.connect("b:1000"), listener.accept()).await;
        let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
        assert_eq!((ours.peer().addr, ours.peer().port, theirs.peer().addr), (b.addr(), 1000, a.addr()));
        let data = pattern(3_000_001);
        let there = async {
            write_all(&ours, &data).await.unwrap();
            close(&ours).await.unwrap();
            assert_eq!(write_all(&ours, b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
            read_all(&ours).await.unwrap()
        };
        let back = async {
            let got = read_all(&theirs).await.unwrap();
            // The other side has finished, and still reads.
            write_all(&theirs, &got).await.unwrap();
            close(&theirs).await.unwrap();
            got
        };
        let (echoed, got) = both(there, back).await;
        assert!(got == data && echoed == data);
    });
}

/// IPC-3: one that stands still holds up nobody else, and costs its window.
pub(crate) fn a_stream_that_nobody_reads_stops_its_writer_and_nobody_else(start: Start) {
    let world = World::new(start);
    let (a, b) = (world.node("a"), world.node("b"));
    run(async {
        let (slow, unread) = pair(&a, &b, 1).await;
        let (quick, read_at_once) = pair(&a, &b, 2).await;
        let data = pattern(64 << 20);
        let mut written = 0;
        // Until neither our window, nor the node's, nor the peer's takes more.
        loop {
            let mut step = Box::pin(poll_fn(|cx| slow.poll_write(cx, &data[written..])));
            let until_quiet = poll_fn(|cx| step.as_mut().poll(cx));
            let Some(taken) = within(Duration::from_millis(500), until_quiet).await else { break };
            drop(step);
            written += taken.unwrap();
        }
        assert!(written < 32 << 20, "{written} bytes are somewhere");
        let more = pattern(2_000_000);
        let (sent, got) = both(
            async {
                write_all(&quick, &more).await.unwrap();
                close(&quick).await
            },
            read_all(&read_at_once),
        )
        .await;
        sent.unwrap();
        assert!(got.unwrap() == more, "the other stream is not held up");
        let (sent, got) = both(close(&slow), read_all(&unread)).await;
        sent.unwrap();
        assert!(got.unwrap() == data[..written], "everything comes once it is read");
    });
}

/// `future`, or `None` after `time`: timers of this thread, so that no runtime is needed.
async fn within<T>(time: Duration, future: impl Future<Output = T>) -> Option<T> {
    let mut future = Box::pin(future);
    let (rung, mut started) = (std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)), false);
    poll_fn(move |cx| {
        if let Poll::Ready(done) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        if rung.load(std::sync::atomic::Ordering::SeqCst) {
            return Poll::Ready(None);
        }
        if !std::mem::replace(&mut started, true) {
            let (rung, waker) = (rung.clone(), cx.waker().clone());
            std::thread::spawn(move || {
                std::thread::sleep(time);
                rung.store(true, std::sync::atomic::Ordering::SeqCst);
                waker.wake();
            });
        }
        Poll::Pending
    })
    .await
}

pub(crate) fn what_is_written_before_the_end_arrives(start: Start) {
    let world = World::new(start);
    let (a, b) = (world.node("a"), world.node("b"));
    run(async {
        let (ours, theirs) = pair(&a, &b, 1000).await;
        let data = pattern(5_000_000);
        let send = async {
            write_all(&ours, &data).await.unwrap();
            close(&ours).await.unwrap();
            drop(ours);
            a.shutdown().await;
        };
        let ((), got) = both(send, read_all(&theirs)).await;
        assert!(got.unwrap() == data);
        // Letting go of everything is as good.
        let c = world.node("c");
        let (ours, theirs) = pair(&c, &b, 1001).await;
        let send = async move {
            write_all(&ours, &pattern(2_000_000)).await.unwrap();
            drop((ours, c));
        };
        let ((), got) = both(send, read_all(&theirs)).await;
        assert!(got.unwrap() == pattern(2_000_000));
    });
}

/// IPC-2: calls wait for no other call, and what nobody waits for any more leaves nothing behind.
pub(crate) fn dropped_futures_lose_nothing_and_leave_nothing(start: Start) {
    let world = World::new(start);
    let (a, b) = (world.node("a"), world.node("b"));
    run(async {
        let listener = b.listen(1000).await.unwrap();
        assert!(is_pending(listener.accept()).await);
        // A dial given up at once is closed when it comes about; here that is before anybody accepts.
        let _ = is_pending(a.connect_to(SockAddr::new(b.addr(), 1000))).await;
        let given_up = listener.accept().await.unwrap();
        assert_eq!(read_all(&given_up).await.unwrap(), b"");
        let (ours, theirs) = both(a.connect("b:1000"), listener.accept()).await;
        let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
        let mut buffer = [0; 5];
        assert!(is_pending(read(&theirs, &mut buffer)).await);
        write_all(&ours, b"hello").await.unwrap();
        assert_eq!(read(&theirs, &mut buffer).await.unwrap(), 5);
        assert_eq!(&buffer, b"hello");
        drop((ours, theirs, listener));
        let listener = b.listen(1000).await.expect("the port was given back");
        drop(listener);
        // Requests are handled in order: after this answer the port is free.
        b.info().await.unwrap();
        let refused = a.connect("b:1000").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{refused}");
        assert_eq!(a.connect("b").await.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert!(a.connect("nobody:1").await.is_err());
    });
}

/// IPC-6: requests for trust are events, and their answer opens the way.
pub(crate) fn trust_is_asked_for_and_given_as_events(start: Start) {
    let world = World::new(start);
    let (a, b) = (world.private("a"), world.private("b"));
    run(async {
        let mut events = b.events().await.unwrap();
        let asked = a.request_trust(b.addr().node, "let us talk").await;
        asked.unwrap();
        loop {
            match events.next().await.unwrap() {
                Event::TrustRequested { node, justification } => {
                    assert_eq!((node, justification.as_str()), (a.addr().node, "let us talk"));
                    break;
                }
                Event::Other { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        let mut late = b.events().await.unwrap();
        assert!(matches!(late.next().await.unwrap(), Event::TrustRequested { .. }), "it still waits");
        b.approve(a.addr().node).await.unwrap();
        while events.next().await.unwrap() != (Event::Trusted { node: a.addr().node }) {}
        assert!(a.wait_trusted(b.addr().node, PATIENCE).await.unwrap());
        let (ours, theirs) = pair(&a, &b, 5).await;
        write_all(&ours, b"hi").await.unwrap();
        close(&ours).await.unwrap();
        assert_eq!(read_all(&theirs).await.unwrap(), b"hi");
    });
}

pub(crate) fn datagrams_arrive_with_their_sender(start: Start) {
    let world = World::new(start);
    let (a, b) = (world.node("a"), world.node("b"));
    run(async {
        let datagrams = b.datagrams(9).unwrap();
        assert_eq!(b.datagrams(9).unwrap_err().kind(), ErrorKind::AddrInUse);
        a.send_datagram("b:9", b"one").await.unwrap();
        let (data, from) = datagrams.recv().await.unwrap();
        assert_eq!((data.as_slice(), from.addr), (b"one".as_slice(), a.addr()));
        assert!(a.send_datagram("b:9", &[0; 70_000]).await.is_err());
    });
}

/// IPC-1: one line makes the difference between a node of one's own and a daemon.
pub(crate) fn a_daemons_client_is_an_endpoint_too(start: Start) {
    let world = World::new(start);
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let daemon = (start.node)(Spec { socket: Some(socket.clone()), ..world.spec("b") }).unwrap();
    let client = (start.local)(socket.clone()).unwrap();
    let a = world.node("a");
    assert_eq!(client.addr(), daemon.addr());
    run(async {
        let (ours, theirs) = pair(&a, &client, 1000).await;
        let (back, there) = pair(&client, &a, 1001).await;
        let data = pattern(1_000_000);
        for (from, to) in [(&ours, &theirs), (&back, &there)] {
            let send = async {
                write_all(from, &data).await.unwrap();
                close(from).await.unwrap();
            };
            let ((), got) = both(send, read_all(to)).await;
            assert!(got.unwrap() == data);
        }
        // A client that leaves takes nothing of what it wrote with it.
        write_all(&theirs, b"goodbye").await.unwrap();
        drop(theirs);
        client.shutdown().await;
        assert_eq!(read_all(&ours).await.unwrap(), b"goodbye");
        // The daemon ends under its client.
        let client = embed_local(start, socket).await;
        let listener = client.listen(7000).await.unwrap();
        let ((), gone) = both(daemon.shutdown(), listener.accept()).await;
        assert_eq!(gone.unwrap_err().kind(), ErrorKind::NotConnected);
    });
}

async fn embed_local(start: Start, socket: PathBuf) -> Endpoint {
    (start.local)(socket).unwrap()
}

pub(crate) fn two_hundred_ports_and_a_thousand_streams_at_once(start: Start) {
    let world = World::new(start);
    let b = world.node("b");
    // One node may ask for 64 streams at once, and then for ten a second; one host may register ten nodes a minute.
    let many: Vec<Endpoint> = (0..8).map(|_| world.node("")).collect();
    run(async {
        let mut listeners = Vec::new();
        for port in 2000..2200 {
            listeners.push(b.listen(port).await.unwrap());
        }
        let mut streams = Vec::new();
        for i in 0..1000_u16 {
            let listener = &listeners[usize::from(i % 200)];
            let target = format!("{}:{}", b.addr(), listener.port());
            let a = &many[usize::from(i % 8)];
            let (ours, theirs) = both(a.connect(&target), listener.accept()).await;
            streams.push((ours.unwrap(), theirs.unwrap()));
        }
        for (i, (ours, _)) in streams.iter().enumerate() {
            write_all(ours, format!("I am {i:04}").as_bytes()).await.unwrap();
            close(ours).await.unwrap();
        }
        for (i, (_, theirs)) in streams.iter().enumerate().rev() {
            assert_eq!(read_all(theirs).await.unwrap(), format!("I am {i:04}").as_bytes());
        }
    });
}

pub(crate) fn a_network_that_cannot_be_joined_is_said(start: Start) {
    let world = World::new(start);
    let dir = tempfile::tempdir().unwrap();
    let taken = dir.path().join("file");
    std::fs::write(&taken, "").unwrap();
    let Err(refused) = (start.node)(Spec { socket: Some(taken), ..world.spec("a") }) else {
        panic!("joined")
    };
    assert!(refused.to_string().contains("could not join"), "{refused}");
    assert!((start.local)(dir.path().join("none")).is_err());
}

/// One `#[test]` per function, run with the given [`Start`].
macro_rules! tests {
    ($start:expr) => {
        embed::tests!($start;
            a_stream_carries_everything_both_ways_and_ends_one_way_at_a_time,
            a_stream_that_nobody_reads_stops_its_writer_and_nobody_else,
            what_is_written_before_the_end_arrives,
            dropped_futures_lose_nothing_and_leave_nothing,
            trust_is_asked_for_and_given_as_events,
            datagrams_arrive_with_their_sender,
            a_daemons_client_is_an_endpoint_too,
            two_hundred_ports_and_a_thousand_streams_at_once,
            a_network_that_cannot_be_joined_is_said
        );
    };
    ($start:expr; $($name:ident),*) => {
        $(#[test] fn $name() { embed::$name($start); })*
    };
}
pub(crate) use tests;
