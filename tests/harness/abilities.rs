//! What the server at hand can do, asked of the server itself: names and versions tell little of it.

use super::cluster::{Cluster, ClusterOptions};
use super::options::Options;
use super::sentinel::{Sentinels, SentinelsOptions};
use super::server::Server;

/// Says that a test, or a part of it, is left out, and why. `scripts/compat` collects these lines.
pub fn left_out(why: &str) {
    eprintln!("left out: {why}");
}

/// Whether a program of this machine is there; says so where it is not, since what needs it is left out.
pub fn is_installed_or_left_out(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let is_installed = std::env::split_paths(&paths).any(|dir| dir.join(program).is_file());
    if !is_installed {
        left_out(&format!("{program} is not installed"));
    }
    is_installed
}

impl Options {
    /// Starts a server with TLS, where it is built with it.
    pub fn start_if_it_has_tls(self) -> Option<Server> {
        unless_it_lacks_tls(Server::try_launched(self))
    }
}

fn unless_it_lacks_tls<T>(started: Result<T, String>) -> Option<T> {
    let log = match started {
        Ok(started) => return Some(started),
        Err(log) => log,
    };
    let lacks_it = log.contains("Failed finding TLS support");
    assert!(lacks_it || !knows("tls-port"), "the server does not start: {log}");
    left_out("the server is built without TLS");
    None
}

/// Whether the server knows a setting.
fn knows(setting: &str) -> bool {
    !Server::start().cli(["CONFIG", "GET", setting]).is_empty()
}

impl ClusterOptions {
    /// Starts a cluster with TLS or with host names, where the server has that.
    pub fn start_if_able(self) -> Option<Cluster> {
        if self.has_hostnames() && !knows("cluster-announce-hostname") {
            left_out("the server announces no host name");
            return None;
        }
        unless_it_lacks_tls(self.try_start())
    }
}

impl SentinelsOptions {
    /// Starts servers and sentinels with TLS, where they are built with it.
    pub fn start_if_able(self) -> Option<Sentinels> {
        unless_it_lacks_tls(self.try_start())
    }
}

impl Sentinels {
    /// Whether they see soon enough that their master became a replica, to put another in its place; says so where they
    /// do not, since what needs it is left out.
    pub fn look_often_or_left_out(&self) -> bool {
        let can_be_told = self.sentinels()[0].try_command(["SENTINEL", "DEBUG"]).is_ok();
        if !can_be_told {
            left_out("the sentinels look every ten seconds only");
        }
        can_be_told
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

    /// Whether it tells of pending entries that were deleted as they are claimed; says so where it does not, since what
    /// needs it is left out.
    pub fn tells_of_deleted_or_left_out(&self) -> bool {
        self.add("asked", "1-0", &[("n", "v")]);
        self.cli(["XGROUP", "CREATE", "asked", "g", "0"]);
        self.cli(["XREADGROUP", "GROUP", "g", "c", "STREAMS", "asked", ">"]);
        self.cli(["XDEL", "asked", "1-0"]);
        let tells = self.cli(["XCLAIM", "asked", "g", "c", "0", "1-0", "JUSTID"]).is_empty();
        self.cli(["DEL", "asked"]);
        if !tells {
            left_out("the server claims entries that are deleted");
        }
        tells
    }

    /// Whether it tells of consumers what the captures of screens show: of the lag, and not of how long they are inactive
    /// (Redis 7.2). Says so where it does not, since those are left out.
    pub fn is_as_captured_or_left_out(&self) -> bool {
        if !self.tells_lag_or_left_out() {
            return false;
        }
        self.cli(["XGROUP", "CREATE", "asked", "g", "$", "MKSTREAM"]);
        self.cli(["XGROUP", "CREATECONSUMER", "asked", "g", "c"]);
        let consumers = self.cli(["XINFO", "CONSUMERS", "asked", "g"]);
        self.cli(["DEL", "asked"]);
        let tells_more = consumers.lines().any(|line| line == "inactive");
        if tells_more {
            left_out("the server tells how long consumers are inactive, which the captures do not show");
        }
        !tells_more
    }

    /// Whether it has a command; says so where it has not, since what needs it is left out.
    pub fn knows_or_left_out(&self, command: &str) -> bool {
        let knows = self.knows(command);
        if !knows {
            left_out(&format!("the server has no {command}"));
        }
        knows
    }

    pub fn knows(&self, command: &str) -> bool {
        !self.cli(["COMMAND", "INFO", command]).is_empty()
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
