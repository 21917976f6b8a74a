//! Tokens: signed JWTs that name a principal, given for its secret or for an earlier token.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use jsonwebtoken::{Algorithm, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Identity, unauthenticated};
use crate::access::Caller;
use crate::model::{Error, PrincipalId, Result, Secret};
use crate::store;
use crate::store::lookup::Standing;
use crate::store::principal::{By, Principal};

/// Who issues the tokens, and who they are for.
const NAME: &str = "nunatak";
/// A longer text is no token of ours.
const TOKEN_BYTES_MAX: usize = 4_096;
/// How many tokens are remembered as verified, and for how long: about as long as a key that was taken away is.
pub(super) const VERIFIED_MAX: u64 = 100_000;
pub(super) const VERIFIED_TIME: Duration = Duration::from_mins(1);

/// A token's hash.
pub(super) type Digest = [u8; SHA256_OUTPUT_LEN];

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: PrincipalId,
    iat: i64,
    exp: i64,
    jti: Uuid,
    /// The principal's generation when the token was given: it ends with it.
    generation: i64,
}

/// What a caller shows to get a token.
#[derive(Debug)]
pub enum Grant {
    /// Its client id and secret (RFC 6749, section 4.4).
    ClientCredentials {
        /// The client id.
        client_id: String,
        /// The secret.
        client_secret: Secret,
    },
    /// An earlier token (RFC 8693). A client that shows its secret as well may exchange one that has expired.
    Exchange {
        /// The earlier token.
        subject: Secret,
        /// The client id and secret, if it showed them.
        credentials: Option<(String, Secret)>,
    },
}

/// A token, and for how many seconds it is valid.
#[derive(Debug)]
pub struct Issued {
    /// The token.
    pub token: Secret,
    /// Seconds.
    pub expires_in: i64,
}

/// What a token says that its signature and its time speak for. Whether its principal may still call, only the database can say; until
/// then it names nobody.
#[derive(Clone, Copy, Debug)]
pub struct Presented {
    principal: PrincipalId,
    generation: i64,
    /// Seconds since the epoch.
    expires_at: i64,
}

impl Presented {
    /// Whom the token names.
    #[must_use]
    pub fn principal(&self) -> PrincipalId {
        self.principal
    }

    /// The generation of the token: it is good for as long as the principal has the same.
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.generation
    }

    /// The caller, if the principal stands as it did when it was given the token.
    ///
    /// # Errors
    /// [`crate::model::Kind::Unauthenticated`] when it does not.
    pub fn confirm(&self, standing: Option<&Arc<Standing>>) -> Result<Caller> {
        let standing = standing.filter(|standing| standing.id == self.principal && self.generation == standing.generation);
        let standing = standing.ok_or_else(refused)?;
        Ok(Caller { id: standing.id, name: Arc::clone(&standing.name), administrator: standing.administrator })
    }

    fn is_expired(&self, identity: &Identity) -> bool {
        self.expires_at <= identity.clock.now().timestamp()
    }
}

