//! The daemon's side of the registry: being registered, staying registered, collecting trust mail, asking.
//!
//! [`Registry::ask`] takes a request made with [`Registry::requests`] and brings the answer back with the caller's
//! tag. Everything that keeps the node known runs by itself: registration at the start and whenever the connection or
//! the registry's memory was lost, heartbeats, and the mail poll, which is fast while something is expected and slow
//! otherwise. Nothing here ever waits: a silent registry costs its users their answers and nobody anything else.

mod link;
mod requests;

use alloc::{boxed::Box, collections::VecDeque, format, string::String, vec::Vec};
use core::{fmt, net::SocketAddr};

use pilot_proto::{
    Instant, planted,
    time::{Duration, earliest},
};

use self::link::{Change, Link};
pub(crate) use self::{
    link::{Answer, Failure},
    requests::{Registration, Request, Requests, Sign},
};
use crate::{
    json::{Map, Value},
    role::{Closed, ConnId, Now, Output, Wait, Whom},
};

/// Pause between mail polls while an answer is expected.
const EAGER_POLL: Duration = Duration::from_secs(2);
/// How long mail is polled eagerly after the last reason to.
const EAGER_FOR: Duration = Duration::from_secs(120);
/// Least pause between two polls, whoever asks for them.
const POLL_GAP: Duration = Duration::from_millis(500);
/// First heartbeat after the start: soon, so that a wrong key or clock shows at once.
const FIRST_HEARTBEAT: Duration = Duration::from_secs(5);
/// Least pause between registrations that a refused heartbeat causes.
const REGISTER_GAP: Duration = Duration::from_secs(10);
/// How often a refused registration is tried again when the registry says that it is only too busy.
const REGISTER_RETRY: Duration = Duration::from_secs(7);

