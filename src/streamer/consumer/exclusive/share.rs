//! Who is to have which stream: computed by each process for itself from what all of them can see. Pure.
//!
//! As by the workers of Kinesis' client library, streams are counted by the holders of their leases, and a process that is
//! there has itself seen by a count that goes up; no clocks are compared, and nobody decides for the others. Unlike there,
//! and as by the greedy event processors of Azure, all that is one's share is taken at once; and nothing is stolen: who
//! has too many gives them up when what is in hand is done, as by the cooperative rebalancing of Kafka.

use std::collections::HashMap;

/// A stream as a process sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Who has its lease, unless he is about to give it up.
    pub holder: Option<String>,
    /// Who wants to read it, whoever does.
    pub members: Vec<Member>,
}

/// Who wants to read a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    /// How many streams he has, by his own account: not all need be among ours.
    pub has: usize,
}

/// Who is to have each stream. What nobody has goes to whoever has the fewest; then who has the most gives one to who has
/// the fewest, as long as that makes a difference. Among equals names and places decide: all who see the same come to the
/// same conclusion, and no stream moves that need not.
pub fn share(streams: &[Seen]) -> Vec<Option<&str>> {
    let mut shares = Shares::new(streams);
    for place in 0..streams.len() {
        if shares.owners[place].is_none()
            && let Some(poorest) = shares.poorest(place)
        {
            shares.give(place, poorest);
        }
    }
    while shares.level() {}
    shares.owners
}

struct Shares<'a> {
    streams: &'a [Seen],
    owners: Vec<Option<&'a str>>,
    /// How many each has.
    counts: HashMap<&'a str, usize>,
}

impl<'a> Shares<'a> {
    fn new(streams: &'a [Seen]) -> Self {
        let mut shares = Self {
            streams,
            owners: vec![None; streams.len()],
            counts: HashMap::new(),
        };
        for (place, stream) in streams.iter().enumerate() {
            if let Some(holder) = &stream.holder {
                shares.give(place, holder);
            }
        }
        // What he has taken or given up just now is not in his account yet.
        for Member { name, has } in streams.iter().flat_map(|stream| &stream.members) {
            let count = shares.counts.entry(name).or_default();
            *count = (*has).max(*count);
        }
        shares
    }

    fn count(&self, name: &str) -> usize {
        self.counts.get(name).copied().unwrap_or_default()
    }

    fn give(&mut self, place: usize, to: &'a str) {
        if let Some(before) = self.owners[place].replace(to) {
            *self.counts.entry(before).or_default() -= 1;
        }
        *self.counts.entry(to).or_default() += 1;
    }

    /// Who has the fewest of those who want this one.
    fn poorest(&self, place: usize) -> Option<&'a str> {
        let members = self.streams[place].members.iter().map(|member| member.name.as_str());
        members.min_by_key(|name| (self.count(name), *name))
    }

    /// Moves one stream to somebody who has at least two less, where that makes the most difference. Says whether there
    /// was one.
    fn level(&mut self) -> bool {
        let move_of = |place: usize| {
            let owner = self.owners[place]?;
            let poorest = self.poorest(place)?;
            let gain = self.count(owner).checked_sub(self.count(poorest) + 2)?;
            Some((gain, place, poorest))
        };
        let moves = (0..self.owners.len()).filter_map(move_of);
        let Some((_, place, to)) = moves.max_by_key(|(gain, place, _)| (*gain, *place)) else {
            return false;
        };
        self.give(place, to);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: char, has: usize) -> Member {
        let name = name.to_string();
        Member { name, has }
    }

    /// Streams by who has each (`-` for nobody), all of which these want.
    fn seen(holders: &str, members: &str) -> Vec<Seen> {
        let members: Vec<_> = members.chars().map(|c| member(c, 0)).collect();
        let holder = |c: char| (c != '-').then(|| c.to_string());
        let stream = |c| Seen {
            holder: holder(c),
            members: members.clone(),
        };
        holders.chars().map(stream).collect()
    }

    fn shared(streams: &[Seen]) -> String {
        share(streams).into_iter().map(|owner| owner.unwrap_or("-")).collect()
    }

    #[test]
    fn all_have_as_many_but_for_one() {
        for (holders, members, expected) in [
            ("----", "a", "aaaa"),
            ("-----", "ab", "ababa"),
            ("aaaa", "ab", "aabb"),
            ("aaaa", "abcde", "adcb"),
            ("aab-", "ab", "aabb"),
            ("a", "ab", "a"),
            ("-", "ba", "a"),
            ("--", "abc", "ab"),
            ("aabbcc", "abc", "aabbcc"),
            ("aaab", "ab", "aabb"),
            ("aabb--", "abc", "aabbcc"),
            ("aaabbbcccddd", "abcde", "aaabbbccedde"),
            ("-", "", "-"),
            // One that is not there any more, and whose lease has yet to expire.
            ("xx--", "ab", "xxab"),
        ] {
            assert_eq!(shared(&seen(holders, members)), expected, "{holders} {members}");
        }
    }

    #[test]
    fn nothing_moves_twice() {
        for count in 1..40 {
            for members in ["a", "ab", "abc", "abcdefg"] {
                let once = shared(&seen(&"a".repeat(count), members));
                assert_eq!(shared(&seen(&once, members)), once);
                let of = |member| once.chars().filter(|c| *c == member).count();
                let counts: Vec<_> = members.chars().map(of).collect();
                let spread = counts.iter().max().unwrap() - counts.iter().min().unwrap();
                assert!(spread <= 1, "{once}");
            }
        }
    }

    #[test]
    fn only_who_wants_a_stream_gets_it() {
        let mut streams = seen("aaaa", "a");
        streams[1].members.push(member('b', 0));
        assert_eq!(shared(&streams), "abaa");
        streams[1].holder = None;
        streams[1].members.clear();
        assert_eq!(shared(&streams), "a-aa");
        // Whoever has others elsewhere is not poor.
        let one = |a, b| Seen {
            holder: None,
            members: vec![member('a', a), member('b', b)],
        };
        assert_eq!(shared(&[one(3, 0), one(3, 0)]), "bb");
        assert_eq!(shared(&[one(0, 3), one(0, 3)]), "aa");
    }
}
