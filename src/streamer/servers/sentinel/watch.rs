//! Asks the sentinels now and then whether the master is still the master, aside of the work: whoever uses a connection
//! to one that is not, be it to wait for entries, gets it broken.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::Sentinels;

/// How often. What a replaced master accepts until it is noticed must be sent again.
const EVERY: Duration = Duration::from_secs(1);

/// Watches until the process ends.
pub fn watch(sentinels: &Arc<Sentinels>) {
    let sentinels = sentinels.clone();
    let watching = move || {
        let mut kept = Vec::new();
        loop {
            thread::sleep(EVERY);
            let (words, _) = sentinels.words(&mut kept);
            sentinels.review(&words);
        }
    };
    // Without a thread, a replaced master is noticed when it is told, and before a sending ends.
    let _ = thread::Builder::new().spawn(watching);
}
