//! Who still needs the daemon: open connections and live containers. When nobody does, it leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// A count of reasons to stay.
#[derive(Debug, Clone, Default)]
pub(super) struct Presence(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    reasons: AtomicUsize,
    changed: Notify,
}

/// One reason to stay, until it is dropped.
#[derive(Debug)]
pub(super) struct Reason(Arc<Inner>);

impl Presence {
    /// Returns a reason to stay.
    pub(super) fn hold(&self) -> Reason {
        self.0.reasons.fetch_add(1, Ordering::SeqCst);
        Reason(Arc::clone(&self.0))
    }

    /// Returns once nobody has needed the daemon for `quiet` on end.
    pub(super) async fn nobody(&self, quiet: Duration) {
        loop {
            // Registered before the count is read, so no change between the two is missed.
            let changed = self.0.changed.notified();
            if self.0.reasons.load(Ordering::SeqCst) > 0 {
                changed.await;
                continue;
            }
            if tokio::time::timeout(quiet, changed).await.is_err() && self.0.reasons.load(Ordering::SeqCst) == 0 {
                return;
            }
        }
    }
}

impl Clone for Reason {
    fn clone(&self) -> Self {
        self.0.reasons.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Reason {
    fn drop(&mut self) {
        self.0.reasons.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_daemon_stays_while_anybody_needs_it() {
        let presence = Presence::default();
        let quiet = Duration::from_secs(1);
        let client = presence.hold();
        let container = client.clone();
        let stays = tokio::time::timeout(Duration::from_secs(60), presence.nobody(quiet));
        assert!(stays.await.is_err());

        let other = presence.clone();
        let leaving = tokio::spawn(async move { other.nobody(quiet).await });
        drop(client);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!leaving.is_finished());
        drop(container);
        tokio::time::timeout(Duration::from_secs(2), leaving).await.unwrap().unwrap();
    }
}
