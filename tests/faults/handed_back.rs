//! Who gets what a consumer lets go of, and who keeps what has been claimed meanwhile.

use super::{GROUP, NOTE, assert_settled, consume, handle, handled, ids, orders, watched};
use crate::harness::{Server, Signal, wait_until};
use crate::middleman::{Middleman, Verdict, mentions};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// About a second is promised; a consumer that does not look by itself takes over four.
const SOON: Duration = Duration::from_secs(3);

/// The consumer under whose name the one pending entry is.
fn owner(server: &Server) -> String {
    let rows = server.cli(["XPENDING", "orders", GROUP, "-", "+", "10"]);
    rows.lines().nth(1).unwrap_or_default().to_owned()
}

#[test]
fn what_is_handed_back_reaches_a_waiting_consumer_soon() {
    for block in ["5s", "25s", "60s"] {
        for handler in [&[][..], &["--", "cat"]] {
            let server = orders(3);
            let mut leaving = handle(&server, "--jobs 3 --retry-delay 1h", "exit 1").spawn();
            wait_until("three failures", || {
                leaving.stderr_so_far().matches("the handler failed").count() == 3
            });
            let (middleman, is_waiting) = watched(&server);
            let mut waiting = consume(&server)
                .args(["--block", block, "-u", &middleman.url()])
                .args(handler)
                .spawn();
            wait_until("the other to wait", || is_waiting.load(Ordering::SeqCst));
            leaving.signal(Signal::TERM);
            assert_eq!(leaving.wait().status, 143);
            let start = Instant::now();
            let mut came = Vec::new();
            while came.len() < 3 && start.elapsed() < SOON {
                came.extend(waiting.line_within(Duration::from_millis(100)));
            }
            assert_eq!(came.len(), 3, "--block {block}: {came:?}");
            waiting.signal(Signal::TERM);
            assert_eq!(waiting.wait().status, 143);
            assert_settled(&server);
        }
    }
}

#[test]
fn a_consumer_with_a_given_name_hands_back_like_any_other() {
    let server = orders(1);
    let mut leaving = handle(&server, "-c till-1 --retry-delay 1h", "exit 1").spawn();
    leaving.wait_stderr("again in");
    assert_eq!(owner(&server), "till-1");
    leaving.signal(Signal::TERM);
    assert_eq!(leaving.wait().status, 143);
    assert_eq!(owner(&server), "handed-back");
    let rest = consume(&server).arg("-e").stdout_any().run();
    assert_eq!(ids(&rest), ["1-0"]);
    assert!(rest.stdout().contains("\"deliveries\":2"), "{}", rest.stdout());
    assert_settled(&server);
}

const UNARMED: u8 = 0;
const ARMED: u8 = 1;
const CLAIMING: u8 = 2;
const FIRED: u8 = 3;

/// Another client that, once armed, claims the entry just before the consumer's next claim of it gets through: after
/// the consumer has looked whose it is, if it looks first.
struct Claimant {
    middleman: Middleman,
    state: Arc<AtomicU8>,
}

impl Claimant {
    fn start(server: &Server) -> Self {
        let state = Arc::new(AtomicU8::new(UNARMED));
        let (shared, claimant) = (Arc::clone(&state), server.client());
        let middleman = Middleman::start(server, move |words| {
            let claims = mentions(words, "XCLAIM") || mentions(words, "XNACK");
            if claims
                && shared
                    .compare_exchange(ARMED, CLAIMING, Ordering::SeqCst, Ordering::SeqCst)
                    .is_ok()
            {
                claimant.command(["XCLAIM", "orders", GROUP, "claimant", "0", "1-0"]);
                shared.store(FIRED, Ordering::SeqCst);
            }
            Verdict::Pass
        });
        Self { middleman, state }
    }

    fn url(&self) -> String {
        self.middleman.url()
    }

    fn arm(&self) {
        self.state.store(ARMED, Ordering::SeqCst);
    }

    fn wait_fired(&self) {
        wait_until("a claim", || self.has_fired());
    }

    fn has_fired(&self) -> bool {
        self.state.load(Ordering::SeqCst) == FIRED
    }
}

/// Looks for a while whether the entry stays with the claimant.
#[track_caller]
fn assert_kept(server: &Server) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1200) {
        assert_eq!(owner(server), "claimant");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn keeping_a_message_alive_takes_it_from_no_fresh_claimant() {
    let server = orders(1);
    let claimant = Claimant::start(&server);
    let script = "touch started; until [ -e go ]; do sleep 0.01; done";
    let options = format!("--claim-idle 1s -u {}", claimant.url());
    let mut consumer = handle(&server, &options, script).spawn();
    wait_until("the handler", || server.work().join("started").exists());
    claimant.arm();
    claimant.wait_fired();
    assert_kept(&server);
    server.file("go", "");
    consumer.signal(Signal::TERM);
    assert_eq!(consumer.wait().status, 143);
}

#[test]
fn handing_back_takes_nothing_from_a_fresh_claimant() {
    let server = orders(1);
    let claimant = Claimant::start(&server);
    let options = format!("--retry-delay 1h -u {}", claimant.url());
    let mut consumer = handle(&server, &options, "exit 1").spawn();
    consumer.wait_stderr("again in");
    claimant.arm();
    consumer.signal(Signal::TERM);
    assert_eq!(consumer.wait().status, 143);
    assert!(claimant.has_fired(), "it was never handed back");
    assert_eq!(owner(&server), "claimant");
}

#[test]
fn trying_again_takes_nothing_from_a_fresh_claimant() {
    let server = orders(1);
    let claimant = Claimant::start(&server);
    let options = format!("--retry-delay 2s -u {}", claimant.url());
    let mut consumer = handle(&server, &options, &format!("{NOTE}; exit 1")).spawn();
    consumer.wait_stderr("again in");
    claimant.arm();
    claimant.wait_fired();
    assert_kept(&server);
    assert_eq!(handled(&server), ["1-0"], "it ran although the message is another's");
    consumer.signal(Signal::TERM);
    assert_eq!(consumer.wait().status, 143);
    assert_eq!(owner(&server), "claimant");
}
