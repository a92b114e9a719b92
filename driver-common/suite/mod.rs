//! What any driver must do for any role, as functions generic over "run this role": a driver's test crate gives a
//! function that starts a [`Probe`] on a [`Layout`] and names it to [`tests!`].

mod probe;

use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::PathBuf,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

pub(crate) use probe::Probe;
use tempfile::TempDir;

/// No step of a test may take longer; it fails then instead of hanging.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the probe's abstract things are.
pub(crate) struct Layout {
    /// Its UDP socket.
    pub(crate) udp: UdpSocket,
    /// Its listener of commands (`Listener::Registry`).
    pub(crate) tcp: TcpListener,
    /// Where its echoing listener (`Listener::Ipc`) must be.
    pub(crate) unix: PathBuf,
    /// What `Dial::Registry` is.
    pub(crate) dial: String,
    /// The file of the record store.
    pub(crate) store: PathBuf,
    /// The directory of `Area::State`, not made yet.
    pub(crate) state: PathBuf,
}

/// A driver that runs the probe on a thread.
pub(crate) struct Running {
    /// Asks it to shut the role down.
    pub(crate) stop: Box<dyn Fn()>,
    /// Ends with the exit status.
    pub(crate) role: JoinHandle<u8>,
}

/// Starts a probe, which was told how many records the store held.
pub(crate) type Start = fn(Layout) -> Running;

/// One running probe and where to reach it.
pub(crate) struct Bench {
    udp: SocketAddr,
    tcp: SocketAddr,
    dir: TempDir,
    running: Running,
}

impl Bench {
    pub(crate) fn start(start: Start) -> Self {
        Bench::start_in(start, tempfile::tempdir().unwrap(), "127.0.0.1:1")
    }

    /// A probe that dials `dial`, for tests of one driver's own.
    pub(crate) fn start_with(dial: &str, start: impl FnOnce(Layout) -> Running) -> Self {
        Bench::start_in(start, tempfile::tempdir().unwrap(), dial)
    }

