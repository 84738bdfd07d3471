use super::*;

fn position(batch: u64, writer: Writer) -> Position {
    Position {
        batch,
        records: batch * 10,
        place: Place {
            offset: batch * 100,
            ..Place::default()
        },
        writer,
    }
}

fn confirmed(position: Position) -> Confirmed {
    Confirmed {
        position,
        last_id: LastId::Exactly(None),
        written: Written::default(),
    }
}

fn unheard<'f>(position: &'f Position, writers: &'f [Writer]) -> Unconfirmed<'f> {
    Unconfirmed {
        position,
        writers,
        was_in: false,
    }
}

/// Batches 0 to 3 are confirmed.
fn chain(writer: Writer) -> Chain {
    let root = confirmed(position(0, writer));
    let mut chain = Chain::new(root, root, Some(Mark::whole(root.position)));
    for batch in 1..=3 {
        chain.confirm(position(batch, writer), LastId::Exactly(None));
    }
    chain
}

fn contents(marker: Option<Position>) -> Contents {
    Contents {
        position: marker.map(|position| position.to_string()),
        batches: marker.map_or(0, |position| position.batch),
    }
}

#[test]
fn the_marker_tells_how_many_in_flight_are_in() {
    let (a, b) = (Writer::new(), Writer::new());
    let chain = chain(a);
    let in_flight = [position(4, a), position(5, a)];
    let judge = |marker: Option<Position>, writers: &[Writer]| {
        let newest = writers[writers.len() - 1];
        let in_flight = in_flight.iter().map(|position| unheard(position, writers));
        chain.judge(&contents(marker), newest, in_flight)
    };
    assert_eq!(judge(Some(position(3, a)), &[a]), Verdict::In(0));
    assert_eq!(judge(Some(position(4, a)), &[a]), Verdict::In(1));
    assert_eq!(judge(Some(position(5, a)), &[a]), Verdict::In(2));
    assert_eq!(
        judge(Some(position(1, a)), &[a]),
        Verdict::Behind(confirmed(position(1, a)), Mark::whole(position(1, a)))
    );
    assert_eq!(judge(Some(position(5, b)), &[a]), Verdict::Foreign);
    assert_eq!(judge(Some(position(6, a)), &[a]), Verdict::Foreign);
    assert_eq!(judge(None, &[a]), Verdict::Gone);
    // An old connection brought what was sent again over a newer one.
    assert_eq!(judge(Some(position(4, a)), &[a, b]), Verdict::Unclear(position(4, a)));
    assert_eq!(judge(Some(position(4, b)), &[a, b]), Verdict::In(1));
}

#[test]
fn the_count_tells_of_batches_that_were_refused() {
    let writer = Writer::new();
    let mut chain = chain(writer);
    let in_flight = [position(4, writer), position(5, writer), position(6, writer)];
    let judge = |chain: &Chain, batch, batches| {
        let marker = Contents {
            batches,
            ..contents(Some(position(batch, writer)))
        };
        let writers = [writer];
        let in_flight = in_flight.iter().map(|position| unheard(position, &writers));
        chain.judge(&marker, writer, in_flight)
    };
    assert_eq!(judge(&chain, 6, 6), Verdict::In(3));
    assert_eq!(judge(&chain, 6, 4), Verdict::Gaps(3));
    // It counts no more than are confirmed: it began from nothing.
    assert_eq!(judge(&chain, 6, 3), Verdict::BegunAnew);
    assert_eq!(judge(&chain, 5, 4), Verdict::Gaps(2));
    // Its lines were rejected: what follows is counted from there.
    chain.confirm(position(5, writer), LastId::Exactly(None));
    assert_eq!(judge(&chain, 5, 4), Verdict::In(0));
    chain.marker_is_mended(position(5, writer), 0);
    assert_eq!(judge(&chain, 5, 5), Verdict::In(0));
}

#[test]
fn what_was_in_and_not_safe_may_be_lost() {
    let (a, b) = (Writer::new(), Writer::new());
    let mut chain = chain(a);
    let (was_in, unheard) = ([position(4, a), position(5, a)], position(6, b));
    let judge = |marker| {
        let was_in = was_in.iter().map(|position| Unconfirmed {
            position,
            writers: &[],
            was_in: true,
        });
        let batch = Unconfirmed {
            position: &unheard,
            writers: &[b],
            was_in: false,
        };
        chain.judge(&contents(Some(marker)), b, was_in.chain([batch]))
    };
    // Those before came over another connection, and nobody minds.
    assert_eq!(judge(position(4, a)), Verdict::In(1));
    assert_eq!(judge(position(5, a)), Verdict::In(2));
    assert_eq!(judge(position(6, b)), Verdict::In(3));
    assert_eq!(judge(position(3, a)), Verdict::In(0));
    assert_eq!(judge(position(5, b)), Verdict::Foreign);
    let is_ahead = |chain: &Chain, batch| chain.is_ahead(&contents(Some(position(batch, a))), was_in[1], 2);
    assert!(is_ahead(&chain, 5) && !is_ahead(&chain, 4));
    chain.marker_is_mended(was_in[1], 2);
    assert!(is_ahead(&chain, 5));
}

#[test]
fn the_first_marker_may_come_late() {
    let writer = Writer::new();
    let root = confirmed(position(0, writer));
    let mut chain = Chain::new(root, root, None);
    let (none, first) = (contents(None), contents(Some(root.position)));
    assert!(chain.is_at(&none) && chain.is_at(&first));
    assert_eq!(chain.judge(&first, writer, std::iter::empty()), Verdict::In(0));
    chain.confirm(position(1, writer), LastId::Exactly(None));
    assert!(!chain.is_at(&none) && !chain.is_at(&first));
    assert_eq!(
        chain.judge(&first, writer, std::iter::empty()),
        Verdict::Behind(root, Mark::whole(root.position))
    );
}

#[test]
fn a_stream_tells_whether_it_lost_entries() {
    let end = |last_id, added| {
        Some(StreamEnd {
            last_id: EntryId::at_ms(last_id),
            added,
        })
    };
    let last_id = LastId::AtLeast(Some(EntryId::at_ms(5)));
    assert!(is_lost(None, LastId::AtLeast(None), 1));
    assert!(!is_lost(None, LastId::Exactly(None), 0));
    assert!(is_lost(end(4, None), last_id, 1));
    assert!(is_lost(end(9, Some(2)), last_id, 3));
    assert!(!is_lost(end(9, Some(3)), last_id, 3));
    assert!(!is_lost(end(9, None), last_id, 3));
}

#[test]
fn a_chain_goes_back_to_where_the_server_is() {
    let writer = Writer::new();
    let mut chain = chain(writer);
    let found = contents(Some(position(2, writer)));
    let Verdict::Behind(to, mark) = chain.judge(&found, writer, std::iter::empty()) else {
        panic!("not behind");
    };
    chain.rewind(to, Some(mark));
    assert_eq!(
        (chain.last(), chain.marker),
        (to, Some(Mark::whole(position(2, writer))))
    );
    chain.rewind(chain.root(), None);
    assert_eq!(chain.judge(&contents(None), writer, std::iter::empty()), Verdict::In(0));
    let batch = Batch::default();
    assert_eq!(chain.behind(None, &batch, writer).batch, 1);
    assert_eq!(chain.behind(Some(&position(7, writer)), &batch, writer).batch, 8);
}
