use super::*;

#[test]
fn what_is_done_by_a_torn_write_follows_from_the_reader_and_the_promise() {
    use Promise::{AtLeastOnce, AtMostOnce};
    // Lines of ten bytes.
    let starts = [0, 10, 20];
    for (written, has_reader, promise, done) in [
        (0, true, AtLeastOnce, 0),
        (9, true, AtLeastOnce, 0),
        (10, true, AtLeastOnce, 1),
        (25, true, AtMostOnce, 2),
        (25, false, AtMostOnce, 3),
        (20, false, AtMostOnce, 2),
        (0, false, AtMostOnce, 0),
        (25, false, AtLeastOnce, 0),
    ] {
        let unwritten = Unwritten {
            written,
            has_reader,
            ending: Ending::ReaderGone,
        };
        assert_eq!(
            done_by(&starts, unwritten, promise),
            done,
            "{written} {has_reader} {promise:?}"
        );
    }
}
