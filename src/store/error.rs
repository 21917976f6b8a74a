//! From what PostgreSQL says to what a caller can do about it.

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::model::{Error, Kind, Result};

/// An error of a statement that changes nothing.
#[must_use]
pub fn read_error(error: sqlx::Error) -> Error {
    if is_transient(&error) || !is_refusal(&error) {
        return Error::unavailable("The database does not answer", error);
    }
    refused(error)
}

/// An error of a statement that changes something. Only where PostgreSQL itself refused the statement, or it was never sent, is it sure
/// that nothing happened; whatever else goes wrong, it may have taken effect.
#[must_use]
pub fn write_error(error: sqlx::Error) -> Error {
    if is_transient(&error) {
        return Error::unavailable("The database could not make the change now", error);
    }
    if is_refusal(&error) {
        return refused(error);
    }
    let message = "The database gave no answer; whether the change took effect is not known";
    Error::new(Kind::Unknown, message).because(error)
}

/// An error that will come again: a text that PostgreSQL cannot hold, or a mistake of ours.
fn refused(error: sqlx::Error) -> Error {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    if matches!(code.as_deref(), Some("22021" | "22P05")) {
        return Error::invalid("Invalid text: null characters are not allowed").because(error);
    }
    Error::internal(error)
}

/// Whether PostgreSQL refused the statement and went on: an ERROR rolled it back. A server process that ends (FATAL, PANIC) can do so
/// between the commit and the answer, also because it could not write the log on; what it says then proves nothing.
fn is_refusal(error: &sqlx::Error) -> bool {
    let refused = |error: &PgDatabaseError| error.severity() == PgSeverity::Error && !error.code().starts_with("08");
    error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>()).is_some_and(refused)
}

/// Refused for now, and surely not done: deadlock, serialisation failure, lock timeout, out of something, no connection.
fn is_transient(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    let for_now = |code: &str| matches!(code, "40P01" | "40001" | "55P03" | "57014") || code.starts_with("53");
    matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed)
        || (is_refusal(error) && code.is_some_and(|code| for_now(&code)))
}

/// Names the errors that a constraint stands for.
pub trait OnConstraint<T> {
    /// Gives `error` where the constraint `name` was violated, and translates other errors as those of a write.
    ///
    /// # Errors
    /// As said.
    fn on_constraint(self, constraints: &[(&str, &dyn Fn() -> Error)]) -> Result<T>;
}

impl<T> OnConstraint<T> for sqlx::Result<T> {
    fn on_constraint(self, constraints: &[(&str, &dyn Fn() -> Error)]) -> Result<T> {
        self.map_err(|error| {
            let violated = error.as_database_error().and_then(|error| error.constraint());
            match constraints.iter().find(|(name, _)| Some(*name) == violated) {
                Some((_, make)) => make(),
                None => write_error(error),
            }
        })
    }
}
