//! Sentinels and what they watch, held against themselves.

use crate::harness::{Sentinels, Server};

#[test]
fn another_master_is_elected() {
    let all = Sentinels::start();
    let first = all.master();
    assert!(std::ptr::eq(first, &all.servers()[0]));
    first.add_numbered("s", 10);
    for replica in &all.servers()[1..] {
        replica.wait_in_sync(first);
    }
    let second = all.fail_over(Server::kill9);
    assert!(!std::ptr::eq(first, second));
    assert_eq!(second.ids("s").len(), 10);
    first.restart();
    let master = all.wait_settled();
    assert!(!std::ptr::eq(first, master));
    assert_eq!(first.ids("s").len(), 10);
    let seeds = all.sentinels().iter().map(|node| format!("127.0.0.1:{}", node.port()));
    let seeds: Vec<String> = seeds.collect();
    assert_eq!(all.url(), format!("redis+sentinel://{}/mymaster", seeds.join(",")));
}

#[test]
fn a_paused_master_comes_back_and_is_demoted() {
    let servers = Server::options().append_only().password("p");
    let own = Server::options().password("q");
    let all = Sentinels::options()
        .replicas(1)
        .servers(servers)
        .sentinels(3, own)
        .start();
    let first = all.master();
    let second = all.fail_over(Server::pause);
    assert!(std::ptr::eq(second, &all.servers()[1]));
    first.resume();
    // It still takes itself for the master, and what it accepts is lost.
    let _ = first.try_command(["XADD", "s", "*", "name", "n"]);
    second.add_numbered("s", 10);
    assert!(std::ptr::eq(all.wait_settled(), second));
    first.wait_in_sync(second);
    assert_eq!(first.ids("s"), second.ids("s"));
}

#[test]
fn sentinels_with_certificates_and_a_user_change_masters() {
    let servers = Server::options().tls().password("p");
    let options = Sentinels::options().servers(servers).authenticating("watch", "w");
    let Some(all) = options.start_if_able() else { return };
    let first = all.master();
    let second = all.switch();
    all.wait_settled();
    assert!(!std::ptr::eq(first, second));
    assert_eq!(first.replication("role").as_deref(), Some("slave"));
}
