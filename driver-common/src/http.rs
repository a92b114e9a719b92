//! HTTP posts of a role (webhooks) on one worker thread.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel},
    thread,
    time::Duration,
};

use crate::mailbox::{Letter, Mailbox};

/// Posts that may wait; more are answered with a failure at once.
const MAX_WAITING: usize = 256;

/// How long one post may take from resolving to the status line.
const TIMEOUT: Duration = Duration::from_secs(5);

struct Job {
    ticket: u64,
    url: String,
    body: Vec<u8>,
}

/// The worker thread, started by the first post.
pub(crate) struct Posts {
    mailbox: Mailbox,
    worker: Option<(SyncSender<Job>, Receiver<()>)>,
}

impl Posts {
    pub(crate) fn new(mailbox: Mailbox) -> Self {
        Posts { mailbox, worker: None }
    }

    /// Queues a post; a [`Letter::Posted`] answers.
    pub(crate) fn submit(&mut self, ticket: u64, url: String, body: Vec<u8>) {
        let (jobs, _) = self.worker.get_or_insert_with(|| start(self.mailbox.clone()));
        let refused = match jobs.try_send(Job { ticket, url, body }) {
            Ok(()) => return,
            Err(TrySendError::Full(_)) => format!("{MAX_WAITING} posts are waiting already"),
            Err(TrySendError::Disconnected(_)) => "the thread for posts could not be started".to_owned(),
        };
        self.mailbox.post(Letter::Posted { ticket, result: Err(refused) });
    }

    /// Lets what is queued go out, at most as long as one post may take.
    pub(crate) fn finish(&mut self) {
        if let Some((jobs, done)) = self.worker.take() {
            drop(jobs);
            if done.recv_timeout(TIMEOUT) == Err(RecvTimeoutError::Timeout) {
                tracing::warn!("posts were still waiting at the end");
            }
        }
    }
}

fn start(mailbox: Mailbox) -> (SyncSender<Job>, Receiver<()>) {
    let (jobs, inbox) = sync_channel::<Job>(MAX_WAITING);
    let (alive, done) = channel();
    let worker = move || {
        let _alive = alive;
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .build()
            .into();
        while let Ok(Job { ticket, url, body }) = inbox.recv() {
            let answer = agent.post(&url).header("content-type", "application/json").send(&body[..]);
            let result = answer.map(|response| response.status().as_u16()).map_err(|e| e.to_string());
            mailbox.post(Letter::Posted { ticket, result });
        }
    };
    // Without the thread the channel is closed, which submit reports.
    if let Err(error) = thread::Builder::new().name("posts".into()).spawn(worker) {
        tracing::error!(%error, "no thread for posts");
    }
    (jobs, done)
}
