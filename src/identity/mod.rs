//! Who is calling: principals and their secrets, the tokens that they get for them, and the keys that sign those.

mod keys;
mod principals;
mod tokens;

pub use keys::TOKEN_LIFETIME_MAX;
pub use principals::{Credentials, NewPrincipal};
pub use tokens::{Grant, Issued, Presented};

use std::sync::Arc;

use chrono::TimeDelta;
use moka::future::Cache;
use tokio::sync::RwLock;

use crate::model::vault::Vault;
use crate::model::{Clock, Error, Kind};
use crate::store::Store;

/// Principals, tokens and keys.
#[derive(Clone)]
pub struct Identity {
    store: Store,
    vault: Arc<Vault>,
    clock: Clock,
    token_lifetime: TimeDelta,
    keys: Arc<RwLock<Option<Arc<keys::KeyRing>>>>,
    /// Tokens whose signature was found right, by their hash.
    verified: Cache<tokens::Digest, Presented>,
}

impl Identity {
    /// Wires it up; nothing is read yet.
    #[must_use]
    pub fn new(store: Store, vault: Arc<Vault>, clock: Clock, token_lifetime: TimeDelta) -> Self {
        let verified = Cache::builder().max_capacity(tokens::VERIFIED_MAX).time_to_live(tokens::VERIFIED_TIME).build();
        Self { store, vault, clock, token_lifetime, keys: Arc::default(), verified }
    }
}

fn unauthenticated(message: &str) -> Error {
    Error::new(Kind::Unauthenticated, message)
}
