//! A store that speaks as much of S3's protocol as the server needs: objects are put, got and deleted in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

pub const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";
pub const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY";

#[derive(Clone, Default)]
struct Objects(Arc<Mutex<HashMap<String, Bytes>>>);

/// A running store.
pub struct S3 {
    pub endpoint: String,
    objects: Objects,
}

impl S3 {
    pub async fn start() -> Self {
        let objects = Objects::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(objects.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { endpoint, objects }
    }

    /// The profile of a warehouse in it, with its secret.
    pub fn profile(&self, prefix: &str) -> Value {
        profile(&self.endpoint, prefix)
    }

    /// The keys of all objects, with their bucket.
    pub fn keys(&self) -> Vec<String> {
        self.objects.0.lock().unwrap().keys().cloned().collect()
    }
}

/// The profile of a warehouse in a store that may or may not be there.
pub fn profile(endpoint: &str, prefix: &str) -> Value {
    json!({
        "type": "s3", "bucket": "bucket", "prefix": prefix, "region": "eu-central-1", "endpoint": endpoint, "path-style": true,
        "access-key-id": ACCESS_KEY_ID, "secret-access-key": SECRET_ACCESS_KEY,
    })
}

async fn answer(State(objects): State<Objects>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let signed = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or("");
    if !signed.contains(ACCESS_KEY_ID) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let mut objects = objects.0.lock().unwrap();
    let key = uri.path().trim_start_matches('/').to_owned();
    let found = [("etag", "\"1\""), ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT")];
    match method {
        Method::PUT => {
            objects.insert(key, body);
            (StatusCode::OK, found).into_response()
        }
        Method::GET => match objects.get(&key) {
            Some(bytes) => (StatusCode::OK, found, bytes.clone()).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        },
        Method::DELETE => {
            objects.remove(&key);
            StatusCode::NO_CONTENT.into_response()
        }
        Method::POST if uri.query().is_some_and(|query| query.starts_with("delete")) => {
            let text = String::from_utf8_lossy(&body).into_owned();
            let mut deleted = String::new();
            for (named, _) in text.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>")) {
                objects.remove(&format!("{}/{named}", key.trim_end_matches('/')));
                deleted.extend(["<Deleted><Key>", named, "</Key></Deleted>"]);
            }
            format!("<DeleteResult>{deleted}</DeleteResult>").into_response()
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}
