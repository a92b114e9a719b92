//! Trust between two nodes and the handshake messages relayed for them.
//!
//! Trust needs two consents. A node consents by asking for it, accepting it or reporting it. One step the registry
//! does not see: the direct request to a public node. Of it the registry knows that the asker looked the other up.

use alloc::{format, string::ToString, vec::Vec};

use pilot_proto::{crypto::Crypto, planted};

use crate::json::{self, Value, json};
use crate::rendezvous::conn::Polled;
use crate::rendezvous::records::{Consent, Response, Waiting};
use crate::rendezvous::registry::{Caller, Registry};
use crate::rendezvous::state::all_of;
use crate::rendezvous::store::{Journal, Promise};
use crate::rendezvous::wire::{MAX_PORTION, Outcome, Refusal, Request, members};

/// Requests, and as many responses, that wait for one node.
const MAX_INBOX: usize = 100;
/// Longest justification in bytes.
const MAX_JUSTIFICATION: usize = 1024;
/// Nodes to which one node may give its consent.
const MAX_CONSENTS: usize = 4096;
/// Contacts kept of one node; a newer one replaces the oldest.
const MAX_CONTACTS: usize = 256;
/// How long a contact counts as consent, in seconds: an operator may take weeks to approve.
const CONTACT_LIFETIME: i64 = 30 * 86_400;
/// A contact is written again only if it is older than this, in seconds.
const CONTACT_REFRESH: i64 = 86_400;

/// `who` has looked up `whom`, which is public.
pub(super) fn note_contact<C: Crypto>(registry: &mut Registry<C>, who: u32, whom: u32, now: i64) {
    let consents = &mut registry.state.consents;
    match consents.get((who, whom)) {
        _ if !registry.config.contact_counts_as_consent || who == whom => return,
        Some(Consent::Given) => return,
        Some(&Consent::Contact(at)) if now - at < CONTACT_REFRESH => return,
        _ => {}
    }
    let contacts = consents.range(all_of(who)).filter_map(|(pair, consent)| match consent {
        Consent::Contact(at) => Some((*at, pair)),
        Consent::Given => None,
    });
    let (count, oldest) = contacts.fold((0, None), |(count, oldest), contact| {
        (count + 1, Some(oldest.map_or(contact, |oldest| contact.min(oldest))))
    });
    let journal = &mut registry.state.journal;
    if let Some((_, pair)) = oldest.filter(|_| count >= MAX_CONTACTS) {
        consents.remove(journal, Promise::Loose, pair);
    }
    consents.put(journal, Promise::Loose, (who, whom), Consent::Contact(now));
}

/// `who` wants trust with `whom`.
fn give_consent<C: Crypto>(registry: &mut Registry<C>, who: u32, whom: u32, now: i64) -> Result<(), Refusal> {
    let state = &mut registry.state;
    if let Some(&Consent::Contact(at)) = state.consents.get((whom, who))
        && now - at > CONTACT_LIFETIME
    {
        state.consents.remove(&mut state.journal, Promise::Binding, (whom, who));
    }
    if state.consents.get((who, whom)) == Some(&Consent::Given) {
        return Ok(());
    }
    let given = state.consents.range(all_of(who)).filter(|(_, consent)| **consent == Consent::Given);
    if given.count() >= MAX_CONSENTS {
        return Refusal::shown(format!("too many trusted nodes (max {MAX_CONSENTS})"));
    }
    let mut nowhere = Journal::default();
    let journal = if planted!(ConsentNotStored) { &mut nowhere } else { &mut state.journal };
    state.consents.put(journal, Promise::Binding, (who, whom), Consent::Given);
    Ok(())
}

