//! Port 1002: the broker. Who subscribed to what, and who gets an event.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};

use pilot_proto::{SockAddr, planted};

use super::Act;
use crate::{
    daemon::webhook::data,
    json::Value,
    services::event_stream::{ALL, Decoder, encode},
};

/// One connection.
#[derive(Debug)]
struct Conn {
    remote: SockAddr,
    decoder: Decoder,
    /// Subscription: its topic and its place in the order of subscriptions.
    topic: Option<(Vec<u8>, u64)>,
}

/// The broker.
#[derive(Debug, Default)]
pub(crate) struct Broker {
    conns: BTreeMap<u32, Conn>,
    /// Connections by topic, in the order in which they subscribed.
    topics: BTreeMap<Vec<u8>, BTreeMap<u64, u32>>,
    subscriptions: u64,
}

impl Broker {
    /// A connection was opened.
    pub(crate) fn opened(&mut self, conn: u32, remote: SockAddr) {
        self.conns.insert(conn, Conn { remote, decoder: Decoder::default(), topic: None });
    }

    /// Bytes came: the first event subscribes, later ones are published. False: close the connection.
    pub(crate) fn input(&mut self, conn: u32, mut bytes: &[u8], acts: &mut Vec<Act>) -> bool {
        loop {
            let Some(state) = self.conns.get_mut(&conn) else { return false };
            let event = match state.decoder.feed(&mut bytes) {
                Ok(Some(event)) => event,
                Ok(None) => return true,
                Err(_) => return false,
            };
            let remote = state.remote.to_string();
            let topic = || Value::String(String::from_utf8_lossy(&event.topic).into_owned());
            if state.topic.is_none() {
                self.subscriptions += 1;
                state.topic = Some((event.topic.clone(), self.subscriptions));
                acts.push(Act::Event(
                    "pubsub.subscribed",
                    data([("topic", topic()), ("remote", Value::String(remote))]),
                ));
                self.topics.entry(event.topic).or_default().insert(self.subscriptions, conn);
                continue;
            }
            let Ok(wire) = encode(&event.topic, &event.payload) else { return false };
            let named =
                self.topics.iter().filter(|(topic, _)| **topic == event.topic || planted!(EventsToAll));
            let all = (event.topic != ALL).then(|| self.topics.get(ALL)).flatten().into_iter();
            let to: Vec<u32> = named
                .map(|(_, of)| of)
                .chain(all)
                .flat_map(BTreeMap::values)
                .copied()
                .filter(|c| *c != conn)
                .collect();
            if !to.is_empty() {
                acts.push(Act::Write { to, data: wire });
            }
            acts.push(Act::Event(
                "pubsub.published",
                data([
                    ("topic", topic()),
                    ("size", event.payload.len().into()),
                    ("from", Value::String(remote.clone())),
                ]),
            ));
        }
    }

    /// A connection is over.
    pub(crate) fn closed(&mut self, conn: u32, acts: &mut Vec<Act>) {
        let Some(state) = self.conns.remove(&conn) else { return };
        let Some((topic, order)) = state.topic else { return };
        if let Some(subscribers) = self.topics.get_mut(&topic) {
            subscribers.remove(&order);
            if subscribers.is_empty() {
                self.topics.remove(&topic);
            }
        }
        let topic = String::from_utf8_lossy(&topic).into_owned();
        acts.push(Act::Event(
            "pubsub.unsubscribed",
            data([("topic", Value::String(topic)), ("remote", Value::String(format!("{}", state.remote)))]),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilot_proto::Addr;

    fn broker(conns: u32) -> Broker {
        let mut broker = Broker::default();
        for conn in 1..=conns {
            broker.opened(conn, SockAddr::new(Addr::backbone(conn), 50_000));
        }
        broker
    }

    fn say(broker: &mut Broker, conn: u32, topic: &str, payload: &str) -> Vec<Act> {
        let mut acts = Vec::new();
        assert!(broker.input(conn, &encode(topic.as_bytes(), payload.as_bytes()).unwrap(), &mut acts));
        acts
    }

    fn writes(acts: &[Act]) -> Vec<(Vec<u32>, Vec<u8>)> {
        acts.iter()
            .filter_map(|act| match act {
                Act::Write { to, data } => Some((to.clone(), data.clone())),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn routing_is_that_of_the_vectors() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../../../spec/vectors/services.json")).unwrap();
        for case in vectors["event_stream"]["routing"].as_array().unwrap() {
            let mut broker = broker(2);
            say(&mut broker, 1, case["subscriber_topic"].as_str().unwrap(), "");
            say(&mut broker, 2, "publisher", "");
            let mut received = Vec::new();
            for event in case["publisher_events"].as_array().unwrap() {
                let (topic, payload) = event.as_str().unwrap().split_once('|').unwrap();
                for (to, wire) in writes(&say(&mut broker, 2, topic, payload)) {
                    assert_eq!((to, wire), (vec![1], encode(topic.as_bytes(), payload.as_bytes()).unwrap()));
                    received.push(event.clone());
                }
            }
            assert_eq!(&received, case["receives"].as_array().unwrap());
        }
    }

    #[test]
    fn delivery_keeps_the_order_of_subscription_and_leaves_out_the_publisher() {
        let mut broker = broker(5);
        for (conn, topic) in [(3, "*"), (2, "a"), (1, "a"), (4, "a"), (5, "b")] {
            say(&mut broker, conn, topic, "ignored");
        }
        assert_eq!(writes(&say(&mut broker, 1, "a", "x"))[0].0, [2, 4, 3]);
        assert_eq!(writes(&say(&mut broker, 3, "*", "x")), []);
        let mut acts = Vec::new();
        broker.closed(2, &mut acts);
        assert_eq!(
            acts,
            [Act::Event(
                "pubsub.unsubscribed",
                data([("topic", "a".into()), ("remote", "0:0000.0000.0002:50000".into())])
            )]
        );
        assert_eq!(writes(&say(&mut broker, 5, "a", "x"))[0].0, [1, 4, 3]);
        assert_eq!(broker.topics.len(), 3);
    }

    #[test]
    fn an_event_over_the_limits_closes_the_connection() {
        let mut broker = broker(1);
        assert!(!broker.input(1, &1025u16.to_be_bytes(), &mut Vec::new()));
        assert!(!broker.input(9, b"x", &mut Vec::new()));
    }
}
