//! Where nodes are and what their keys are: the registry's answers, put into the node's terms and remembered for the
//! time when the registry is silent.

use alloc::{collections::BTreeMap, format, string::String, vec::Vec};
use core::net::{IpAddr, SocketAddr};

use pilot_proto::base64;

use super::registry::{Answer, Failure};
use crate::json::{Map, Value};

/// Nodes remembered; when full, all are forgotten, which costs a question each.
const MAX_KNOWN: usize = 16_384;
/// Addresses tried per node.
const MAX_CANDIDATES: usize = 8;

/// Where a node is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Addresses, best first.
    pub(crate) candidates: Vec<SocketAddr>,
    /// Only the beacon reaches it.
    pub(crate) relay_only: bool,
}

/// What is needed to judge addresses.
#[derive(Clone, Debug)]
pub(crate) struct Here {
    /// Our own address as the world sees it.
    pub(crate) public: Option<SocketAddr>,
    /// Our addresses in local networks.
    pub(crate) lan: Vec<IpAddr>,
    /// The beacon.
    pub(crate) beacon: Option<SocketAddr>,
    /// We may not send directly.
    pub(crate) relay_only: bool,
}

/// The registry's answers.
#[derive(Debug, Default)]
pub(crate) struct Places {
    places: BTreeMap<u32, Place>,
    keys: BTreeMap<u32, [u8; 32]>,
    refusals: BTreeMap<u32, String>,
}

impl Places {
    /// The answer to `lookup`: the node's key.
    pub(crate) fn key_learned(&mut self, node: u32, answer: &Answer) -> Option<[u8; 32]> {
        if let Ok(answer) = answer {
            let text = answer.get("public_key").and_then(Value::as_str).unwrap_or_default();
            if let Some(key) = base64::decode::<32>(text.as_bytes()) {
                make_room(&mut self.keys);
                self.keys.insert(node, key);
            }
        }
        self.key(node)
    }

    /// The node's key, as far as known.
    pub(crate) fn key(&self, node: u32) -> Option<[u8; 32]> {
        self.keys.get(&node).copied()
    }

    /// The answer to `resolve`; `None` if the node cannot be located, see [`Places::words`].
    pub(crate) fn located(&mut self, node: u32, answer: &Answer, here: &Here) -> Option<Place> {
        match answer {
            Ok(answer) => {
                let place = place(answer, here);
                // Releases started on a fixed host and any port register port 0: the relay reaches them, and the
                // beacon knows their port.
                if place.candidates.is_empty() && here.beacon.is_none() {
                    self.refuse(node, format!("node {node} has no real address"));
                    return None;
                }
                self.refusals.remove(&node);
                make_room(&mut self.places);
                self.places.insert(node, place.clone());
                Some(place)
            }
            Err(failure) => {
                if !matches!(failure, Failure::Refused(_))
                    && let Some(place) = self.places.get(&node)
                {
                    return Some(place.clone());
                }
                self.refuse(node, format!("resolve node {node}: {failure}"));
                None
            }
        }
    }

    fn refuse(&mut self, node: u32, words: String) {
        make_room(&mut self.refusals);
        self.refusals.insert(node, words);
    }

    /// Why a node could not be located.
    pub(crate) fn words(&self, node: u32) -> String {
        self.refusals.get(&node).cloned().unwrap_or_else(|| format!("resolve node {node}: not found"))
    }
}

fn make_room<T>(map: &mut BTreeMap<u32, T>) {
    if map.len() >= MAX_KNOWN {
        map.clear();
    }
}

fn place(answer: &Map<String, Value>, here: &Here) -> Place {
    let flagged = answer.get("relay_only").and_then(Value::as_bool).unwrap_or_default();
    let real = answer
        .get("real_addr")
        .and_then(Value::as_str)
        .and_then(|text| text.parse::<SocketAddr>().ok())
        .filter(|addr| addr.port() != 0 && !addr.ip().is_unspecified());
    if here.beacon.is_some() && (flagged || here.relay_only || (real.is_some() && real == here.beacon)) {
        return Place { candidates: Vec::new(), relay_only: true };
    }
    let lan = answer
        .get("lan_addrs")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|text| text.as_str()?.parse::<SocketAddr>().ok())
        .filter(|addr| addr.port() != 0 && is_near(*addr, real, here));
    let mut candidates: Vec<SocketAddr> = Vec::new();
    for addr in lan.chain(real) {
        if candidates.len() < MAX_CANDIDATES && !candidates.contains(&addr) {
            candidates.push(addr);
        }
    }
    Place { candidates, relay_only: false }
}

