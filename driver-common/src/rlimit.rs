//! Room for many connections: the soft limit on open descriptors raised to what the hard limit allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of this process. Systems that refuse leave it as it was; accepting then pauses at the limit.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!(%error, "the limit on open descriptors stays as it is");
    }
}
