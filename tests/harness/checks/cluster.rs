//! Clusters, held against themselves.

use crate::harness::{Cluster, Server};

/// What a stream with a group holds, wherever it is.
fn holds_ten(node: &Server, stream: &str) -> bool {
    node.ids(stream).len() == 10 && node.pending(stream, "g") == ["1-0"]
}

fn add_ten(node: &Server, stream: &str) {
    node.add_numbered(stream, 10);
    node.cli(["XGROUP", "CREATE", stream, "g", "0"]);
    node.cli(["XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", stream, ">"]);
}

/// The error of a node that is asked for a stream that it does not serve: its first word.
fn refusal(node: &Server, stream: &str) -> String {
    let error = node.try_cli(["XLEN", stream]).unwrap_err();
    error.split(' ').next().unwrap().to_owned()
}

#[test]
fn a_slot_moves_with_its_stream() {
    let cluster = Cluster::start();
    let [from, to, other] = cluster.nodes() else { panic!() };
    let stream = cluster.name_at(from, "s");
    let beside = format!("{{{stream}}}:beside");
    add_ten(from, &stream);
    from.add_message(&beside, "1-0", "n", "1");
    let slot = cluster.slot(&stream);
    let step = cluster.begin_move(slot, to);
    assert_eq!(step.move_keys(1), 1);
    let asked = [&stream, &beside].map(|key| from.try_cli(["XLEN", key]));
    assert!(
        asked
            .iter()
            .any(|answer| answer.as_ref().is_err_and(|e| e.starts_with("ASK ")))
    );
    assert!(asked.iter().any(Result::is_ok), "{asked:?}");
    assert!(std::ptr::eq(cluster.owner(slot), from));
    assert_eq!((step.move_keys(9), step.move_keys(9)), (1, 0));
    step.finish();
    cluster.wait_agreed();
    assert!(std::ptr::eq(cluster.node_of(&stream), to));
    assert!(holds_ten(to, &stream));
    for node in [from, other] {
        assert_eq!(refusal(node, &stream), "MOVED");
    }
    cluster.move_slots(slot - 1..=slot + 1, other);
    assert!(holds_ten(cluster.node_of(&stream), &stream));
    assert!(std::ptr::eq(cluster.owner(slot + 1), other));
    let seeds = cluster.nodes().iter().map(|node| format!("127.0.0.1:{}", node.port()));
    let seeds: Vec<String> = seeds.collect();
    assert_eq!(cluster.url(), format!("redis+cluster://{}", seeds.join(",")));
}

#[test]
fn a_replica_takes_over() {
    let options = Server::options().append_only().password("p");
    let cluster = Cluster::options().replicas(1).nodes(options).start();
    let master = &cluster.nodes()[0];
    let stream = cluster.name_at(master, "s");
    add_ten(master, &stream);
    let [replica] = cluster.replicas_of(master)[..] else {
        panic!()
    };
    replica.wait_in_sync(master);
    let heir = cluster.fail_over(master, Server::kill9);
    assert!(std::ptr::eq(heir, replica));
    assert_eq!(cluster.masters().len(), 3);
    assert!(holds_ten(cluster.node_of(&stream), &stream));
    master.restart();
    cluster.wait_agreed();
    master.wait_in_sync(heir);
    cluster.switch_to(master);
    assert!(holds_ten(cluster.node_of(&stream), &stream));
    let heir = cluster.fail_over(master, Server::pause);
    assert!(std::ptr::eq(heir, replica));
    master.resume();
    cluster.wait_agreed();
    assert!(std::ptr::eq(cluster.replicas_of(heir)[0], master));
    let other = cluster
        .masters()
        .into_iter()
        .find(|node| !std::ptr::eq(*node, heir))
        .unwrap();
    cluster.move_slots(cluster.slot(&stream)..=cluster.slot(&stream), other);
    assert!(holds_ten(cluster.node_of(&stream), &stream));
}

#[test]
fn a_node_is_added_and_given_slots() {
    let options = Server::options().tcp6().user("eve on >p ~* +@all");
    let mut cluster = Cluster::options().masters(1).nodes(options).start();
    let streams = ["a", "b", "c"].map(|stem| cluster.name_at(&cluster.nodes()[0], stem));
    for stream in &streams {
        add_ten(cluster.node_of(stream), stream);
    }
    let added = cluster.add_node();
    let [first, added] = [0, added].map(|number| &cluster.nodes()[number]);
    assert_eq!(cluster.masters().len(), 1);
    cluster.reshard(100, first, added);
    cluster.wait_agreed();
    assert_eq!(cluster.masters().len(), 2);
    for stream in &streams {
        assert!(holds_ten(cluster.node_of(stream), stream));
    }
    assert!(added.cli(["ACL", "LIST"]).contains("user eve on"));
}

#[test]
fn nodes_have_names_and_certificates() {
    let options = Cluster::options()
        .hostnames()
        .nodes(Server::options().tls().password("p"));
    let Some(cluster) = options.start_if_able() else { return };
    let [from, to, _] = cluster.nodes() else { panic!() };
    let stream = cluster.name_at(from, "s");
    add_ten(from, &stream);
    // Which port is told depends on how one asks, from 7.2 on: here not over TLS.
    let told = to.try_cli(["XLEN", &stream]).unwrap_err();
    let address = format!("MOVED {} localhost:", cluster.slot(&stream));
    assert!(told.starts_with(&address), "{told}");
    cluster.reshard(2, from, to);
    cluster.move_slots(cluster.slot(&stream)..=cluster.slot(&stream), to);
    cluster.wait_agreed();
    assert!(holds_ten(cluster.node_of(&stream), &stream));
}
