//! Principals: made, given new secrets, disabled. A secret is shown once, when it is made.

use crate::store::PgConnection;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Identity;
use crate::access::{Caller, Gate, ManagePrincipals, Permit, Server};
use crate::model::name::check_name;
use crate::model::vault::random_bytes;
use crate::model::{Error, Object, PrincipalId, Result, Secret};
use crate::store;
use crate::store::principal::{By, Principal};

/// A secret that somebody chose must not be guessed.
const SECRET_BYTES_MIN: usize = 8;

/// A principal to be made.
#[derive(Debug)]
pub struct NewPrincipal {
    /// Its name.
    pub name: String,
    /// Its client id; made up when absent.
    pub client_id: Option<String>,
    /// Whether it administers the server.
    pub administrator: bool,
}

/// A principal and its secret, which nobody will see again.
#[derive(Debug)]
pub struct Credentials {
    /// The principal.
    pub principal: Principal,
    /// Its secret.
    pub client_secret: Secret,
}

impl Identity {
    /// Makes a principal.
    ///
    /// # Errors
    /// [`crate::model::Kind::AlreadyExists`] when its name or client id is taken.
    pub async fn create_principal(&self, gate: &Gate, caller: &Caller, new: NewPrincipal) -> Result<Credentials> {
        let permit = gate.permit::<ManagePrincipals>(caller, Server)?;
        let credentials = self.new_credentials(new, None)?;
        store::principal::insert(&mut *self.store.connection().await?, &permit, &credentials.principal).await?;
        Ok(credentials)
    }

    /// Makes the first administrator.
    ///
    /// # Errors
    /// [`crate::model::Kind::Invalid`] when the secret is too short.
    pub async fn create_first_administrator(
        &self,
        connection: &mut PgConnection,
        client_id: Option<String>,
        secret: Option<Secret>,
    ) -> Result<Credentials> {
        let new = NewPrincipal { name: "admin".to_owned(), client_id, administrator: true };
        let credentials = self.new_credentials(new, secret)?;
        store::principal::insert_first(connection, &credentials.principal).await?;
        Ok(credentials)
    }

    fn new_credentials(&self, new: NewPrincipal, secret: Option<Secret>) -> Result<Credentials> {
        check_name("principal", &new.name)?;
        let client_id = match new.client_id {
            Some(client_id) => client_id,
            None => format!("{}-{}", client_id_stem(&new.name), URL_SAFE_NO_PAD.encode(*random_bytes::<6>()?)),
        };
        check_name("client", &client_id)?;
        if client_id.contains(':') {
            return Err(Error::invalid("Invalid client id: a colon separates it from the secret, so it cannot have one"));
        }
        let client_secret = match secret {
            Some(secret) if secret.expose().len() < SECRET_BYTES_MIN => {
                return Err(Error::invalid(format!("Invalid client secret: at least {SECRET_BYTES_MIN} bytes are needed")));
            }
            Some(secret) => secret,
            None => new_secret()?,
        };
        let now = self.clock.now();
        let principal = Principal {
            id: PrincipalId::generate(),
            name: new.name,
            client_id,
            secret_digest: self.vault.digest(&client_secret),
            administrator: new.administrator,
            disabled_at: None,
            generation: 0,
            created_at: now,
        };
        Ok(Credentials { principal, client_secret })
    }

    /// Gives a principal a new secret. The old one and the tokens given for it are refused from now on.
    ///
    /// # Errors
    /// [`crate::model::Kind::NotFound`] when there is no such principal.
    pub async fn rotate_secret(&self, gate: &Gate, caller: &Caller, id: PrincipalId) -> Result<Credentials> {
        let permit = gate.permit::<ManagePrincipals>(caller, Server)?;
        let client_secret = new_secret()?;
        let digest = self.vault.digest(&client_secret);
        let mut connection = self.store.connection().await?;
        let principal = store::principal::set_secret(&mut connection, &permit, id, &digest).await?;
        Ok(Credentials { principal, client_secret })
    }

    /// Disables a principal, or enables it again.
    ///
    /// # Errors
    /// [`crate::model::Kind::NotFound`] when there is no such principal; [`crate::model::Kind::Conflict`] for the last administrator.
    pub async fn set_disabled(&self, gate: &Gate, caller: &Caller, id: PrincipalId, disabled: bool) -> Result<Principal> {
        let permit = gate.permit::<ManagePrincipals>(caller, Server)?;
        let mut connection = self.store.connection().await?;
        let at = disabled.then(|| self.clock.now());
        store::principal::set_disabled(&mut connection, &permit, id, at).await?;
        found(&mut connection, id).await
    }

    /// One principal.
    ///
    /// # Errors
    /// [`crate::model::Kind::NotFound`] when there is no such principal.
    pub async fn principal(&self, gate: &Gate, caller: &Caller, id: PrincipalId) -> Result<Principal> {
        let _permit: Permit<ManagePrincipals> = gate.permit(caller, Server)?;
        found(&mut *self.store.connection().await?, id).await
    }

    /// A page of principals.
    ///
    /// # Errors
    /// [`crate::model::Kind::Denied`] for others than administrators.
    pub async fn list_principals(&self, gate: &Gate, caller: &Caller, after: Option<&str>, limit: i64) -> Result<Vec<Principal>> {
        let permit = gate.permit::<ManagePrincipals>(caller, Server)?;
        store::principal::list(&mut *self.store.connection().await?, &permit, after, limit).await
    }
}

async fn found(connection: &mut PgConnection, id: PrincipalId) -> Result<Principal> {
    store::principal::find(connection, By::Id(id)).await?.ok_or_else(|| Error::not_found(Object::Principal, id))
}

/// 32 random bytes, in letters that need no quoting anywhere.
fn new_secret() -> Result<Secret> {
    Ok(Secret::from(URL_SAFE_NO_PAD.encode(*random_bytes::<32>()?)))
}

/// What of a name can stand in a client id.
fn client_id_stem(name: &str) -> String {
    let stem: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).take(40).collect();
    if stem.is_empty() { "client".to_owned() } else { stem.to_ascii_lowercase() }
}
