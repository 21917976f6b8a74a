//! The one source of the current time, so that a test can hold it still.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};

/// The wall clock, or one that a test moves.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's.
    #[default]
    System,
    /// Milliseconds since the epoch, set by a test.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `at` until [`Clock::advance`] moves it.
    #[must_use]
    pub fn manual(at: DateTime<Utc>) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(at.timestamp_millis())))
    }

    /// The current time, in whole milliseconds (what Iceberg metadata and PostgreSQL both keep exactly).
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the one place that may ask the machine")]
    pub fn now(&self) -> DateTime<Utc> {
        let millis = match self {
            Self::System => Utc::now().timestamp_millis(),
            Self::Manual(at) => at.load(Ordering::SeqCst),
        };
        DateTime::from_timestamp_millis(millis).unwrap_or_default()
    }

    /// Moves a manual clock forward; the machine's stays as it is.
    pub fn advance(&self, by: chrono::TimeDelta) {
        if let Self::Manual(at) = self {
            at.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
        }
    }
}
