//! The wire: sockets, TLS, and the protocol of Redis on them. Knows what an entry is, nothing of groups or clusters.

mod announced;
mod connection;
mod endpoint;
mod entries;
mod handle;
mod login;
mod pending;
mod query;
mod reply;
pub mod resp;
mod tls;
mod transport;

pub use connection::{Connection, RESPONSE_TIMEOUT};
pub use endpoint::{Address, Endpoint, Secret, Tls, Verify};
pub use entries::{Entries, Executed, Shape, StreamEnd, known_end, receive_stream_end, stream_end, stream_query};
pub use handle::Handle;
pub use pending::{PendingRow, receive_pending};
pub use reply::Answer;
pub use tls::TlsFault;
pub use transport::Breaker;
