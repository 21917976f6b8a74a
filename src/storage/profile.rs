//! Storage profiles: what a warehouse says about its store. What is secret in one travels apart and is sealed at rest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{Error, Location, Result, Secret};

/// A storage profile, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Profile {
    /// A directory that the server and all its clients see under the same path.
    Local {
        /// The directory's absolute path.
        root: String,
    },
    /// The memory of this server: gone with it, and seen by nobody else. For tests.
    Memory {},
    /// S3, or a store that speaks its protocol.
    S3(S3Profile),
}

/// An S3 bucket, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct S3Profile {
    /// The bucket.
    pub bucket: String,
    /// The part of the bucket that is the warehouse; all of it when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The region.
    pub region: String,
    /// The store's URL, when it is not Amazon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Whether the bucket stands in the path rather than in the host's name.
    #[serde(default)]
    pub path_style: bool,
}

/// What is secret in a profile.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProfileSecret {
    /// The id of the access key that the server itself uses.
    pub access_key_id: String,
    /// Its secret; never sent to anyone.
    #[schema(value_type = String)]
    pub secret_access_key: Secret,
}

impl ProfileSecret {
    /// The text that is sealed.
    #[must_use]
    pub fn to_plain(&self) -> String {
        format!("{}\n{}", self.access_key_id, self.secret_access_key.expose())
    }

    /// Reads [`ProfileSecret::to_plain`]'s text.
    ///
    /// # Errors
    /// [`crate::model::Kind::Internal`] when it is not such a text.
    pub fn from_plain(plain: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(plain).map_err(Error::internal)?;
        let (id, secret) = text.split_once('\n').ok_or_else(|| Error::internal("a sealed storage secret is not in its form"))?;
        Ok(Self { access_key_id: id.to_owned(), secret_access_key: secret.into() })
    }

    /// Checks that the two can be sent in a header.
    ///
    /// # Errors
    /// [`crate::model::Kind::Invalid`] when not.
    pub fn check(&self) -> Result<()> {
        let plain = |text: &str| !text.is_empty() && text.len() <= 512 && text.bytes().all(|byte| byte.is_ascii_graphic());
        if plain(&self.access_key_id) && plain(self.secret_access_key.expose()) {
            return Ok(());
        }
        Err(Error::invalid("Invalid storage profile: access-key-id and secret-access-key must be plain text"))
    }
}

impl Profile {
    /// Where the warehouse's tables are. `memory` names the warehouse whose memory it is.
    ///
    /// # Errors
    /// [`crate::model::Kind::Invalid`] when the profile is wrong in itself.
    pub fn root(&self, memory: &str) -> Result<Location> {
        match self {
            Self::Local { root } => {
                let location = Location::parse(&format!("file://{root}"))?;
                if location.path().is_empty() {
                    return Err(Error::invalid("Invalid storage profile: root must be a directory below /"));
                }
                Ok(location)
            }
            Self::Memory {} => Location::parse(&format!("memory:///{memory}")),
            Self::S3(s3) => {
                s3.check()?;
                let prefix = s3.prefix.as_deref().unwrap_or("").trim_matches('/');
                Location::parse(&format!("s3://{}/{prefix}", s3.bucket))
            }
        }
    }

    /// What clients need to know to reach the files, without any secret.
    #[must_use]
    pub fn client_config(&self) -> BTreeMap<String, String> {
        let mut config = BTreeMap::new();
        if let Self::S3(s3) = self {
            config.insert("s3.region".to_owned(), s3.region.clone());
            config.insert("client.region".to_owned(), s3.region.clone());
            config.insert("s3.path-style-access".to_owned(), s3.path_style.to_string());
            if let Some(endpoint) = &s3.endpoint {
                config.insert("s3.endpoint".to_owned(), endpoint.clone());
            }
        }
        config
    }
}

impl S3Profile {
    fn check(&self) -> Result<()> {
        let wrong = |why: &str| Err(Error::invalid(format!("Invalid storage profile: {why}")));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if self.bucket.is_empty() || !self.bucket.bytes().all(plain) {
            return wrong("bucket must be a bucket's name");
        }
        if self.region.is_empty() || !self.region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return wrong("region must be a region's name");
        }
        if let Some(endpoint) = &self.endpoint {
            let url = url::Url::parse(endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
            let plain = url.is_some_and(|url| {
                url.host().is_some() && url.username().is_empty() && url.password().is_none() && url.query().is_none()
            });
            if !plain {
                return wrong("endpoint must be an http or https URL without a user or a query");
            }
        }
        self.request_endpoint().map(drop)
    }

    /// The URL that requests go to: the endpoint, with the bucket in the host's name unless it stands in the path.
    ///
    /// # Errors
    /// [`crate::model::Kind::Invalid`] when the bucket cannot stand there.
    pub fn request_endpoint(&self) -> Result<Option<String>> {
        let Some(endpoint) = &self.endpoint else { return Ok(None) };
        let plain = endpoint.trim_end_matches('/').to_owned();
        if self.path_style {
            return Ok(Some(plain));
        }
        let wrong = || {
            Error::invalid(
                "Invalid storage profile: the bucket cannot stand in the name of the endpoint's host; set path-style to true",
            )
        };
        let mut url = url::Url::parse(&plain).map_err(|_| wrong())?;
        let host = url.domain().map(|domain| format!("{}.{domain}", self.bucket)).ok_or_else(wrong)?;
        url.set_host(Some(&host)).map_err(|_| wrong())?;
        Ok(Some(url.as_str().trim_end_matches('/').to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str, path_style: bool) -> Option<String> {
        let (bucket, region) = ("lake".to_owned(), "eu-central-1".to_owned());
        let profile = S3Profile { bucket, prefix: None, region, endpoint: Some(text.to_owned()), path_style };
        profile.request_endpoint().ok().flatten()
    }

    #[test]
    fn the_bucket_stands_in_the_path_or_in_the_hosts_name() {
        assert_eq!(endpoint("http://10.0.0.1:9000/", true).as_deref(), Some("http://10.0.0.1:9000"));
        assert_eq!(endpoint("https://s3.example", true).as_deref(), Some("https://s3.example"));
        assert_eq!(endpoint("https://s3.example:9000/", false).as_deref(), Some("https://lake.s3.example:9000"));
        assert_eq!(endpoint("http://10.0.0.1:9000", false), None);
    }
}
