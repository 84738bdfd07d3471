//! What the server at hand can do, asked of the server itself: names and versions tell little of it.

use super::options::Options;
use super::server::Server;

/// Says that a test, or a part of it, is left out, and why. `scripts/compat` collects these lines.
fn left_out(why: &str) {
    eprintln!("left out: {why}");
}

impl Options {
    /// Starts a server with TLS, where it is built with it.
    pub fn start_if_it_has_tls(self) -> Option<Server> {
        let log = match Server::try_launched(self) {
            Ok(server) => return Some(server),
            Err(log) => log,
        };
        let knows_the_setting = !Server::start().cli(["CONFIG", "GET", "tls-port"]).is_empty();
        let lacks_it = log.contains("Failed finding TLS support");
        assert!(lacks_it || !knows_the_setting, "the server does not start: {log}");
        left_out("the server is built without TLS");
        None
    }
}

impl Server {
    /// Whether it tells how far groups are behind.
    pub fn tells_lag(&self) -> bool {
        self.cli(["XGROUP", "CREATE", "asked", "g", "$", "MKSTREAM"]);
        let group = self.cli(["XINFO", "GROUPS", "asked"]);
        self.cli(["DEL", "asked"]);
        group.lines().any(|line| line == "lag")
    }

    /// As `tells_lag`; says so where it does not, since what needs it is left out.
    pub fn tells_lag_or_left_out(&self) -> bool {
        let tells = self.tells_lag();
        if !tells {
            left_out("the server does not tell the lag");
        }
        tells
    }
}
