//! Programs that run inside this one, in a process of their own.

use crate::output::Failure;

/// Runs the daemon here.
pub(crate) fn daemon(_arguments: Vec<String>, _admin_token: Option<String>) -> Result<(), Failure> {
    Err(Failure::internal("placeholder"))
}
