//! Work that nobody waits for: each job runs again and again, on every server. A turn is idempotent, and finds out by itself (with a
//! lock or a claim) what another server is doing already.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::model::Result;

/// The longest that one turn of a job may take.
const TURN_TIME_MAX: Duration = Duration::from_mins(10);

/// A job: what, and how often.
pub struct Job {
    /// Its name, for the log.
    pub name: &'static str,
    /// How long to wait between runs.
    pub every: Duration,
    /// One turn: it does a bounded amount of work, and gives whether there is more.
    pub turn: Box<dyn Fn() -> BoxFuture<'static, Result<bool>> + Send + Sync>,
}

impl Job {
    /// A job from an async function.
    pub fn new<F: Future<Output = Result<bool>> + Send + 'static>(
        name: &'static str,
        every: Duration,
        turn: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        Self { name, every, turn: Box::new(move || Box::pin(turn())) }
    }

    /// Runs it until it is told to stop. A turn that fails is logged and tried again the next time.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.every) => {}
            }
            while !stop.is_cancelled() && self.turn_once().await {}
        }
    }

    /// Whether there is more to do at once.
    async fn turn_once(&self) -> bool {
        let turn = std::panic::AssertUnwindSafe((self.turn)()).catch_unwind();
        match tokio::time::timeout(TURN_TIME_MAX, turn).await {
            Ok(Ok(Ok(more))) => more,
            Ok(Err(_)) => {
                tracing::error!(job = self.name, "a job panicked; it will be tried again");
                false
            }
            Ok(Ok(Err(error))) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(job = self.name, %error, cause, "a job failed; it will be tried again");
                false
            }
            Err(_) => {
                tracing::warn!(job = self.name, "a job took too long; it will be tried again");
                false
            }
        }
    }
}
