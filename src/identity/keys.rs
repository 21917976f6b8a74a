//! The keys that sign tokens: Ed25519, in the database, sealed. A new key is published for a moment before it signs, so that every
//! server knows it by then; the old one is accepted until its last token has expired.

use std::collections::HashMap;
use std::sync::Arc;

use crate::store::PgConnection;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{DecodingKey, EncodingKey};
use uuid::Uuid;

use super::Identity;
use crate::access::{Permit, RotateSigningKey};
use crate::model::vault::Vault;
use crate::model::{Error, Result};
use crate::store;
use crate::store::signing_key::SigningKey;

/// How long a key is published before it signs.
const PUBLISHED_BEFORE: TimeDelta = TimeDelta::seconds(5);
/// How old the keys in memory may be when a token names one that is not among them.
const UNKNOWN_RELOAD: TimeDelta = TimeDelta::seconds(1);
/// How old the keys in memory may be at all, so that a new key comes into use and an old one goes.
const RELOAD: TimeDelta = TimeDelta::seconds(60);
/// No token lives longer than this, whatever a server is configured to.
pub const TOKEN_LIFETIME_MAX: TimeDelta = TimeDelta::days(7);

pub(super) struct KeyRing {
    loaded_at: DateTime<Utc>,
    pub(super) verifying: HashMap<String, DecodingKey>,
    signing: Vec<(DateTime<Utc>, String, EncodingKey)>,
}

impl KeyRing {
    /// The key to sign with: the newest that has been published for long enough, or the oldest.
    pub(super) fn signing(&self, now: DateTime<Utc>) -> Result<(&str, &EncodingKey)> {
        let ready = self.signing.iter().find(|(created_at, ..)| *created_at + PUBLISHED_BEFORE <= now);
        let (_, id, key) = ready.or(self.signing.last()).ok_or_else(|| Error::internal("there is no signing key"))?;
        Ok((id, key))
    }
}

impl Identity {
    /// The keys; read again when they are old, or when `wanted` is not among them.
    pub(super) async fn keys(&self, wanted: Option<&str>) -> Result<Arc<KeyRing>> {
        let fresh = |ring: &KeyRing| {
            let age = self.clock.now() - ring.loaded_at;
            let known = wanted.is_none_or(|id| ring.verifying.contains_key(id));
            age < if known { RELOAD } else { UNKNOWN_RELOAD }
        };
        if let Some(ring) = self.keys.read().await.as_ref().filter(|ring| fresh(ring)) {
            return Ok(Arc::clone(ring));
        }
        let mut slot = self.keys.write().await;
        if let Some(ring) = slot.as_ref().filter(|ring| fresh(ring)) {
            return Ok(Arc::clone(ring));
        }
        let now = self.clock.now();
        let rows = store::signing_key::list(&mut *self.store.connection().await?, now).await?;
        let ring = Arc::new(open(&self.vault, rows, now)?);
        *slot = Some(Arc::clone(&ring));
        Ok(ring)
    }

    /// Makes a new key, which signs after a few seconds.
    ///
    /// # Errors
    /// [`crate::model::Kind::Unavailable`] when the database does not answer.
    pub async fn rotate_signing_key(&self, _permit: &Permit<RotateSigningKey>) -> Result<Uuid> {
        let mut connection = self.store.connection().await?;
        self.add_signing_key(&mut connection).await
    }

    /// Makes a new key if the newest is older than `age_max`; of all servers that try, one does. Gives false: there is never more to do.
    ///
    /// # Errors
    /// [`crate::model::Kind::Unavailable`] when the database does not answer.
    pub async fn rotate_old_signing_key(&self, age_max: TimeDelta) -> Result<bool> {
        let mut tx = self.store.begin().await?;
        store::lock(&mut tx, "nunatak signing key").await?;
        let now = self.clock.now();
        let keys = store::signing_key::list(&mut tx, now).await?;
        if keys.first().is_none_or(|newest| newest.created_at + age_max <= now) {
            self.add_signing_key(&mut tx).await?;
        }
        store::commit(tx).await?;
        Ok(false)
    }

    /// Makes a key and retires the others.
    ///
    /// # Errors
    /// [`crate::model::Kind::Unavailable`] when the database does not answer.
    pub async fn add_signing_key(&self, connection: &mut PgConnection) -> Result<Uuid> {
        let now = self.clock.now();
        let key = generate(&self.vault, now)?;
        store::signing_key::insert(connection, &key, now + TOKEN_LIFETIME_MAX + RELOAD).await?;
        Ok(key.id)
    }
}

fn context(id: Uuid) -> String {
    format!("signing-key:{id}")
}

fn generate(vault: &Vault, now: DateTime<Utc>) -> Result<SigningKey> {
    let random = aws_lc_rs::rand::SystemRandom::new();
    let document = Ed25519KeyPair::generate_pkcs8v1(&random).map_err(|_| Error::internal("cannot make a signing key"))?;
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(|_| Error::internal("cannot read a new signing key"))?;
    let id = Uuid::now_v7();
    Ok(SigningKey {
        id,
        private_key: vault.seal(&context(id), document.as_ref())?,
        public_key: pair.public_key().as_ref().to_vec(),
        created_at: now,
    })
}

/// `rows` come newest first.
fn open(vault: &Vault, rows: Vec<SigningKey>, now: DateTime<Utc>) -> Result<KeyRing> {
    let mut ring = KeyRing { loaded_at: now, verifying: HashMap::new(), signing: Vec::new() };
    for row in rows {
        let public = DecodingKey::from_ed_components(&URL_SAFE_NO_PAD.encode(&row.public_key)).map_err(Error::internal)?;
        let private = vault.open(&context(row.id), &row.private_key)?;
        ring.verifying.insert(row.id.to_string(), public);
        ring.signing.push((row.created_at, row.id.to_string(), EncodingKey::from_ed_der(&private)));
    }
    Ok(ring)
}
