//! Secrets at rest: sealed with the master key (AES-256-GCM), each bound to what it belongs to.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Error, Result, Secret};

const KEY_BYTES: usize = 32;

/// Seals and opens secrets with the master key.
pub struct Vault {
    key: RandomizedNonceKey,
    digest_key: hmac::Key,
}

impl Vault {
    /// Takes the master key: 32 bytes in base64.
    ///
    /// # Errors
    /// [`super::Kind::Invalid`] when it is not.
    pub fn new(master_key: &Secret) -> Result<Self> {
        let wrong = || Error::invalid("The master key must be 32 bytes in base64 (openssl rand -base64 32)");
        let bytes = Zeroizing::new(STANDARD.decode(master_key.expose().trim()).map_err(|_| wrong())?);
        if bytes.len() != KEY_BYTES {
            return Err(wrong());
        }
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| wrong())?;
        // Another key, derived from the master key, so that no key serves two algorithms.
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), b"nunatak client secret digest");
        Ok(Self { key, digest_key: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()) })
    }

    /// A new master key, in base64.
    ///
    /// # Errors
    /// [`super::Kind::Internal`] when the machine gives no random bytes.
    pub fn generate_master_key() -> Result<Secret> {
        Ok(Secret::from(STANDARD.encode(*random_bytes::<KEY_BYTES>()?)))
    }

    /// Seals `plain` for `context` (say `warehouse:<id>`), without which it cannot be opened.
    ///
    /// # Errors
    /// [`super::Kind::Internal`] when the machine gives no random bytes.
    pub fn seal(&self, context: &str, plain: &[u8]) -> Result<Vec<u8>> {
        let mut sealed = plain.to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(context.as_bytes()), &mut sealed)
            .map_err(|_| Error::internal("sealing a secret failed"))?;
        sealed.splice(0..0, nonce.as_ref().iter().copied());
        Ok(sealed)
    }

    /// Opens what [`Vault::seal`] sealed for the same context with the same master key.
    ///
    /// # Errors
    /// [`super::Kind::Internal`] when the key, the context or the bytes are others.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let wrong = || Error::internal(format!("a sealed secret cannot be opened: {context}"));
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or_else(wrong)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| wrong())?;
        let mut plain = Zeroizing::new(sealed.to_vec());
        let length = self.key.open_in_place(nonce, Aad::from(context.as_bytes()), &mut plain).map_err(|_| wrong())?.len();
        plain.truncate(length);
        Ok(plain)
    }

    /// What is kept of a client's secret: without the master key, nobody can even try secrets against it.
    #[must_use]
    pub fn digest(&self, secret: &Secret) -> Vec<u8> {
        hmac::sign(&self.digest_key, secret.expose().as_bytes()).as_ref().to_vec()
    }

    /// Whether `secret` is the one that was digested, in constant time.
    #[must_use]
    pub fn verify(&self, secret: &Secret, digest: &[u8]) -> bool {
        hmac::verify(&self.digest_key, secret.expose().as_bytes(), digest).is_ok()
    }
}

/// Random bytes from the system.
///
/// # Errors
/// [`super::Kind::Internal`] when it gives none.
pub fn random_bytes<const N: usize>() -> Result<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    aws_lc_rs::rand::fill(&mut bytes[..]).map_err(|_| Error::internal("the system gives no random bytes"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault() -> Vault {
        Vault::new(&Vault::generate_master_key().unwrap()).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_only_in_its_context_and_with_its_key() {
        let vault = vault();
        let sealed = vault.seal("warehouse:1", b"hush").unwrap();
        assert_eq!(&**vault.open("warehouse:1", &sealed).unwrap(), b"hush");
        assert!(vault.open("warehouse:2", &sealed).is_err());
        assert!(self::vault().open("warehouse:1", &sealed).is_err());
        assert!(vault.open("warehouse:1", &sealed[..5]).is_err());
        let mut changed = sealed;
        changed[20] ^= 1;
        assert!(vault.open("warehouse:1", &changed).is_err());
    }

    #[test]
    fn a_digest_knows_its_secret_alone() {
        let vault = vault();
        let digest = vault.digest(&"right".into());
        assert!(vault.verify(&"right".into(), &digest));
        assert!(!vault.verify(&"wrong".into(), &digest));
        assert!(!self::vault().verify(&"right".into(), &digest));
    }

    #[test]
    fn a_master_key_is_32_bytes_in_base64() {
        for text in ["", "short", "bm90IGxvbmcgZW5vdWdo", "not base64!"] {
            assert!(Vault::new(&text.into()).is_err());
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::from("hush");
        assert_eq!(format!("{secret} {secret:?} {}", serde_json::to_string(&secret).unwrap()), "*** *** \"***\"");
    }
}
