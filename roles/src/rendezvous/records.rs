//! The records of the registry and how they are stored.

use alloc::{
    borrow::ToOwned,
    string::{String, ToString},
    vec::Vec,
};
use core::net::IpAddr;

use pilot_proto::Instant;
pub(super) use pilot_proto::crypto::PublicKey;

use super::store::{Record, hex};
use crate::json::{Value, json};

/// Where a node said it can be reached, and who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// `ip:port`; the port is the node's text, not checked.
    pub(super) addr: String,
    /// Source address of the registration.
    pub(super) source: IpAddr,
    /// `ip:port` texts for peers on the same local network, not checked.
    pub(super) lan: Vec<String>,
    /// The node asks to be reached through the beacon only.
    pub(super) relay_only: bool,
}

/// A registered node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) key: PublicKey,
    /// The account (an e-mail address) it named; may be empty.
    pub(super) owner: String,
    pub(super) endpoint: Endpoint,
    /// Listed with its endpoint for everybody.
    pub(super) public: bool,
    /// Empty: none.
    pub(super) hostname: String,
    pub(super) tags: Vec<String>,
    pub(super) task_exec: bool,
    /// Unix seconds.
    pub(super) key_created: i64,
    /// Unix seconds of the last rotation.
    pub(super) key_rotated: Option<i64>,
    pub(super) rotations: u32,
    /// Unix seconds of a sign of life not more than a day before the last.
    pub(super) heard: i64,
    /// Last sign of life, not stored: a restart counts as one, so that nobody is offline before it could beat.
    pub(super) seen: Instant,
    /// An unsigned re-registration from elsewhere: it counts once the key has signed something from there. Not stored.
    pub(super) claim: Option<Endpoint>,
}

impl Node {
    /// Unix seconds since when the present key is in use.
    pub(super) fn key_since(&self) -> i64 {
        self.key_rotated.unwrap_or(self.key_created)
    }
}

impl Record for Node {
    const TABLE: &'static str = "nodes";
    type Key = u32;

    fn encode(&self) -> Value {
        json!({
            "key": hex(&self.key), "owner": self.owner, "addr": self.endpoint.addr,
            "source": self.endpoint.source.to_string(), "lan": self.endpoint.lan,
            "relay_only": self.endpoint.relay_only, "public": self.public, "hostname": self.hostname,
            "tags": self.tags, "task_exec": self.task_exec, "key_created": self.key_created,
            "key_rotated": self.key_rotated, "rotations": self.rotations,
            "heard": self.heard,
        })
    }

    fn decode(value: &Value) -> Option<Self> {
        let text = |name: &str| Some(value.get(name)?.as_str()?.to_owned());
        let flag = |name: &str| value.get(name)?.as_bool();
        let texts = |name: &str| {
            value
                .get(name)?
                .as_array()?
                .iter()
                .map(|text| Some(text.as_str()?.to_owned()))
                .collect::<Option<_>>()
        };
        Some(Node {
            key: key_from_hex(&text("key")?)?,
            owner: text("owner")?,
            endpoint: Endpoint {
                addr: text("addr")?,
                source: text("source")?.parse().ok()?,
                lan: texts("lan")?,
                relay_only: flag("relay_only")?,
            },
            public: flag("public")?,
            hostname: text("hostname")?,
            tags: texts("tags")?,
            task_exec: flag("task_exec")?,
            key_created: value.get("key_created")?.as_i64()?,
            key_rotated: read_optional(value.get("key_rotated")?)?,
            rotations: value.get("rotations")?.as_u64()?.try_into().ok()?,
            heard: value.get("heard")?.as_i64()?,
            seen: Instant::ORIGIN,
            claim: None,
        })
    }
}

/// A number or `null`.
fn read_optional(value: &Value) -> Option<Option<i64>> {
    if value.is_null() { Some(None) } else { value.as_i64().map(Some) }
}

fn key_from_hex(text: &str) -> Option<PublicKey> {
    let mut key = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(key)
}

/// What a key was used for; outlives the node's record, so that a returning key gets its id back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyUse {
    pub(super) node: u32,
    /// It has signed a registration: from then on every registration must be signed.
    pub(super) signs: bool,
    /// Unix seconds when its node deregistered, if it did not come back.
    pub(super) left: Option<i64>,
}

impl Record for KeyUse {
    const TABLE: &'static str = "keys";
    type Key = PublicKey;

    fn encode(&self) -> Value {
        json!({"node": self.node, "signs": self.signs, "left": self.left})
    }

    fn decode(value: &Value) -> Option<Self> {
        let node = value.get("node")?.as_u64()?.try_into().ok()?;
        let signs = value.get("signs")?.as_bool()?;
        Some(KeyUse { node, signs, left: read_optional(value.get("left")?)? })
    }
}

/// What one node has shown to want of another. Key: (who, whom).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consent {
    /// It asked, under its signature, where that public node is: the first step of a handshake that the registry
    /// does not see. Unix seconds.
    Contact(i64),
    /// It asked that node for trust, accepted its request or reported the trust.
    Given,
}

impl Record for Consent {
    const TABLE: &'static str = "consents";
    type Key = (u32, u32);

    fn encode(&self) -> Value {
        match self {
            Consent::Contact(at) => json!({"contact": at}),
            Consent::Given => json!({"given": true}),
        }
    }

    fn decode(value: &Value) -> Option<Self> {
        match value.get("contact") {
            Some(at) => at.as_i64().map(Consent::Contact),
            None => value.get("given")?.as_bool()?.then_some(Consent::Given),
        }
    }
}

/// A handshake request that waits to be polled. Key: (for whom, from whom).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) justification: String,
    /// Unix seconds.
    pub(super) at: i64,
    /// Stands in an answer that the other side has not taken yet. Not stored.
    pub(super) on_its_way: bool,
}

impl Record for Waiting {
    const TABLE: &'static str = "requests";
    type Key = (u32, u32);

    fn encode(&self) -> Value {
        json!({"justification": self.justification, "at": self.at})
    }

    fn decode(value: &Value) -> Option<Self> {
        let justification = value.get("justification")?.as_str()?.to_owned();
        Some(Waiting { justification, at: value.get("at")?.as_i64()?, on_its_way: false })
    }
}

/// A response to a handshake request that waits to be polled. Key: (for whom, from whom).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) accept: bool,
    /// Unix seconds.
    pub(super) at: i64,
    /// Stands in an answer that the other side has not taken yet. Not stored.
    pub(super) on_its_way: bool,
}

impl Record for Response {
    const TABLE: &'static str = "responses";
    type Key = (u32, u32);

    fn encode(&self) -> Value {
        json!({"accept": self.accept, "at": self.at})
    }

    fn decode(value: &Value) -> Option<Self> {
        let accept = value.get("accept")?.as_bool()?;
        Some(Response { accept, at: value.get("at")?.as_i64()?, on_its_way: false })
    }
}

/// The registry itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// Unix seconds of its first start: the age of the backbone.
    pub(super) created: i64,
    /// The id the next node gets; 0 when all are used up.
    pub(super) next_node: u32,
}

impl Record for Origin {
    const TABLE: &'static str = "registry";
    type Key = ();

    fn encode(&self) -> Value {
        json!({"created": self.created, "next_node": self.next_node})
    }

    fn decode(value: &Value) -> Option<Self> {
        let next_node = value.get("next_node")?.as_u64()?.try_into().ok()?;
        Some(Origin { created: value.get("created")?.as_i64()?, next_node })
    }
}
