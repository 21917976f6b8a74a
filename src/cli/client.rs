//! A client of the management API, for the command line.

use anyhow::{Context, bail};
use clap::Args;
use reqwest::Method;
use serde_json::Value;

use crate::model::Secret;

/// Which server, and as whom.
#[derive(Args, Debug)]
pub struct Server {
    /// The server's URL
    #[arg(long, env = "NUNATAK_SERVER", default_value = "http://127.0.0.1:8181", global = true)]
    #[allow(clippy::struct_field_names, reason = "it is the name of the flag")]
    server: String,
    /// A token; else one is asked for with the client id and secret
    #[arg(long, env = "NUNATAK_TOKEN", hide_env_values = true, global = true)]
    token: Option<Secret>,
    /// The client id
    #[arg(long, env = "NUNATAK_CLIENT_ID", global = true)]
    client_id: Option<String>,
    /// The client's secret
    #[arg(long, env = "NUNATAK_CLIENT_SECRET", hide_env_values = true, global = true)]
    client_secret: Option<Secret>,
}

impl Server {
    /// A token: the one given, or a new one.
    ///
    /// # Errors
    /// When none is given and the server gives none.
    pub async fn token(&self) -> anyhow::Result<Secret> {
        if let Some(token) = &self.token {
            return Ok(token.clone());
        }
        let (Some(id), Some(secret)) = (&self.client_id, &self.client_secret) else {
            bail!("set NUNATAK_CLIENT_ID and NUNATAK_CLIENT_SECRET, or NUNATAK_TOKEN");
        };
        let form = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret.expose())];
        let request = http()?.post(self.url("/catalog/v1/oauth/tokens")).form(&form);
        let answer = answer(request.send().await).await?;
        let token = answer.get("access_token").and_then(Value::as_str).context("the server's answer has no token")?;
        Ok(token.into())
    }

    /// Calls the management API.
    ///
    /// # Errors
    /// With the server's message, where it refuses.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let token = self.token().await?;
        let mut request = http()?.request(method, self.url(path)).bearer_auth(token.expose());
        if let Some(body) = body {
            request = request.json(body);
        }
        answer(request.send().await).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.trim_end_matches('/'))
    }
}

fn http() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder().timeout(std::time::Duration::from_secs(90)).build()?)
}

async fn answer(response: reqwest::Result<reqwest::Response>) -> anyhow::Result<Value> {
    let response = response.map_err(reqwest::Error::without_url).context("the server cannot be reached")?;
    let status = response.status();
    let text = response.text().await?;
    let body: Value = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
    if status.is_success() {
        return Ok(body);
    }
    let message = body.pointer("/error/message").or(body.get("error_description")).and_then(Value::as_str);
    bail!("{status}: {}", message.unwrap_or("the server refused"))
}

/// A text as one step of a URL's path.
pub fn step(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