pub(in crate::rendezvous) fn report_trust<C: Crypto>(
    registry: &mut Registry<C>,
    caller: &mut Caller<'_>,
    request: &Request,
) -> Outcome {
    let (id, peer) = (request.id("node_id"), request.id("peer_id"));
    registry.node(id)?;
    registry.node(peer)?;
    registry.verify(caller, request, id, &format!("report_trust:{id}:{peer}"))?;
    give_consent(registry, id, peer, caller.now.unix_secs())?;
    Ok(members! {})
}

/// Ends what there is between two nodes, messages on their way included: none of them may bring the trust back.
pub(in crate::rendezvous) fn revoke_trust<C: Crypto>(
    registry: &mut Registry<C>,
    caller: &mut Caller<'_>,
    request: &Request,
) -> Outcome {
    let (id, peer) = (request.id("node_id"), request.id("peer_id"));
    registry.node(id)?;
    registry.verify(caller, request, id, &format!("revoke_trust:{id}:{peer}"))?;
    if registry.state.part(id, peer) { Ok(members! {}) } else { Err(Refusal::Hidden("no such trust pair")) }
}

pub(in crate::rendezvous) fn check_trust<C: Crypto>(
    registry: &mut Registry<C>,
    request: &Request,
) -> Outcome {
    let (id, peer) = (request.id("node_id"), request.id("peer_id"));
    Ok(members! {"trusted": registry.state.trusted(id, peer)})
}

/// The signature of a relayed handshake message, whose absence is not explained to the caller.
fn verify_message<C: Crypto>(
    registry: &mut Registry<C>,
    caller: &mut Caller<'_>,
    request: &Request,
    node: u32,
    text: &str,
) -> Result<(), Refusal> {
    if request.text("signature").is_empty() {
        return Err(Refusal::Hidden("signature missing"));
    }
    registry.verify(caller, request, node, text)
}

pub(in crate::rendezvous) fn request_handshake<C: Crypto>(
    registry: &mut Registry<C>,
    caller: &mut Caller<'_>,
    request: &Request,
) -> Outcome {
    let (from, to) = (request.id("from_node_id"), request.id("to_node_id"));
    registry.node(from)?;
    registry.node(to)?;
    verify_message(registry, caller, request, from, &format!("handshake:{from}:{to}"))?;
    let justification = request.text("justification");
    if justification.len() > MAX_JUSTIFICATION {
        return Refusal::shown(format!("justification too long (max {MAX_JUSTIFICATION} bytes)"));
    }
    if registry.state.requests.contains((to, from)) {
        caller.wake = Some(to);
        return Refusal::shown(format!("handshake request already pending from node {from}"));
    }
    if registry.state.requests.range(all_of(to)).count() >= MAX_INBOX && !planted!(InboxUnbounded) {
        return Err(Refusal::Hidden("handshake inbox full"));
    }
    let at = caller.now.unix_secs();
    give_consent(registry, from, to, at)?;
    let waiting = Waiting { justification: justification.to_string(), at, on_its_way: false };
    let state = &mut registry.state;
    state.requests.put(&mut state.journal, Promise::Binding, (to, from), waiting);
    caller.wake = Some(to);
    Ok(members! {"status": "delivered"})
}

