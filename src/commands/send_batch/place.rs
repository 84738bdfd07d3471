//! Places in the input, and how an input is known again.

use crate::failure::Failure;
use crate::streamer::producer::Place;

/// Moves a place behind a record.
pub fn advance(place: &mut Place, record: &[u8], lines: u64) {
    let before = place.offset;
    place.offset += record.len() as u64;
    place.line += lines;
    place.digest = place.digest.map(|earlier| digest(earlier, before, record));
}

/// Whether the record between two places lies before a third. Fails if the input is not the one in which that was a
/// place between two records.
pub fn lies_before(from: &Place, to: &Place, mark: &Place) -> anyhow::Result<bool> {
    if to.source != mark.source {
        return Ok(to.source < mark.source);
    }
    if from.offset >= mark.offset {
        return Ok(false);
    }
    if to.offset >= mark.offset && to != mark {
        return Err(other_input());
    }
    Ok(true)
}

/// At the end of a source: whether an earlier run came further in it.
pub fn must_reach(end: &Place, mark: &Place) -> anyhow::Result<()> {
    if mark.source == end.source && mark.offset > end.offset {
        return Err(other_input());
    }
    Ok(())
}

pub fn other_input() -> anyhow::Error {
    Failure::data("the input is not the one the checkpoint was written for")
        .hint("give the same input again, or another --checkpoint file to start anew")
        .into()
}

/// The digest of what lay before and a record: no single change of a word goes unnoticed. The steps are those of
/// FxHash, which Firefox and rustc use.
fn digest(earlier: u64, before: u64, record: &[u8]) -> u64 {
    const FACTOR: u64 = 0x517c_c1b7_2722_0a95;
    let step = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    let words = record.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    words.fold(step(step(earlier, before), record.len() as u64), step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_known_again_in_the_same_input_only() {
        let start = Place {
            digest: Some(0),
            ..Place::default()
        };
        let moved = |records: &[&[u8]]| {
            records.iter().fold(start, |mut place, record| {
                advance(&mut place, record, 1);
                place
            })
        };
        let (one, two) = (moved(&[b"one\n"]), moved(&[b"one\n", b"two\n"]));
        assert!(lies_before(&start, &one, &two).unwrap());
        assert!(lies_before(&one, &two, &two).unwrap());
        assert!(!lies_before(&one, &two, &one).unwrap());
        assert!(lies_before(&one, &moved(&[b"one\n", b"too\n"]), &two).is_err());
        assert!(lies_before(&start, &moved(&[b"one and two\n"]), &two).is_err());
        assert!(must_reach(&one, &two).is_err() && must_reach(&two, &one).is_ok());
    }
}
