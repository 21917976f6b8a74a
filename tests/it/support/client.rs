//! An HTTP client with a token.

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

/// Calls a server.
#[derive(Clone)]
pub struct Client {
    pub http: reqwest::Client,
    pub url: String,
    pub token: Option<String>,
}

/// A status and a body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Answer {
    /// The body, if the status is the one expected.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.body
    }

    /// Checks that it is an error of the specification's shape, of this status and type; its message.
    #[track_caller]
    pub fn expect_error(self, status: u16, kind: &str) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.body["error"]["code"], status, "{}", self.text);
        assert_eq!(self.body["error"]["type"], kind, "{}", self.text);
        let message = self.body["error"]["message"].as_str().expect("a message").to_owned();
        assert!(!message.is_empty());
        message
    }
}

impl Client {
    /// Without a token.
    pub fn anonymous(url: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Self { http: reqwest::Client::new(), url: url.to_owned(), token: None }
    }

    /// With a token for a client's secret.
    pub async fn login(url: &str, client_id: &str, client_secret: &str) -> Self {
        let mut client = Self::anonymous(url);
        let form = [("grant_type", "client_credentials"), ("client_id", client_id), ("client_secret", client_secret)];
        let answer = client.send(client.request(Method::POST, "/catalog/v1/oauth/tokens").form(&form)).await.expect(200);
        client.token = Some(answer["access_token"].as_str().unwrap().to_owned());
        client
    }

    /// The same server, with another token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status, headers, text, body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn head(&self, path: &str) -> Answer {
        self.send(self.request(Method::HEAD, path)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }
}