/// Hands out what waits for the node, as much as an old client can read at a time. It leaves the inbox when the
/// answer has left this host; what was handed to another connection that is still open is not repeated.
pub(in crate::rendezvous) fn poll_handshakes<C: Crypto>(
    registry: &mut Registry<C>,
    caller: &mut Caller<'_>,
    request: &Request,
) -> Outcome {
    let id = request.id("node_id");
    registry.node(id)?;
    registry.verify(caller, request, id, &format!("poll_handshakes:{id}"))?;
    let state = &mut registry.state;
    let mut polled = Polled { node: id, requests: Vec::new(), responses: Vec::new() };
    let mut room = MAX_PORTION;
    let mut fits = |entry: &Value| {
        let len = json::to_line(entry).len() + 1;
        let fits = len <= room;
        room = if fits { room - len } else { 0 };
        fits
    };

    let mut waiting: Vec<_> =
        state.requests.range(all_of(id)).filter(|(_, waiting)| !waiting.on_its_way).collect();
    waiting.sort_by_key(|((_, from), waiting)| (waiting.at, *from));
    let mut requests = Vec::new();
    for ((_, from), waiting) in waiting {
        let entry = json!({
            "from_node_id": from, "justification": waiting.justification, "timestamp": waiting.at,
        });
        if !fits(&entry) {
            break;
        }
        requests.push(entry);
        polled.requests.push(from);
    }
    let mut waiting: Vec<_> =
        state.responses.range(all_of(id)).filter(|(_, response)| !response.on_its_way).collect();
    waiting.sort_by_key(|((_, from), response)| (response.at, *from));
    let mut responses = Vec::new();
    for ((_, from), response) in waiting {
        let entry = json!({"from_node_id": from, "accept": response.accept, "timestamp": response.at});
        if !fits(&entry) {
            break;
        }
        responses.push(entry);
        polled.responses.push(from);
    }

    for &from in &polled.requests {
        if let Some(waiting) = state.requests.touch((id, from)) {
            waiting.on_its_way = !planted!(InboxTwice);
        }
    }
    for &from in &polled.responses {
        if let Some(response) = state.responses.touch((id, from)) {
            response.on_its_way = true;
        }
    }
    if !(polled.requests.is_empty() && polled.responses.is_empty()) {
        caller.polled = Some(polled);
    }
    Ok(members! {"requests": requests, "responses": responses})
}

/// The answer to a handshake request. It is passed on only to a node that has shown to want it.
pub(in crate::rendezvous) fn respond_handshake<C: Crypto>(
    registry: &mut Registry<C>,
    caller: &mut Caller<'_>,
    request: &Request,
) -> Outcome {
    let (id, peer, accept) = (request.id("node_id"), request.id("peer_id"), request.flag("accept"));
    registry.node(id)?;
    registry.node(peer)?;
    verify_message(registry, caller, request, id, &format!("respond:{id}:{peer}"))?;
    let at = caller.now.unix_secs();
    let asked = registry.state.consents.contains((peer, id));
    if accept {
        give_consent(registry, id, peer, at)?;
    } else {
        registry.state.part(id, peer);
    }
    let state = &mut registry.state;
    let room =
        state.responses.contains((peer, id)) || state.responses.range(all_of(peer)).count() < MAX_INBOX;
    if asked && room {
        let response = Response { accept, at, on_its_way: false };
        state.responses.put(&mut state.journal, Promise::Binding, (peer, id), response);
        caller.wake = Some(peer);
    }
    Ok(members! {"accept": accept, "peer_id": peer})
}

impl<C: Crypto> Registry<C> {
    /// The messages of a poll have left this host: they are gone from the inbox.
    pub(in crate::rendezvous) fn delivered(&mut self, polled: &Polled) {
        if planted!(InboxKept) {
            return self.undelivered(polled);
        }
        let state = &mut self.state;
        for &from in &polled.requests {
            if state.requests.get((polled.node, from)).is_some_and(|waiting| waiting.on_its_way) {
                state.requests.remove(&mut state.journal, Promise::Loose, (polled.node, from));
            }
        }
        for &from in &polled.responses {
            if state.responses.get((polled.node, from)).is_some_and(|response| response.on_its_way) {
                state.responses.remove(&mut state.journal, Promise::Loose, (polled.node, from));
            }
        }
    }

    /// The messages of a poll have not reached anybody: the next poll gets them.
    pub(in crate::rendezvous) fn undelivered(&mut self, polled: &Polled) {
        for &from in &polled.requests {
            if let Some(waiting) = self.state.requests.touch((polled.node, from)) {
                waiting.on_its_way = false;
            }
        }
        for &from in &polled.responses {
            if let Some(response) = self.state.responses.touch((polled.node, from)) {
                response.on_its_way = false;
            }
        }
    }
}