/// What the registry is told and how often.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Pause between heartbeats, and between mail polls when nothing is expected.
    pub(crate) keepalive: Duration,
    /// How long the very first registration may take before [`Event::Fatal`].
    pub(crate) patience: Duration,
    /// Visible to everybody.
    pub(crate) public: bool,
    /// Name, empty for none.
    pub(crate) hostname: String,
    /// Tags, restored when the registry lost them; `None` until set through this daemon.
    pub(crate) tags: Option<Vec<String>>,
    /// Networks to join at the start.
    pub(crate) networks: Vec<u16>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event<T> {
    /// The registry knows us under this id.
    Registered {
        /// Our node id.
        node: u32,
        /// The first time since the start.
        first: bool,
        /// The registry gave us another id than before, or may have forgotten us: what it was told must be told again.
        forgotten: bool,
        /// The address it sees us at.
        observed: Option<SocketAddr>,
    },
    /// The first registration failed for good, in these words.
    Fatal(String),
    /// An answer to [`Registry::ask`].
    Answer(T, Answer),
    /// Relayed trust requests (node, justification), then answers to ours (node, accepted).
    Mail {
        /// Requests.
        requests: Vec<(u32, String)>,
        /// Answers.
        responses: Vec<(u32, bool)>,
    },
    /// A mail poll ended, with or without mail.
    Polled,
    /// A network was joined at the start.
    Joined(u16),
    /// Something of ours was refused: what, and the words.
    Refused(&'static str, String),
}

#[derive(Debug)]
enum Tag<T> {
    Register,
    Heartbeat,
    Poll,
    Restore(&'static str),
    Join(u16),
    User(T),
}

/// Whether the registry knows us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Not asked yet: the first registration waits for [`Registry::start`].
    Idle,
    /// A registration is on its way or due.
    Unknown,
    Known,
    /// The operator deregistered us: silence until the next start.
    Left,
}

/// The registry client.
pub(crate) struct Registry<T> {
    link: Link<Tag<T>>,
    sign: Box<Sign>,
    public_key: String,
    settings: Settings,
    what: Registration,
    node: u32,
    standing: Standing,
    registering: bool,
    forgotten: bool,
    registered_at: Option<Instant>,
    register_due: Option<Instant>,
    give_up: Option<Instant>,
    heartbeat_due: Option<Instant>,
    heartbeat_ts: bool,
    poll_due: Option<Instant>,
    polling: bool,
    polled_at: Option<Instant>,
    eager_until: Instant,
    events: VecDeque<Event<T>>,
}

impl<T: fmt::Debug> fmt::Debug for Registry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("node", &self.node)
            .field("standing", &self.standing)
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

/// How long until the next heartbeat.
fn pulse(usual: Duration) -> Duration {
    if planted!(HeartbeatStorm) { Duration::from_millis(100) } else { usual }
}

impl<T> Registry<T> {
    /// A client that connects at once and registers after [`Registry::start`].
    pub(crate) fn new(now: Instant, settings: Settings, public_key: String, sign: Box<Sign>) -> Self {
        Registry {
            link: Link::new(now),
            sign,
            public_key,
            settings,
            what: Registration::default(),
            node: 0,
            standing: Standing::Idle,
            registering: false,
            forgotten: false,
            registered_at: None,
            register_due: None,
            give_up: None,
            heartbeat_due: None,
            heartbeat_ts: false,
            poll_due: None,
            polling: false,
            polled_at: None,
            eager_until: Instant::ORIGIN,
            events: VecDeque::new(),
        }
    }

    /// Registers, or tells the registry that what it knows of us has changed.
    pub(crate) fn start(&mut self, now: Instant, what: Registration) {
        self.what = what;
        if self.standing == Standing::Idle {
            self.give_up = Some(now + self.settings.patience);
        }
        self.standing = Standing::Unknown;
        self.registering = false;
        self.register(now);
    }

    /// What we last told the registry.
    pub(crate) const fn registration(&self) -> &Registration {
        &self.what
    }

    /// What to restore when the registry forgot us; changes count from the next registration on.
    pub(crate) const fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// What to restore when the registry forgot us.
    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Our node id, 0 before the first registration.
    pub(crate) const fn node(&self) -> u32 {
        self.node
    }

    /// Makes requests of ours.
    pub(crate) fn requests(&self) -> Requests<'_> {
        Requests { node: self.node, public_key: &self.public_key, sign: &*self.sign }
    }

    /// Asks; the answer comes as [`Event::Answer`] with the tag.
    pub(crate) fn ask(&mut self, now: Instant, request: Request, tag: T) {
        self.link.ask(now, request, Tag::User(tag));
    }

    /// No more heartbeats: the operator took us out of the registry.
    pub(crate) fn left(&mut self) {
        self.standing = Standing::Left;
        (self.heartbeat_due, self.poll_due, self.register_due) = (None, None, None);
    }

    /// An answer to a trust request is expected: poll mail eagerly for a while, starting now.
    pub(crate) fn expect_mail(&mut self, now: Instant) {
        self.eager_until = now + EAGER_FOR;
        self.poll_soon(now);
    }

    /// Nothing is expected any more.
    pub(crate) fn expect_nothing(&mut self) {
        self.eager_until = Instant::ORIGIN;
    }

    /// Mail waits, or somebody wants to see whether it does.
    pub(crate) fn poll_soon(&mut self, now: Instant) {
        if self.standing == Standing::Known {
            let due = self.polled_at.map_or(now, |at| (at + POLL_GAP).max(now));
            self.poll_due = earliest(self.poll_due, Some(due));
            self.advance(now);
        }
    }

    /// Polls mail unless that was done lately; true if [`Event::Polled`] will come soon.
    pub(crate) fn refresh_mail(&mut self, now: Instant) -> bool {
        if self.standing != Standing::Known || !self.link.is_up() {
            return false;
        }
        if !self.polling && self.polled_at.is_some_and(|at| now.since(at) < EAGER_POLL) {
            return false;
        }
        self.poll_soon(now);
        true
    }

    /// Whether `conn` is the connection to the registry.
    pub(crate) fn owns(&self, conn: ConnId) -> bool {
        self.link.owns(conn)
    }

    /// The driver opened the connection.
    pub(crate) fn opened(&mut self, now: Now, conn: ConnId) {
        self.link.opened(conn);
        self.drain(now);
    }

    /// Bytes came.
    pub(crate) fn bytes(&mut self, now: Now, conn: ConnId, data: &[u8]) {
        self.link.bytes(now.instant, conn, data);
        self.drain(now);
    }

    /// The connection ended.
    pub(crate) fn closed(&mut self, now: Now, conn: ConnId, reason: Closed) {
        self.link.closed(now.instant, conn, reason);
        self.drain(now);
    }

    /// The instant this machine waits for has come.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        self.link.handle_timeout(now.instant);
        self.drain(now);
        if self.give_up.is_some_and(|at| at <= now.instant) {
            self.give_up = None;
            self.events.push_back(Event::Fatal(String::from(self.link.words())));
        }
        if self.register_due.is_some_and(|at| at <= now.instant) {
            self.register_due = None;
            self.register(now.instant);
        }
        if self.heartbeat_due.is_some_and(|at| at <= now.instant) {
            self.heartbeat_due = Some(now.instant + pulse(self.settings.keepalive));
            let ts = self.heartbeat_ts.then(|| now.unix_secs());
            let request = self.requests().heartbeat(ts);
            self.link.ask(now.instant, request, Tag::Heartbeat);
        }
        self.advance(now.instant);
    }

    /// When [`Registry::handle_timeout`] must be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let poll = if self.polling { None } else { self.poll_due };
        [self.link.poll_timeout(), self.give_up, self.register_due, self.heartbeat_due, poll]
            .into_iter()
            .fold(None, earliest)
    }

    /// What it waits for.
    pub(crate) fn waits(&self) -> impl Iterator<Item = Wait> + '_ {
        let again = self.register_due.map(|at| Wait {
            whom: Whom::Registry,
            what: String::from("its registration, in back-off"),
            since: None,
            next: Some(at),
        });
        again.into_iter().chain(self.link.waits())
    }

    /// The next thing the driver should do.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.link.poll_output()
    }

    /// The next thing the daemon should know.
    pub(crate) fn poll_event(&mut self, now: Now) -> Option<Event<T>> {
        self.drain(now);
        self.events.pop_front()
    }

    fn register(&mut self, now: Instant) {
        if !self.registering && matches!(self.standing, Standing::Unknown | Standing::Known) {
            self.registering = true;
            let request = self.requests().register(&self.what);
            self.link.ask_first(now, request, Tag::Register);
        }
    }

    /// Polls mail when it is time.
    fn advance(&mut self, now: Instant) {
        if !self.polling && self.poll_due.is_some_and(|at| at <= now) {
            self.poll_due = None;
            self.polling = true;
            self.polled_at = Some(now);
            let request = self.requests().poll_handshakes();
            self.link.ask(now, request, Tag::Poll);
        }
    }

    fn drain(&mut self, now: Now) {
        while let Some(change) = self.link.poll_change() {
            if change == Change::Up {
                // It may be another registry process than before, with less memory.
                self.forgotten |= self.registered_at.is_some();
                if !(planted!(NotRegisteredAgain) && self.registered_at.is_some()) {
                    self.register(now.instant);
                }
                self.link.advance(now.instant);
            }
        }
        while let Some((tag, answer)) = self.link.poll_answer() {
            match tag {
                Tag::User(tag) => self.events.push_back(Event::Answer(tag, answer)),
                Tag::Register => self.registered(now.instant, answer),
                Tag::Heartbeat => self.heart(now.instant, answer),
                Tag::Poll => self.mail(now.instant, answer),
                Tag::Restore(what) => {
                    if let Err(failure) = answer {
                        self.events.push_back(Event::Refused(what, format!("{failure}")));
                    }
                }
                Tag::Join(network) => self.events.push_back(match answer {
                    Ok(_) => Event::Joined(network),
                    Err(failure) => Event::Refused("join_network", format!("network {network}: {failure}")),
                }),
            }
        }
    }

    fn registered(&mut self, now: Instant, answer: Answer) {
        self.registering = false;
        let first = self.registered_at.is_none();
        let node = match &answer {
            Ok(answer) => number(answer, "node_id").filter(|node| *node != 0),
            Err(_) => None,
        };
        let Some(node) = node else {
            let (words, for_now) = match answer {
                Ok(_) => (String::from("the registration answer has no node id"), false),
                Err(Failure::Refused(text)) => {
                    let for_now = text.contains("rate limited");
                    (format!("{}", Failure::Refused(text)), for_now)
                }
                Err(failure) => (format!("{failure}"), true),
            };
            if planted!(AsksWithoutPause) {
                self.register_due = Some(now);
            } else if first && !for_now {
                self.give_up = None;
                self.events.push_back(Event::Fatal(words));
            } else if self.standing != Standing::Left {
                self.events.push_back(Event::Refused("register", words));
                self.register_due = Some(now + REGISTER_RETRY);
            }
            return;
        };
        if self.standing == Standing::Left {
            return;
        }
        let forgotten = core::mem::take(&mut self.forgotten) || (!first && node != self.node);
        self.node = node;
        self.standing = Standing::Known;
        self.give_up = None;
        self.registered_at = Some(now);
        self.heartbeat_due = Some(now + pulse(if first { FIRST_HEARTBEAT } else { self.settings.keepalive }));
        let observed = answer
            .ok()
            .and_then(|a| a.get("observed_addr").and_then(Value::as_str)?.parse::<SocketAddr>().ok());
        self.restore(now, first);
        self.events.push_back(Event::Registered { node, first, forgotten, observed });
        self.poll_soon(now);
    }

    /// Tells the registry what it forgets when it drops a node.
    fn restore(&mut self, now: Instant, first: bool) {
        if planted!(NotRestored) && !first {
            return;
        }
        let mut todo = Vec::new();
        let requests = self.requests();
        if self.settings.public {
            todo.push((requests.set_visibility(true), Tag::Restore("set_visibility")));
        }
        if !self.settings.hostname.is_empty() {
            todo.push((requests.set_hostname(&self.settings.hostname), Tag::Restore("set_hostname")));
        }
        if let Some(tags) = &self.settings.tags {
            todo.push((requests.set_tags(tags), Tag::Restore("set_tags")));
        }
        if first {
            for network in &self.settings.networks {
                todo.push((requests.join_network(*network, ""), Tag::Join(*network)));
            }
        }
        for (request, tag) in todo {
            self.link.ask(now, request, tag);
        }
    }

    fn heart(&mut self, now: Instant, answer: Answer) {
        if self.standing != Standing::Known {
            return;
        }
        match answer {
            Ok(_) => {}
            Err(Failure::Refused(text))
                if text.contains("ts") && text.contains("required") && !self.heartbeat_ts =>
            {
                self.heartbeat_ts = true;
                self.heartbeat_due = Some(now);
            }
            Err(Failure::Refused(text)) => {
                let limited = text.contains("rate limited");
                self.events.push_back(Event::Refused("heartbeat", text));
                if !limited {
                    self.forgotten = true;
                    self.standing = Standing::Unknown;
                    let gap = self.registered_at.map_or(now, |at| at + REGISTER_GAP);
                    self.register_due = Some(gap.max(now));
                }
            }
            // The link redials, and registers when it is up again.
            Err(_) => {}
        }
    }

    fn mail(&mut self, now: Instant, answer: Answer) {
        self.polling = false;
        if self.standing == Standing::Left {
            return;
        }
        let eager = now < self.eager_until;
        let pause = if eager { EAGER_POLL } else { self.settings.keepalive };
        self.poll_due = earliest(self.poll_due, Some(now + pause));
        if let Ok(answer) = answer {
            let requests = entries(&answer, "requests")
                .filter_map(|entry| {
                    let text = entry.get("justification").and_then(Value::as_str).unwrap_or_default();
                    Some((number(entry, "from_node_id")?, String::from(text)))
                })
                .collect::<Vec<_>>();
            let responses = entries(&answer, "responses")
                .filter_map(|entry| {
                    let accept = entry.get("accept").and_then(Value::as_bool).unwrap_or(false);
                    Some((number(entry, "from_node_id")?, accept))
                })
                .collect::<Vec<_>>();
            if !requests.is_empty() || !responses.is_empty() {
                self.events.push_back(Event::Mail { requests, responses });
            }
        }
        self.events.push_back(Event::Polled);
    }
}

/// A 32-bit number of an answer, which may come as an integer or as a float.
pub(crate) fn number(object: &Map<String, Value>, key: &str) -> Option<u32> {
    let value = object.get(key)?;
    match value.as_u64() {
        Some(number) => u32::try_from(number).ok(),
        None => {
            let float = value.as_f64()?;
            // The cast saturates; the comparison says whether the number was whole and in range.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let number = float as u32;
            (f64::from(number) == float).then_some(number)
        }
    }
}

/// The objects of a list that may be absent or `null`.
pub(crate) fn entries<'a>(
    object: &'a Map<String, Value>,
    key: &str,
) -> impl Iterator<Item = &'a Map<String, Value>> {
    object.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}

#[cfg(test)]
mod tests;
