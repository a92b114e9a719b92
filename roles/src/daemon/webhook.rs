//! Tells the operator's HTTP endpoint what happens: one event a request, strictly in order, a few attempts each.

use alloc::{collections::VecDeque, format, string::String, vec::Vec};

use pilot_proto::{Instant, time::Duration};

use crate::{
    clock,
    json::{self, Map, Value},
    role::{Now, Output},
};

/// Events that may wait; when full, the new one is dropped, and its number with it, so that gaps show drops.
const MAX_QUEUED: usize = 1024;
/// Attempts per event; transport errors and 5xx are tried again.
const ATTEMPTS: u32 = 3;
/// Pause before the second attempt; it doubles.
const RETRY: Duration = Duration::from_secs(1);

/// The queue in front of the endpoint.
#[derive(Debug)]
pub(crate) struct Webhook {
    url: String,
    node: u32,
    next_id: u64,
    tickets: u64,
    queue: VecDeque<Vec<u8>>,
    attempt: u32,
    /// Ticket of the request under way.
    posting: Option<u64>,
    due: Option<Instant>,
    dropped: u64,
    outputs: VecDeque<Output>,
    /// Local programs want to hear of events too.
    watched: bool,
    notices: VecDeque<String>,
}

impl Webhook {
    /// A queue in front of `url`; an empty one swallows events.
    pub(crate) fn new(url: String) -> Self {
        Webhook {
            url,
            node: 0,
            next_id: 1,
            tickets: 0,
            queue: VecDeque::new(),
            attempt: 0,
            posting: None,
            due: None,
            dropped: 0,
            outputs: VecDeque::new(),
            watched: false,
            notices: VecDeque::new(),
        }
    }

    /// The id events carry from now on.
    pub(crate) const fn set_node(&mut self, node: u32) {
        self.node = node;
    }

    /// Sends to another endpoint from now on; what waits for the old one is dropped, ids start again at 1.
    pub(crate) fn set_url(&mut self, url: String) {
        self.url = url;
        self.next_id = 1;
        self.queue.clear();
        self.attempt = 0;
        self.posting = None;
        self.due = None;
    }

    /// Whether anybody listens; saves the work of describing events nobody reads.
    pub(crate) fn is_on(&self) -> bool {
        !self.url.is_empty() || self.watched
    }

    /// Whether local programs want to hear of events.
    pub(crate) const fn set_watched(&mut self, watched: bool) {
        self.watched = watched;
    }

    /// The next event for local programs: one JSON object.
    pub(crate) fn poll_notice(&mut self) -> Option<String> {
        self.notices.pop_front()
    }

    /// Events dropped because the queue was full.
    pub(crate) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Queues an event. `data` must be an object; `null` leaves it out.
    pub(crate) fn emit(&mut self, now: Now, event: &str, data: Value) {
        if !self.is_on() {
            return;
        }
        let data = match data {
            Value::Object(map) => format!(",\"data\":{}", json::to_line(&Value::Object(map))),
            _ => String::new(),
        };
        let rest = format!(
            "\"event\":\"{event}\",\"node_id\":{},\"timestamp\":\"{}\"{data}}}",
            self.node,
            clock::rfc3339_micros(now.unix_micros),
        );
        if self.watched && self.notices.len() < MAX_QUEUED {
            self.notices.push_back(format!("{{{rest}"));
        }
        if self.url.is_empty() {
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        if self.queue.len() >= MAX_QUEUED {
            self.dropped += 1;
            return;
        }
        let body = format!("{{\"event_id\":{id},{rest}");
        self.queue.push_back(body.into_bytes());
        self.advance(now.instant);
    }

    fn advance(&mut self, now: Instant) {
        if self.posting.is_some() || self.due.is_some_and(|due| due > now) {
            return;
        }
        self.due = None;
        let Some(body) = self.queue.front() else { return };
        self.tickets += 1;
        self.attempt += 1;
        self.posting = Some(self.tickets);
        self.outputs.push_back(Output::Post {
            ticket: self.tickets,
            url: self.url.clone(),
            body: body.clone(),
        });
    }

    /// The driver's answer to a post.
    pub(crate) fn posted(&mut self, now: Instant, ticket: u64, result: &Result<u16, String>) {
        if self.posting != Some(ticket) {
            return;
        }
        self.posting = None;
        let again = match result {
            Ok(status) => *status >= 500,
            Err(_) => true,
        };
        if again && self.attempt < ATTEMPTS {
            self.due = Some(now + RETRY * (1 << (self.attempt - 1)));
        } else {
            self.attempt = 0;
            self.queue.pop_front();
        }
        self.advance(now);
    }

    /// The instant this machine waits for has come.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
    }

