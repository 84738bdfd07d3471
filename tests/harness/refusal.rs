//! Refusals that pass, and how they are brought about and mended.

use super::server::Server;

/// What a server answers to writes for a while.
#[derive(Clone, Copy)]
pub struct Refusal {
    /// The first word of the error.
    pub code: &'static str,
    pub begin: &'static [&'static str],
    pub mend: &'static [&'static str],
}

pub const READONLY: Refusal = Refusal {
    code: "READONLY",
    begin: &["REPLICAOF", "127.0.0.1", "1"],
    mend: &["REPLICAOF", "NO", "ONE"],
};

pub const NOREPLICAS: Refusal = Refusal {
    code: "NOREPLICAS",
    begin: &["CONFIG", "SET", "min-replicas-to-write", "1"],
    mend: &["CONFIG", "SET", "min-replicas-to-write", "0"],
};

pub const OOM: Refusal = Refusal {
    code: "OOM",
    begin: &["CONFIG", "SET", "maxmemory", "1"],
    mend: &["CONFIG", "SET", "maxmemory", "0"],
};

impl Server {
    /// From now on writes are refused like this.
    pub fn refuse(&self, refusal: Refusal) {
        self.cli(refusal.begin);
    }

    pub fn mend(&self, refusal: Refusal) {
        self.cli(refusal.mend);
    }
}
