//! A cluster as far as it is known, shared by all who look for a node in it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::slots::{Place, Redirection, SlotMap, Work};
use crate::streamer::error::{Error, ServerError};
use crate::streamer::wire::Address;

/// What is known of a cluster.
#[derive(Debug, Default)]
pub struct Cluster {
    known: Mutex<Known>,
    /// Held by whoever asks the cluster: the others wait for what it learns.
    asking: Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    map: SlotMap,
    /// Counts what was learnt.
    version: u64,
    /// Something happened that it does not tell of.
    is_stale: bool,
}

impl Cluster {
    /// Nothing is known yet.
    pub fn unknown() -> Self {
        let cluster = Self::default();
        cluster.lock().is_stale = true;
        cluster
    }

    /// Where a key is. `look` asks the cluster, through one of these nodes.
    pub fn place(
        &self,
        key: &[u8],
        work: Work,
        look: impl FnOnce(&[Address]) -> Result<SlotMap, Error>,
    ) -> Result<Place, Error> {
        self.refresh(look)?;
        self.lock().map.place(key, work).ok_or_else(unserved)
    }

    /// Those that hold slots, as they are now, and whether they hold all of them.
    pub fn masters(
        &self,
        look: impl FnOnce(&[Address]) -> Result<SlotMap, Error>,
    ) -> Result<(Vec<Address>, bool), Error> {
        self.lock().is_stale = true;
        self.refresh(look)?;
        let known = self.lock();
        Ok((known.map.masters(), known.map.is_whole()))
    }

    /// Learns from a failure.
    pub fn heed(&self, error: &Error) {
        let mut known = self.lock();
        match error {
            Error::OnItsWay { key, refusal } => {
                let is_known = Redirection::of(refusal).is_some_and(|to| known.map.on_its_way(key, to));
                known.is_stale |= !is_known;
            }
            Error::Refused(refusal) if refusal.code == "MOVED" => {
                let is_known = Redirection::of(refusal).is_some_and(|to| known.map.moved(to));
                known.is_stale |= !is_known;
            }
            Error::Refused(refusal) => known.is_stale |= refusal.is_passing(),
            error => known.is_stale |= error.is_connection(),
        }
    }

    /// Asks the cluster, if what is known is out of date and nobody else has asked meanwhile, or asked in vain.
    fn refresh(&self, look: impl FnOnce(&[Address]) -> Result<SlotMap, Error>) -> Result<(), Error> {
        let version = {
            let known = self.lock();
            if !known.is_stale {
                return Ok(());
            }
            known.version
        };
        let _asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let nodes = {
            let known = self.lock();
            if known.version != version && (!known.is_stale || !known.map.masters().is_empty()) {
                return Ok(());
            }
            known.map.nodes().to_vec()
        };
        let looked = look(&nodes);
        let mut known = self.lock();
        known.version += 1;
        known.map = looked?;
        known.is_stale = false;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No node holds a slot, in the words of one that is asked for it.
pub fn unserved() -> Error {
    Error::Refused(ServerError {
        code: "CLUSTERDOWN".to_owned(),
        detail: "Hash slot not served".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::super::slots::slot;
    use super::*;

    fn map(port: i64) -> Result<SlotMap, Error> {
        let node = Value::Array(vec![Value::BulkString(b"h".to_vec()), Value::Int(port)]);
        let range = Value::Array(vec![Value::Int(0), Value::Int(16_383), node]);
        Ok(SlotMap::read(&Value::Array(vec![range]), &Address::tcp("h", 1)).unwrap())
    }

    #[test]
    fn the_cluster_is_asked_when_what_is_known_is_out_of_date() {
        let cluster = Cluster::unknown();
        let at = |look: Option<i64>| {
            let look = |_: &[Address]| look.map_or_else(|| panic!("asked for nothing"), map);
            cluster.place(b"k", Work::OnSlot, look).unwrap().node
        };
        assert_eq!(at(Some(1)), Address::tcp("h", 1));
        assert_eq!(at(None), Address::tcp("h", 1));
        let refused = |text: &str| Error::Refused(ServerError::parse(text.as_bytes()));
        cluster.heed(&refused(&format!("MOVED {} h:2", slot(b"k"))));
        assert_eq!(at(None), Address::tcp("h", 2));
        cluster.heed(&refused("ERR something else"));
        assert_eq!(at(None), Address::tcp("h", 2));
        for error in [refused("CLUSTERDOWN The cluster is down"), refused("MOVED 7 :2")] {
            cluster.heed(&error);
            assert_eq!(at(Some(3)), Address::tcp("h", 3));
        }
    }
}
