//! What is safe, and what is not, in words.

use crate::failure::Failure;
use crate::render::{counted, exact_duration};
use crate::streamer::{Copies, Durability, Reached};

/// Where what is safe is: `on 1 replica`.
pub fn place(copies: Copies) -> String {
    match copies {
        Copies::Replicas(replicas) => format!("on {}", counted(replicas.get().into(), "replica")),
        Copies::Disk { replicas: 0 } => "on disk".to_owned(),
        Copies::Disk { replicas } => format!("on disk there and on {}", counted(replicas.into(), "replica")),
    }
}

/// What may become of the rest.
pub fn risk(copies: Copies) -> &'static str {
    match copies {
        Copies::Disk { replicas: 0 } => "may be lost if the server fails",
        _ => "may be lost in a failover",
    }
}

/// What is not as it was asked for.
pub fn shortfall(durability: Durability, reached: Reached) -> Failure {
    let within = exact_duration(u64::try_from(durability.timeout.as_millis()).unwrap_or(u64::MAX));
    let wanted = durability.copies.replicas();
    let is_on_disk = matches!(durability.copies, Copies::Replicas(_)) || reached.here > 0;
    if !is_on_disk {
        return Failure::data(format!("the server did not write it to its disk within {within}"))
            .hint("see its disk and `appendfsync`: redis-cli INFO persistence; --wait-timeout gives it more time");
    }
    let has = match durability.copies {
        Copies::Replicas(_) => "had it",
        Copies::Disk { .. } => "had it on disk",
    };
    let were = if wanted == 1 { "was" } else { "were" };
    let replicas = counted(reached.replicas, "replica");
    Failure::data(format!(
        "{replicas} {has} within {within}, and {wanted} {were} asked for"
    ))
    .hint("see how far they are: redis-cli INFO replication; --wait-timeout gives them more time")
}