impl Identity {
    /// Gives a token.
    ///
    /// # Errors
    /// [`crate::model::Kind::Unauthenticated`] when what was shown is not good for one.
    pub async fn issue(&self, grant: Grant) -> Result<Issued> {
        let principal = match grant {
            Grant::ClientCredentials { client_id, client_secret } => self.login(&client_id, &client_secret).await?,
            Grant::Exchange { subject, credentials: None } => self.verify(&subject).await?,
            Grant::Exchange { subject, credentials: Some((client_id, client_secret)) } => {
                let principal = self.login(&client_id, &client_secret).await?;
                // The secret is proof enough; the token only must not be somebody else's. One whose key is long gone proves nothing.
                let of_token = self.read(&subject).await?;
                if of_token.is_some_and(|claims| claims.sub != principal.id) {
                    return Err(unauthenticated("The token is another principal's"));
                }
                principal
            }
        };
        let now = self.clock.now();
        let claims = Claims {
            iss: NAME.to_owned(),
            aud: NAME.to_owned(),
            sub: principal.id,
            iat: now.timestamp(),
            exp: (now + self.token_lifetime).timestamp(),
            jti: Uuid::new_v4(),
            generation: principal.generation,
        };
        let keys = self.keys(None).await?;
        let (kid, key) = keys.signing(now)?;
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::EdDSA) };
        let token = jsonwebtoken::encode(&header, &claims, key).map_err(Error::internal)?;
        Ok(Issued { token: Secret::from(token), expires_in: self.token_lifetime.num_seconds() })
    }

    /// What this token says, if it is one of ours and has not expired. A signature is checked once, and remembered by the token's hash.
    ///
    /// # Errors
    /// [`crate::model::Kind::Unauthenticated`] when it is not.
    pub async fn present(&self, token: &Secret) -> Result<Presented> {
        let mut hash = Digest::default();
        hash.copy_from_slice(digest(&SHA256, token.expose().as_bytes()).as_ref());
        let presented = match self.verified.get(&hash).await {
            Some(presented) => presented,
            None => {
                // Seldom, and large: in a box every other request's future is small.
                let claims = Box::pin(self.read(token)).await?.ok_or_else(refused)?;
                let presented = Presented { principal: claims.sub, generation: claims.generation, expires_at: claims.exp };
                // One that has expired would only take the place of another.
                if !presented.is_expired(self) {
                    self.verified.insert(hash, presented).await;
                }
                presented
            }
        };
        if presented.is_expired(self) {
            return Err(unauthenticated("The token has expired"));
        }
        Ok(presented)
    }

    /// Who shows this token.
    ///
    /// # Errors
    /// [`crate::model::Kind::Unauthenticated`] when its principal is gone or disabled, or has a new secret.
    pub async fn confirm(&self, presented: &Presented) -> Result<Caller> {
        let standing = self.store.lookups().principal(presented.principal).await?;
        presented.confirm(standing.as_ref())
    }

    async fn login(&self, client_id: &str, secret: &Secret) -> Result<Principal> {
        let found = store::principal::find(&mut *self.store.connection().await?, By::ClientId(client_id)).await?;
        // An unknown client takes as long as a known one.
        let digest = found.as_ref().map_or(&[][..], |principal| &principal.secret_digest);
        let right = self.vault.verify(secret, digest);
        found
            .filter(|principal| right && principal.disabled_at.is_none())
            .ok_or_else(|| unauthenticated("Unknown client, or wrong secret"))
    }

    /// The principal of a token that is valid now.
    async fn verify(&self, token: &Secret) -> Result<Principal> {
        let presented = self.present(token).await?;
        let found = store::principal::find(&mut *self.store.connection().await?, By::Id(presented.principal)).await?;
        found
            .filter(|principal| principal.disabled_at.is_none() && principal.generation == presented.generation)
            .ok_or_else(refused)
    }

    /// What a token of ours says, expired or not; `None` where the key that signed it is not known (any more).
    async fn read(&self, token: &Secret) -> Result<Option<Claims>> {
        let text = token.expose();
        if text.len() > TOKEN_BYTES_MAX {
            return Err(refused());
        }
        let header = jsonwebtoken::decode_header(text).map_err(|error| refused().because(error))?;
        let kid = header.kid.ok_or_else(refused)?;
        let keys = self.keys(Some(&kid)).await?;
        let Some(key) = keys.verifying.get(&kid) else { return Ok(None) };
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[NAME]);
        validation.set_issuer(&[NAME]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // Against our own clock, by whoever wants it current.
        validation.validate_exp = false;
        let token = jsonwebtoken::decode::<Claims>(text, key, &validation).map_err(|error| refused().because(error))?;
        Ok(Some(token.claims))
    }
}

fn refused() -> Error {
    unauthenticated("The token is not valid")
}
