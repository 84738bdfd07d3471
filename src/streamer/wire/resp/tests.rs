use proptest::prelude::*;
use redis::Value;

use super::*;

/// Any reply of RESP2, and its bytes.
fn any_reply() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|number| format!(":{number}\r\n").into_bytes()),
        "[a-zA-Z ]{0,12}".prop_map(|text| format!("+{text}\r\n").into_bytes()),
        Just(b"$-1\r\n".to_vec()),
        Just(b"*-1\r\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| {
            let mut out = Vec::new();
            argument(&mut out, &bytes);
            out
        }),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        proptest::collection::vec(inner, 0..6).prop_map(|items| {
            let mut out = Vec::new();
            header(&mut out, b'*', items.len());
            out.extend(items.concat());
            out
        })
    })
}

/// An entry: its ID, and its fields.
type Whole = (u64, u64, Vec<(Vec<u8>, Vec<u8>)>);

fn any_entries() -> impl Strategy<Value = Vec<Whole>> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..20);
    let fields = proptest::collection::vec((bytes(), bytes()), 1..4);
    proptest::collection::vec((any::<u64>(), any::<u64>(), fields), 0..5)
}

fn encode(entries: &[Whole]) -> Vec<u8> {
    let mut out = Vec::new();
    header(&mut out, b'*', entries.len());
    for (ms, seq, fields) in entries {
        header(&mut out, b'*', 2);
        id_argument(&mut out, EntryId { ms: *ms, seq: *seq });
        header(&mut out, b'*', 2 * fields.len());
        for (name, value) in fields {
            argument(&mut out, name);
            argument(&mut out, value);
        }
    }
    out
}

fn as_value(delivered: &Delivered<'_>) -> Value {
    let bulk = |bytes: &[u8]| Value::BulkString(bytes.to_vec());
    let Delivered::Entry(entry) = delivered else {
        return Value::Nil;
    };
    let fields = entry.fields.iter().flat_map(|(name, value)| [bulk(name), bulk(value)]);
    Value::Array(vec![
        bulk(entry.id.to_string().as_bytes()),
        Value::Array(fields.collect()),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_reply_is_found_whole_wherever_it_is_cut(reply in any_reply(), behind in proptest::collection::vec(any::<u8>(), 0..9), cut in any::<prop::sample::Index>()) {
        let mut bytes = reply.clone();
        bytes.extend(behind);
        let mut scanner = Scanner::new(usize::MAX);
        let cut = cut.index(reply.len());
        prop_assert_eq!(scanner.advance(&bytes[..cut]), Ok(None));
        prop_assert_eq!(scanner.advance(&bytes), Ok(Some(reply.len())));
        prop_assert!(redis::parse_redis_value(&reply).is_ok());
    }

    #[test]
    fn entries_read_as_the_redis_crate_reads_them(entries in any_entries()) {
        let reply = encode(&entries);
        let mut cursor = Cursor::new(&reply);
        let count = cursor.array().unwrap().unwrap();
        let ours: Vec<_> = (0..count).map(|_| as_value(&cursor.entry().unwrap())).collect();
        prop_assert_eq!(cursor.remaining(), 0);
        prop_assert_eq!(Value::Array(ours), redis::parse_redis_value(&reply).unwrap());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(prop_oneof![Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'1'), Just(b'9'), any::<u8>()], 0..80)) {
        let _ = Scanner::new(usize::MAX).advance(&bytes);
        let mut cursor = Cursor::new(&bytes);
        let _ = cursor.entry();
        let mut cursor = Cursor::new(&bytes);
        let _ = (cursor.array(), cursor.bulk(), cursor.number(), cursor.id());
    }
}