/// Whether a peer's local address may be in a network of ours: both are seen behind the same public address or, if we
/// do not know how we are seen, the networks look alike. A stranger's `192.168.1.x` is not ours (the node probes it
/// before it carries data in any case).
fn is_near(addr: SocketAddr, real: Option<SocketAddr>, here: &Here) -> bool {
    let alike = |own: &IpAddr| match (own, addr.ip()) {
        (IpAddr::V4(own), IpAddr::V4(theirs)) => {
            own.octets().first_chunk::<3>() == theirs.octets().first_chunk::<3>()
        }
        (IpAddr::V6(own), IpAddr::V6(theirs)) => {
            own.segments().first_chunk::<4>() == theirs.segments().first_chunk::<4>()
        }
        _ => false,
    };
    match (here.public, real) {
        (Some(own), Some(real)) => own.ip() == real.ip(),
        _ => here.lan.iter().any(alike),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::json;

    fn here() -> Here {
        Here {
            public: Some("203.0.113.7:4000".parse().unwrap()),
            lan: ["192.168.1.5".parse().unwrap()].into(),
            beacon: Some("198.51.100.1:9001".parse().unwrap()),
            relay_only: false,
        }
    }

    fn answer(value: Value) -> Answer {
        match value {
            Value::Object(map) => Ok(map),
            other => panic!("{other} is not an object"),
        }
    }

    fn candidates(value: Value, here: &Here) -> Vec<String> {
        let place = Places::default().located(2, &answer(value), here).unwrap();
        place.candidates.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_local_address_is_tried_first_when_both_are_behind_one_public_address() {
        let peer =
            json!({"real_addr": "203.0.113.7:5000", "lan_addrs": ["192.168.1.9:5000", "10.0.0.1:5000", "x"]});
        assert_eq!(candidates(peer, &here()), ["192.168.1.9:5000", "10.0.0.1:5000", "203.0.113.7:5000"]);
    }

    #[test]
    fn hazard_14_8_a_strangers_local_address_is_not_tried() {
        let peer = json!({"real_addr": "198.51.100.9:5000", "lan_addrs": ["192.168.1.9:5000"]});
        assert_eq!(candidates(peer.clone(), &here()), ["198.51.100.9:5000"]);
        let blind = Here { public: None, ..here() };
        assert_eq!(candidates(peer, &blind), ["192.168.1.9:5000", "198.51.100.9:5000"]);
    }

    #[test]
    fn a_relay_only_node_is_reached_through_the_beacon_however_the_registry_says_so() {
        for peer in [json!({"relay_only": true, "real_addr": ""}), json!({"real_addr": "198.51.100.1:9001"})]
        {
            let place = Places::default().located(2, &answer(peer), &here()).unwrap();
            assert_eq!(place, Place { candidates: Vec::new(), relay_only: true });
        }
    }

    #[test]
    fn a_node_that_registered_port_0_is_left_to_the_beacon_and_may_become_direct() {
        let place = Places::default().located(2, &answer(json!({"real_addr": "198.51.100.9:0"})), &here());
        assert_eq!(place, Some(Place { candidates: Vec::new(), relay_only: false }));
    }

    #[test]
    fn a_refusal_is_told_in_the_registrys_words_and_a_silent_registry_is_replaced_by_memory() {
        let mut places = Places::default();
        let refused = Err(Failure::Refused("request failed".into()));
        assert_eq!(places.located(2, &refused, &here()), None);
        assert_eq!(places.words(2), "resolve node 2: registry: request failed");
        let alone = Here { beacon: None, ..here() };
        assert_eq!(places.located(2, &answer(json!({"real_addr": "-"})), &alone), None);
        assert_eq!(places.words(2), "node 2 has no real address");
        let known = places.located(2, &answer(json!({"real_addr": "198.51.100.9:5000"})), &here());
        let silent = Err(Failure::Unreachable("EOF".into()));
        assert_eq!(places.located(2, &silent, &here()), known);
        assert_eq!(places.located(2, &refused, &here()), None);
    }

    #[test]
    fn keys_are_remembered() {
        let mut places = Places::default();
        let found = answer(json!({"public_key": "gTl3Dqh9F19Wo1Rmw0x+zMuNipG07jeiXfYPW4/Js5Q="}));
        let key = places.key_learned(2, &found);
        assert!(key.is_some());
        assert_eq!(places.key_learned(2, &Err(Failure::Busy)), key);
        assert_eq!(places.key_learned(3, &answer(json!({"public_key": "short"}))), None);
    }
}
