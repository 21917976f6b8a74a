//! A server that speaks the Iceberg REST API: where it is, and how requests to it look.

use std::fmt::Write as _;
use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::generator::{Load, drive};
use crate::wire::Answer;

/// The namespace of all tables.
const NAMESPACE_PREFIX: &str = "hot_path";

/// A server, and who we are there.
#[derive(Clone, Debug)]
pub struct Target {
    /// What it is called in the report.
    pub name: &'static str,
    pub address: SocketAddr,
    host: String,
    /// The path before `/v1`.
    base: String,
    /// With its slash; empty where a server has none.
    prefix: String,
    token: Option<String>,
    pub namespace: String,
}

impl Target {
    /// # Errors
    /// When the URL is none, or names no host that is known.
    pub fn new(name: &'static str, url: &str) -> anyhow::Result<Self> {
        let parsed = url::Url::parse(url).with_context(|| format!("{url} is no URL"))?;
        if parsed.scheme() != "http" {
            bail!("{url} is no http URL: what is measured is the server, so the generator speaks no TLS");
        }
        let name_of_host = parsed.host_str().context("a URL without a host")?;
        let port = parsed.port_or_known_default().unwrap_or(80);
        let address = (name_of_host, port).to_socket_addrs()?.next().with_context(|| format!("{name_of_host} is not known"))?;
        Ok(Self {
            name,
            address,
            host: format!("{name_of_host}:{port}"),
            base: parsed.path().trim_end_matches('/').to_owned(),
            prefix: String::new(),
            token: None,
            // Another one each run, as a server that is not ours may have that of an earlier one.
            namespace: format!("{NAMESPACE_PREFIX}_{}", std::process::id()),
        })
    }

    pub fn with_token(mut self, token: Option<String>) -> Self {
        self.token = token;
        self
    }

    pub fn with_prefix(mut self, prefix: Option<&str>) -> Self {
        self.prefix = prefix.map(|prefix| format!("/{}", prefix.trim_matches('/'))).unwrap_or_default();
        self
    }

    /// Another server that is asked in just the same words: its floor.
    pub fn at(&self, name: &'static str, address: SocketAddr) -> Self {
        Self { name, address, ..self.clone() }
    }

    /// Gets a token and the warehouse's prefix, as a client does.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn log_in(mut self, client_id: &str, client_secret: &str) -> anyhow::Result<Self> {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", client_id)
            .append_pair("client_secret", client_secret)
            .finish();
        let path = format!("{}/v1/oauth/tokens", self.base);
        let request = self.render("POST", &path, Some(("application/x-www-form-urlencoded", form.as_bytes())), "");
        let answer = self.once(request)?;
        self.token = Some(answer["access_token"].as_str().context("no token")?.to_owned());
        let config = self.call("GET", "/v1/config?warehouse=default", None)?;
        let prefix = config["overrides"]["prefix"].as_str().map(ToOwned::to_owned);
        Ok(self.with_prefix(prefix.as_deref()))
    }

    /// # Errors
    /// When the server refuses.
    pub fn create_namespace(&self) -> anyhow::Result<()> {
        let path = format!("/v1{}/namespaces", self.prefix);
        self.call("POST", &path, Some(&json!({"namespace": [self.namespace], "properties": {}}))).map(drop)
    }

    /// # Errors
    /// When the server refuses.
    pub fn drop_namespace(&self) -> anyhow::Result<()> {
        self.call("DELETE", &format!("/v1{}/namespaces/{}", self.prefix, self.namespace), None).map(drop)
    }

    /// Sends one request and gives the JSON of the answer. The path begins with `/v1`.
    ///
    /// # Errors
    /// When the answer is not a good one.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let body = body.map(Value::to_string);
        let content = body.as_ref().map(|body| ("application/json", body.as_bytes()));
        self.once(self.render(method, &format!("{}{path}", self.base), content, ""))
    }

    /// Asks for a path, whatever it is, and only wants a good answer.
    ///
    /// # Errors
    /// When there is none.
    pub fn get(&self, path: &str) -> anyhow::Result<()> {
        self.once(self.get_request(path)).map(drop)
    }

    fn once(&self, request: Vec<u8>) -> anyhow::Result<Value> {
        struct Once(Option<Vec<u8>>, Value);
        impl Load for Once {
            fn next(&mut self, request: &mut Vec<u8>) -> Option<usize> {
                *request = self.0.take()?;
                Some(0)
            }
            fn check(&mut self, _: usize, answer: &Answer<'_>) -> Result<(), String> {
                self.1 = serde_json::from_slice(answer.body).unwrap_or(Value::Null);
                expect_success(answer)
            }
        }
        let mut once = Once(Some(request), Value::Null);
        drive(self.address, 1, None, &mut once)?.all_right()?;
        Ok(once.1)
    }

    /// A whole request, ready to be sent. `headers` are whole lines.
    fn render(&self, method: &str, path: &str, content: Option<(&str, &[u8])>, headers: &str) -> Vec<u8> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\n{headers}", self.host);
        if let Some(token) = &self.token {
            let _ = write!(head, "Authorization: Bearer {token}\r\n");
        }
        if let Some((kind, body)) = content {
            let _ = write!(head, "Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        }
        head.push_str("\r\n");
        let mut request = head.into_bytes();
        request.extend_from_slice(content.map_or(&[], |(_, body)| body));
        request
    }

    /// Creates a table.
    pub fn create_request(&self, body: &[u8]) -> Vec<u8> {
        let path = format!("{}/v1{}/namespaces/{}/tables", self.base, self.prefix, self.namespace);
        self.render("POST", &path, Some(("application/json", body)), "")
    }

    /// The path of a table, without what comes before `/v1`.
    pub fn table_path(&self, table: &str) -> String {
        format!("/v1{}/namespaces/{}/tables/{table}", self.prefix, self.namespace)
    }

    /// Loads a table. `headers` are whole lines.
    pub fn load_request(&self, table: &str, headers: &str) -> Vec<u8> {
        self.render("GET", &format!("{}{}", self.base, self.table_path(table)), None, headers)
    }

    /// The same request for another path, whatever it is.
    pub fn get_request(&self, path: &str) -> Vec<u8> {
        self.render("GET", path, None, "")
    }

    /// Commits to a table.
    pub fn commit_request(&self, table: &str, body: &[u8]) -> Vec<u8> {
        self.render("POST", &format!("{}{}", self.base, self.table_path(table)), Some(("application/json", body)), "")
    }

    /// Drops a table, and its files.
    pub fn drop_request(&self, table: &str) -> Vec<u8> {
        self.render("DELETE", &format!("{}{}?purgeRequested=true", self.base, self.table_path(table)), None, "")
    }
}

/// # Errors
/// What came instead of a good answer.
pub fn expect_success(answer: &Answer<'_>) -> Result<(), String> {
    if (200..300).contains(&answer.status) {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&answer.body[..answer.body.len().min(300)]).into_owned();
    Err(format!("status {}: {text}", answer.status))
}