    fn start_in(start: impl FnOnce(Layout) -> Running, dir: TempDir, dial: &str) -> Self {
        let (udp, tcp) = (UdpSocket::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        tcp.set_nonblocking(true).unwrap();
        let (udp_addr, tcp_addr) = (udp.local_addr().unwrap(), tcp.local_addr().unwrap());
        let layout = Layout {
            udp,
            tcp,
            unix: dir.path().join("s"),
            dial: dial.to_owned(),
            store: dir.path().join("store"),
            state: dir.path().join("state"),
        };
        Bench { udp: udp_addr, tcp: tcp_addr, dir, running: start(layout) }
    }

    /// Where commands are taken.
    pub(crate) fn commands(&self) -> SocketAddr {
        self.tcp
    }

    /// A connection for commands.
    pub(crate) fn command(&self) -> Command {
        let socket = TcpStream::connect(self.tcp).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Command(BufReader::new(socket))
    }

    /// A connection to the echo. The socket file is there once a command was answered.
    fn echo(&self) -> UnixStream {
        self.command().ask("loaded");
        let socket = UnixStream::connect(self.dir.path().join("s")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    fn datagrams(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(self.udp).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// Shuts the probe down; its exit status and its directory.
    pub(crate) fn stop(self) -> (u8, TempDir) {
        (self.running.stop)();
        (self.running.role.join().unwrap(), self.dir)
    }
}

/// A connection on which the probe takes commands.
pub(crate) struct Command(BufReader<TcpStream>);

impl Command {
    fn say(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Says a line and hears one.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.hear()
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

pub(crate) fn datagrams_of_every_size_come_back(start: Start) {
    let bench = Bench::start(start);
    let socket = bench.datagrams();
    let mut buffer = [0; 65_536];
    for size in [1, 2, 1199, 1200, 1472, 1473, 9000, 65_507] {
        let data = pattern(size);
        socket.send(&data).unwrap();
        let n = socket.recv(&mut buffer).unwrap();
        assert!(buffer[..n] == data, "{size} bytes");
    }
    assert_eq!(bench.stop().0, 0);
}

pub(crate) fn segmented_transmits_arrive_as_single_datagrams(start: Start) {
    let bench = Bench::start(start);
    let socket = bench.datagrams();
    let mut buffer = [0; 65_536];
    for (count, size) in [(100, 1200), (64, 60), (20, 4000), (3, 40_000)] {
        socket.send(format!("burst {count} {size}").as_bytes()).unwrap();
        for _ in 0..count {
            assert_eq!(socket.recv(&mut buffer).unwrap(), size);
        }
    }
}

pub(crate) fn a_slow_reader_gets_every_byte_and_the_queue_stays_short(start: Start) {
    let bench = Bench::start(start);
    let mut socket = bench.echo();
    let data = pattern(12 << 20);
    let writer = thread::spawn({
        let (mut socket, data) = (socket.try_clone().unwrap(), data.clone());
        move || socket.write_all(&data).unwrap()
    });
    let mut echoed = vec![0; data.len()];
    for (turn, chunk) in echoed.chunks_mut(100_003).enumerate() {
        // Now and then another reader of the same loop, while this one stands still.
        if turn % 40 == 0 {
            assert_eq!(bench.command().ask("loaded"), "0");
        }
        socket.read_exact(chunk).unwrap();
    }
    assert!(echoed == data);
    writer.join().unwrap();
}

pub(crate) fn a_flood_is_written_whole_before_the_close(start: Start) {
    let bench = Bench::start(start);
    let mut command = bench.command();
    // What nobody reads must not cost the answer its tail, and nothing is sent after the close.
    command.say("flood 5000000\nunread");
    command.say(&"x".repeat(1000));
    let mut all = Vec::new();
    command.0.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), 5_000_000);
}

pub(crate) fn a_thousand_connections_are_served_together(start: Start) {
    let bench = Bench::start(start);
    bench.echo();
    let mut sockets: Vec<UnixStream> = (0..1000).map(|_| bench.echo_directly()).collect();
    for (i, socket) in sockets.iter_mut().enumerate() {
        socket.write_all(format!("I am {i:04}").as_bytes()).unwrap();
    }
    for (i, socket) in sockets.iter_mut().enumerate().rev() {
        let mut buffer = [0; 9];
        socket.read_exact(&mut buffer).unwrap();
        assert_eq!(buffer, format!("I am {i:04}").as_bytes());
    }
    drop(sockets);
    assert_eq!(bench.stop().0, 0);
}

impl Bench {
    /// Another one, when the socket file is known to be there.
    pub(crate) fn echo_directly(&self) -> UnixStream {
        let socket = UnixStream::connect(self.dir.path().join("s")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }
}

pub(crate) fn a_busy_connection_does_not_starve_the_others(start: Start) {
    let bench = Bench::start(start);
    let mut busy = bench.echo();
    let mut reader = busy.try_clone().unwrap();
    let sink = thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    let (quit, quitting) = std::sync::mpsc::channel::<()>();
    let source = thread::spawn(move || {
        let data = pattern(1 << 20);
        while quitting.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            busy.write_all(&data).unwrap();
        }
        busy.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let (mut command, socket) = (bench.command(), bench.datagrams());
    let mut buffer = [0; 64];
    for _ in 0..50 {
        assert_eq!(command.ask("loaded"), "0");
        socket.send(b"ping").unwrap();
        assert_eq!(socket.recv(&mut buffer).unwrap(), 4);
    }
    quit.send(()).unwrap();
    source.join().unwrap();
    sink.join().unwrap().unwrap();
}

pub(crate) fn stores_are_answered_in_order_and_survive(start: Start) {
    let bench = Bench::start(start);
    let mut command = bench.command();
    for i in 0..100 {
        command.say(&format!("record k{i} v"));
        command.say(&format!("replace file{} {i}", i % 3));
    }
    for ticket in 1..=200 {
        assert_eq!(command.hear(), format!("{ticket} ok"));
    }
    assert_eq!(command.ask("create file0 new"), "201 exists");
    assert_eq!(command.ask("create file9 new"), "202 ok");
    assert!(command.ask("replace ../evil x").contains("no base name"));
    let state = bench.dir.path().join("state");
    assert_eq!(fs::read(state.join("file0")).unwrap(), b"99");
    assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(state.join("file9")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(&state).unwrap().count(), 4, "no temporary files");
    let (_, dir) = bench.stop();
    let bench = Bench::start_in(start, dir, "127.0.0.1:1");
    assert_eq!(bench.command().ask("loaded"), "100");
}

pub(crate) fn dialling_reaches_addresses_and_names_and_reports_failure(start: Start) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let answering = thread::spawn(move || {
        for _ in 0..2 {
            let (mut socket, _) = server.accept().unwrap();
            let mut hello = [0; 6];
            socket.read_exact(&mut hello).unwrap();
            socket.write_all(b"welcome\n").unwrap();
            assert_eq!(&hello, b"hello\n");
            // The role closes after the answer.
            assert_eq!(socket.read(&mut hello).unwrap(), 0);
        }
    });
    for target in [format!("127.0.0.1:{port}"), format!("localhost:{port}")] {
        let bench = Bench::start_in(start, tempfile::tempdir().unwrap(), &target);
        assert_eq!(bench.command().ask("dial"), "welcome");
    }
    answering.join().unwrap();
    for target in [format!("127.0.0.1:{port}"), "no port".to_owned()] {
        let bench = Bench::start_in(start, tempfile::tempdir().unwrap(), &target);
        let words = bench.command().ask("dial");
        assert!(words.starts_with("failed "), "{words}");
    }
}

pub(crate) fn timers_are_never_early_and_hardly_late(start: Start) {
    let bench = Bench::start(start);
    let mut command = bench.command();
    let asked = Instant::now();
    command.say("timer 150");
    command.say("timer 50");
    for wanted in [50, 150] {
        let words = command.hear();
        assert!(asked.elapsed() >= Duration::from_millis(wanted), "{wanted} ms");
        let late: u64 = words.strip_prefix("late by ").unwrap().parse().unwrap();
        assert!(late < 1_000_000, "{words}");
    }
}

pub(crate) fn a_timer_that_never_moves_does_not_burn_the_processor(start: Start) {
    let bench = Bench::start(start);
    let mut command = bench.command();
    command.say("stick");
    assert!(command.ask("timer 300").starts_with("late by "));
    let timeouts: u64 = command.ask("timeouts").parse().unwrap();
    assert!(timeouts < 10_000, "{timeouts} calls in 300 ms");
}

pub(crate) fn posts_are_made_and_their_failure_is_told(start: Start) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = server.local_addr().unwrap();
    let answering = thread::spawn(move || {
        let (mut socket, _) = server.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"{\"a\":1}") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        socket.write_all(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        String::from_utf8(request).unwrap().to_lowercase()
    });
    let bench = Bench::start(start);
    let mut command = bench.command();
    assert_eq!(command.ask(&format!("post http://{addr}/hook {{\"a\":1}}")), "503");
    let request = answering.join().unwrap();
    assert!(request.starts_with("post /hook http/1.1\r\n"), "{request}");
    assert!(request.contains("content-type: application/json"), "{request}");
    let words = command.ask(&format!("post http://{addr}/hook {{}}"));
    assert!(words.starts_with("failed "), "{words}");
}

pub(crate) fn shutdown_says_goodbye_and_cleans_up(start: Start) {
    let bench = Bench::start(start);
    let mut command = bench.command();
    let mut echo = bench.echo();
    assert_eq!(command.ask("loaded"), "0");
    let socket_file = bench.dir.path().join("s");
    assert_eq!(fs::symlink_metadata(&socket_file).unwrap().permissions().mode() & 0o777, 0o600);
    let (code, _dir) = bench.stop();
    assert_eq!(code, 0);
    assert_eq!(command.hear(), "bye");
    let mut rest = String::new();
    match echo.read_to_string(&mut rest) {
        Ok(_) => assert_eq!(rest, "bye\n"),
        Err(e) => assert_eq!(e.kind(), ErrorKind::ConnectionReset),
    }
    assert!(!socket_file.exists());
}

pub(crate) fn the_exit_status_is_the_roles(start: Start) {
    let bench = Bench::start(start);
    let mut command = bench.command();
    assert_eq!(command.ask("record k v"), "1 ok");
    command.say("exit 7");
    assert_eq!(bench.running.role.join().unwrap(), 7);
}

pub(crate) fn a_second_daemon_leaves_the_socket_of_the_first_alone(start: Start) {
    let bench = Bench::start(start);
    let mut echo = bench.echo();
    let other = tempfile::tempdir().unwrap();
    fs::hard_link(bench.dir.path().join("s"), other.path().join("s")).unwrap();
    let second = Bench::start_in(start, other, "127.0.0.1:1");
    assert_eq!(second.running.role.join().unwrap(), 9, "the role was told and ended");
    echo.write_all(b"still there").unwrap();
    let mut buffer = [0; 11];
    echo.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"still there");
}

pub(crate) fn datagrams_the_system_refuses_cost_only_themselves(start: Start) {
    let bench = Bench::start(start);
    let (mut command, socket) = (bench.command(), bench.datagrams());
    let here = socket.local_addr().unwrap();
    // Forbidden, impossible, of the other family, too long, and to a port where nobody listens.
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for to in ["255.255.255.255:9", "0.0.0.0:9", "127.0.0.1:0", "[2001:db8::1]:9", &closed.to_string()] {
        for _ in 0..10 {
            assert_eq!(command.ask(&format!("send {to} lost")), "queued");
        }
        assert_eq!(command.ask(&format!("send {here} arrives")), "queued");
        let mut buffer = [0; 16];
        let n = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..n], b"arrives", "after {to}");
    }
    assert_eq!(bench.stop().0, 0);
}

pub(crate) fn a_shutdown_during_transfers_ends_in_time(start: Start) {
    let bench = Bench::start(start);
    // One that reads nothing, one that reads on, and a dial that is under way.
    let (mut deaf, mut busy) = (bench.echo(), bench.echo());
    deaf.set_nonblocking(true).unwrap();
    let data = pattern(1 << 20);
    while deaf.write(&data).is_ok() {}
    let mut reader = busy.try_clone().unwrap();
    let reading = thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    let writing = thread::spawn(move || while busy.write_all(&data).is_ok() {});
    let asked = Instant::now();
    let (code, _dir) = bench.stop();
    assert_eq!(code, 0);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    writing.join().unwrap();
    let _ = reading.join().unwrap();
}

/// One `#[test]` per function of the suite, run with the given [`Start`].
#[allow(unused_macros, reason = "one test has a crate of its own")]
macro_rules! tests {
    ($start:expr) => {
        suite::tests!($start;
            datagrams_of_every_size_come_back,
            segmented_transmits_arrive_as_single_datagrams,
            a_slow_reader_gets_every_byte_and_the_queue_stays_short,
            a_flood_is_written_whole_before_the_close,
            a_thousand_connections_are_served_together,
            a_busy_connection_does_not_starve_the_others,
            stores_are_answered_in_order_and_survive,
            dialling_reaches_addresses_and_names_and_reports_failure,
            timers_are_never_early_and_hardly_late,
            a_timer_that_never_moves_does_not_burn_the_processor,
            posts_are_made_and_their_failure_is_told,
            shutdown_says_goodbye_and_cleans_up,
            the_exit_status_is_the_roles,
            datagrams_the_system_refuses_cost_only_themselves,
            a_shutdown_during_transfers_ends_in_time,
            a_second_daemon_leaves_the_socket_of_the_first_alone
        );
    };
    ($start:expr; $($name:ident),*) => {
        $(#[test] fn $name() { suite::$name($start); })*
    };
}
#[allow(unused_imports, reason = "one test has a crate of its own")]
pub(crate) use tests;
