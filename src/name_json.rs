//! The name of a stream, a group or a consumer in JSON. Pure.

use serde::{Serialize, Serializer};

use crate::streamer::RawName;

/// A string, or `{"base64":"…"}` where the name is not UTF-8.
pub struct NameJson<'a>(pub &'a RawName);

impl Serialize for NameJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Encoded {
            base64: String,
        }
        match self.0.text() {
            Some(text) => serializer.serialize_str(text),
            None => Encoded {
                base64: self.0.base64(),
            }
            .serialize(serializer),
        }
    }
}
