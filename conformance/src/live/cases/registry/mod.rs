//! The registry as the program under test: what it makes of bytes, who may do what, what it promises, what it bounds.

mod durable;
mod finding;
mod framing;
mod identity;
mod limits;
mod settings;
mod signatures;
mod tls;
mod trust;

use crate::live::case::{Case, Cases};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Cases::of_rendezvous("registry");
    framing::framing(&mut cases);
    identity::identity(&mut cases);
    signatures::signatures(&mut cases);
    settings::settings(&mut cases);
    finding::finding(&mut cases);
    trust::trust(&mut cases);
    durable::durable(&mut cases);
    tls::tls(&mut cases);
    limits::limits(&mut cases);
    super::expiry::registry(&mut cases);
    cases.all
}
