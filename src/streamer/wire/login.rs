//! How a connection begins: the server lets this user in, and takes commands for the database that was asked for.

use super::connection::Connection;
use super::endpoint::{Endpoint, Secret};
use crate::streamer::error::{Error, ServerError};

impl Connection {
    /// No round trip is spent when there is nothing to say. When there is, nothing else is sent before the
    /// server agreed: a command behind a failed SELECT would reach another database.
    pub(super) fn log_in(&mut self, endpoint: &Endpoint) -> Result<(), Error> {
        if let Some(password) = &endpoint.password {
            let mut auth = redis::cmd("AUTH");
            if let Some(user) = &endpoint.user {
                auth.arg(user);
            }
            self.query(auth.arg(&password.0)).map_err(|error| match error {
                Error::Refused(refusal) => Error::Denied(without(refusal, password)),
                other => other,
            })?;
        }
        if endpoint.database != 0 {
            self.ask::<()>(redis::cmd("SELECT").arg(endpoint.database), "", None)?;
        }
        Ok(())
    }
}

/// A refusal of AUTH without the password: a server that does not know the command quotes its arguments, cut anywhere.
fn without(refusal: ServerError, password: &Secret) -> ServerError {
    let detail = match refusal.detail.find(", with args beginning with") {
        Some(quoted) => refusal.detail[..quoted].to_owned(),
        None => refusal.detail,
    };
    let quotes = !password.0.is_empty() && (detail.contains(&password.0) || refusal.code.contains(&password.0));
    if quotes {
        return ServerError {
            code: "ERR".to_owned(),
            detail: "(a text that quotes the password)".to_owned(),
        };
    }
    ServerError {
        code: refusal.code,
        detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_never_quotes_the_password() {
        let secret = Secret("hunter2".to_owned());
        let shown = |text: &str| without(ServerError::parse(text.as_bytes()), &secret).to_string();
        assert_eq!(
            shown("ERR unknown command 'AUTH', with args beginning with: 'hunt"),
            "ERR unknown command 'AUTH'"
        );
        assert_eq!(shown("ERR no: hunter2"), "ERR (a text that quotes the password)");
        assert_eq!(
            shown("WRONGPASS invalid username-password pair"),
            "WRONGPASS invalid username-password pair"
        );
    }
}
