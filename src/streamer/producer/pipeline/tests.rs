use super::*;

#[test]
fn the_window_is_bounded_in_records_and_in_bytes() {
    let has_room = |batches: usize, batch: (usize, usize)| window_has_room(std::iter::repeat_n(batch, batches), 1);
    assert!(has_room(0, (1000, 200_000)));
    assert!(has_room(16, (1000, 200_000)) && !has_room(17, (1000, 200_000)));
    // Lines of 10 KB, and of 1 MB; one that is larger than the window goes alone.
    assert!(has_room(32, (12, 128_000)) && !has_room(33, (12, 128_000)));
    assert!(!has_room(4, (1, 1 << 20)) && !has_room(1, (1, 1 << 29)));
}
