//! From what PostgreSQL says to what a caller can do about it.

use crate::model::{Error, Kind, Result};

/// An error of a statement that changes nothing.
pub fn read_error(error: sqlx::Error) -> Error {
    if is_connection_lost(&error) || is_transient(&error) {
        return Error::unavailable("The database does not answer", error);
    }
    Error::internal(error)
}

/// An error of a statement that changes something: where the connection broke, it may have taken effect all the same.
pub fn write_error(error: sqlx::Error) -> Error {
    if is_connection_lost(&error) {
        let message = "The connection to the database was lost; whether the change took effect is not known";
        return Error::new(Kind::Unknown, message).because(error);
    }
    if is_transient(&error) {
        return Error::unavailable("The database could not make the change now", error);
    }
    Error::internal(error)
}

/// Whether the statement may have run to its end although no answer came. A server process that is told to end can do so between the
/// end of a transaction and its answer, so what it says of itself then (class 57P) proves nothing.
fn is_connection_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57P") || code.starts_with("08")),
        _ => false,
    }
}

/// Refused for now, and surely not done: deadlock, serialisation failure, lock timeout, out of something, no connection.
fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| matches!(code.as_ref(), "40P01" | "40001" | "55P03" | "57014") || code.starts_with("53")),
        _ => false,
    }
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