    /// When [`Webhook::handle_timeout`] must be called.
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// The next thing the driver should do.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Events that wait or are on their way, and how many may.
    pub(crate) fn fill(&self) -> (usize, usize) {
        (self.queue.len(), MAX_QUEUED)
    }

    /// Nothing waits any more.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }
}

/// The data of an event from a `json!` object.
pub(crate) fn data<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(fields.into_iter().map(|(key, value)| (key.into(), value)).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::json;

    const AT: Now = Now { instant: Instant::from_millis(1), unix_micros: 1_775_459_287_123_456 };

    fn hook() -> Webhook {
        let mut hook = Webhook::new("http://h/".into());
        hook.set_node(1);
        hook
    }

    fn post(hook: &mut Webhook) -> (u64, String) {
        match hook.poll_output() {
            Some(Output::Post { ticket, body, .. }) => (ticket, String::from_utf8(body).unwrap()),
            other => panic!("expected a post, got {other:?}"),
        }
    }

    #[test]
    fn bodies_are_those_of_the_vectors() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../../spec/vectors/services.json")).unwrap();
        let mut hook = hook();
        for case in vectors["webhook"]["bodies"].as_array().unwrap() {
            let body = case["body"].as_str().unwrap();
            let parsed: Value = serde_json::from_str(body).unwrap();
            hook.next_id = parsed["event_id"].as_u64().unwrap();
            let stamp = parsed["timestamp"].as_str().unwrap();
            let seconds = clock::parse_rfc3339(stamp).unwrap();
            let fraction = stamp.trim_end_matches('Z').split_once('.').map_or("", |(_, digits)| digits);
            if fraction.len() > 6 {
                continue;
            }
            let micros = format!("{fraction:0<6}").parse::<i64>().unwrap();
            hook.set_node(u32::try_from(parsed["node_id"].as_u64().unwrap()).unwrap());
            let now = Now { instant: AT.instant, unix_micros: seconds * 1_000_000 + micros };
            hook.emit(now, parsed["event"].as_str().unwrap(), parsed["data"].clone());
            let (ticket, written) = post(&mut hook);
            assert_eq!(written, body);
            hook.posted(AT.instant, ticket, &Ok(200));
        }
    }

    #[test]
    fn a_failing_endpoint_is_tried_after_one_and_two_seconds_and_then_the_event_is_dropped() {
        let mut hook = hook();
        hook.emit(AT, "a", Value::Null);
        hook.emit(AT, "b", json!({}));
        let mut now = AT.instant;
        let start = now;
        for (result, due) in [(Ok(500), 1), (Err("refused".into()), 3)] {
            let (ticket, body) = post(&mut hook);
            assert!(body.contains("\"event_id\":1,\"event\":\"a\""), "{body}");
            hook.posted(now, ticket, &result);
            assert_eq!(hook.poll_output(), None);
            now = hook.poll_timeout().unwrap();
            assert_eq!(now, start + Duration::from_secs(due));
            hook.handle_timeout(now);
        }
        let (ticket, _) = post(&mut hook);
        hook.posted(now, ticket, &Ok(503));
        let (ticket, body) = post(&mut hook);
        assert!(body.contains("\"event\":\"b\"") && body.ends_with(",\"data\":{}}"), "{body}");
        hook.posted(now, ticket, &Ok(404));
        assert!(hook.is_idle() && hook.poll_timeout().is_none());
    }

    #[test]
    fn a_full_queue_drops_the_new_event_and_its_number() {
        let mut hook = hook();
        for _ in 0..MAX_QUEUED + 2 {
            hook.emit(AT, "a", Value::Null);
        }
        assert_eq!((hook.dropped(), hook.queue.len(), hook.next_id), (2, MAX_QUEUED, 1027));
    }

    #[test]
    fn hazard_09_34_an_answer_for_the_old_endpoint_is_ignored() {
        let mut hook = hook();
        hook.emit(AT, "a", Value::Null);
        let (ticket, _) = post(&mut hook);
        hook.set_url("http://other/".into());
        hook.emit(AT, "b", Value::Null);
        let (second, body) = post(&mut hook);
        assert!(body.contains("\"event_id\":1,\"event\":\"b\""));
        hook.posted(AT.instant, ticket, &Ok(200));
        assert!(!hook.is_idle());
        hook.posted(AT.instant, second, &Ok(200));
        assert!(hook.is_idle());
    }

    #[test]
    fn without_an_endpoint_nothing_is_kept() {
        let mut hook = Webhook::new(String::new());
        hook.emit(AT, "a", Value::Null);
        assert_eq!(hook.poll_output(), None);
    }
}
