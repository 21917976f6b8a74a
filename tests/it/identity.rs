//! Who calls: tokens and what is wrong with them, the OAuth endpoint, the keys that sign, and that no secret lies open.

use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta};
use nunatak::model::vault::Vault;
use nunatak::model::{Clock, Secret};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::Row;
use uuid::Uuid;

use crate::support::{Answer, CLIENT_ID, CLIENT_SECRET, Client, Server};
use crate::support::{S3, SECRET_ACCESS_KEY};

const TOKENS: &str = "/catalog/v1/oauth/tokens";
const CONFIG: &str = "/catalog/v1/config";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

fn manual_clock() -> Clock {
    Clock::manual(DateTime::from_timestamp(1_800_000_000, 0).unwrap())
}

/// A principal made by the administrator, with its token.
struct Principal {
    id: String,
    client_id: String,
    secret: String,
    client: Client,
}

impl Principal {
    async fn create(server: &Server, name: &str) -> Self {
        let made = server.client.post("/api/v1/principals", &json!({"name": name})).await.expect(201);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (client_id, secret) = (text(&made["principal"]["client-id"]), text(&made["client-secret"]));
        let client = Client::login(&server.url, &client_id, &secret).await;
        Self { id: text(&made["principal"]["id"]), client_id, secret, client }
    }

    fn token(&self) -> &str {
        self.client.token.as_deref().unwrap()
    }

    async fn change(&self, server: &Server, action: &str) -> Value {
        server.client.post(&format!("/api/v1/principals/{}/{action}", self.id), &json!({})).await.expect(200)
    }
}

fn check_unauthenticated(answer: Answer) -> String {
    let challenge = answer.headers.get("www-authenticate").expect("a challenge").to_str().unwrap().to_owned();
    assert!(challenge.starts_with("Bearer"), "{challenge}");
    answer.expect_error(401, "NotAuthorizedException")
}

async fn check_refused(client: &Client) -> String {
    check_unauthenticated(client.get(CONFIG).await)
}

#[tokio::test]
async fn without_a_valid_token_nothing_is_even_looked_at() {
    let server = Server::start().await;
    let anonymous = Client::anonymous(&server.url);
    let token = server.client.token.clone().unwrap();
    let credentials = [None, Some("Bearer".to_owned()), Some("Bearer ".to_owned()), Some("Bearer x.y.z".to_owned())];
    let schemes =
        [Some(format!("Basic {token}")), Some(format!("Token {token}")), Some(token.clone()), Some("Bearer \u{e9}".to_owned())];
    let table = "/catalog/v1/default/namespaces/ns/tables/t";
    let requests = [
        (Method::GET, CONFIG, ""),
        (Method::GET, "/catalog/v1/config?warehouse=missing", ""),
        (Method::POST, "/catalog/v1/default/namespaces", "{malformed"),
        (Method::POST, "/catalog/v1/%ff/transactions/commit", ""),
        (Method::DELETE, table, ""),
        (Method::PUT, table, ""),
        (Method::GET, "/nowhere", ""),
        (Method::GET, "/catalog/v1/default/namespaces?pageToken=!", ""),
        (Method::GET, "/api/v1/warehouses", ""),
        (Method::POST, "/api/v1/principals", "{"),
        (Method::GET, "/api/v1/version", ""),
        (Method::GET, "/docsx", ""),
        (Method::GET, "/metrics/", ""),
    ];
    for credential in credentials.into_iter().chain(schemes) {
        for (method, path, body) in &requests {
            let mut request = anonymous.request(method.clone(), path).body(*body);
            if let Some(credential) = &credential {
                request = request.header("authorization", credential.as_bytes());
            }
            check_unauthenticated(anonymous.send(request).await);
        }
    }
    assert_eq!(anonymous.head(table).await.status, 401);
    let spelled = anonymous.request(Method::GET, CONFIG).header("authorization", format!("bearer {token}"));
    anonymous.send(spelled).await.expect(200);
}

#[tokio::test]
async fn public_routes_need_no_token() {
    let server = Server::start().await;
    let anonymous = Client::anonymous(&server.url);
    for path in ["/health/live", "/health/ready", "/metrics", "/docs", "/docs/", "/catalog/openapi.json", "/api/v1/openapi.json"]
    {
        assert_eq!(anonymous.get(path).await.status, 200, "{path}");
        // A wrong token is not looked at either.
        assert_eq!(anonymous.with_token("x").get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_token_expires() {
    let clock = manual_clock();
    let server = Server::start_with(clock.clone(), "token_lifetime_seconds = 60").await;
    clock.advance(TimeDelta::seconds(59));
    server.client.get(CONFIG).await.expect(200);
    clock.advance(TimeDelta::seconds(1));
    assert!(check_refused(&server.client).await.contains("expired"));
}

#[tokio::test]
async fn a_disabled_principals_token_is_refused_at_once() {
    let server = Server::start().await;
    let principal = Principal::create(&server, "reader").await;
    principal.client.get(CONFIG).await.expect(200);
    let disabled = principal.change(&server, "disable").await;
    assert!(disabled["disabled-at"].is_string());
    check_refused(&principal.client).await;
    oauth_error(&request_token(&principal.client_id, &principal.secret, &server).await, 401, "invalid_client");
    principal.change(&server, "enable").await;
    Client::login(&server.url, &principal.client_id, &principal.secret).await.get(CONFIG).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_remembers_of_a_principal_does_not_outlive_its_disabling_or_its_secret() {
    let server = Server::start().await;
    server.create_table("ns", "a").await;
    let table = "/catalog/v1/default/namespaces/ns/tables/a";
    let set = |value: &str| json!({"requirements": [], "updates": [{"action": "set-properties", "updates": {"x": value}}]});
    for end in ["disable", "rotate"] {
        let principal = Principal::create(&server, end).await;
        // The server knows the token, the table, and where the principal's last commit left it.
        for value in ["1", "2"] {
            principal.client.post(table, &set(value)).await.expect(200);
            principal.client.get(table).await.expect(200);
        }
        let before = server.client.get(table).await.expect(200);
        principal.change(&server, end).await;
        check_unauthenticated(principal.client.post(table, &set("3")).await);
        check_unauthenticated(principal.client.get(table).await);
        assert_eq!(server.client.get(table).await.expect(200), before);
    }
}

#[tokio::test]
async fn a_token_from_before_a_rotation_of_the_secret_is_refused() {
    let clock = manual_clock();
    let server = Server::start_with(clock.clone(), "").await;
    let principal = Principal::create(&server, "reader").await;
    clock.advance(TimeDelta::milliseconds(1));
    let rotated = principal.change(&server, "rotate").await;
    check_refused(&principal.client).await;
    oauth_error(&request_token(&principal.client_id, &principal.secret, &server).await, 401, "invalid_client");
    let secret = rotated["client-secret"].as_str().unwrap();
    Client::login(&server.url, &principal.client_id, secret).await.get(CONFIG).await.expect(200);
}

/// A key that signs, taken from behind the server's back.
struct Key {
    id: String,
    public: Vec<u8>,
    private: Vec<u8>,
}

impl Key {
    /// All keys, oldest first.
    async fn all(server: &Server) -> Vec<Self> {
        let vault = Vault::new(&Secret::from(STANDARD.encode([0; 32]))).unwrap();
        let query = sqlx::query("SELECT id, private_key, public_key FROM signing_key ORDER BY created_at, id");
        let rows = query.fetch_all(&mut server.sql().await).await.unwrap();
        let open = |row: sqlx::postgres::PgRow| {
            let id: Uuid = row.get("id");
            let private = vault.open(&format!("signing-key:{id}"), &row.get::<Vec<u8>, _>("private_key")).unwrap().to_vec();
            Self { id: id.to_string(), public: row.get("public_key"), private }
        };
        rows.into_iter().map(open).collect()
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let pair = Ed25519KeyPair::from_pkcs8(&self.private).unwrap();
        jwt(header, claims, |text| pair.sign(text).as_ref().to_vec())
    }
}

fn jwt(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    let signature = sign(text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn hs256(header: &Value, claims: &Value, key: &[u8]) -> String {
    jwt(header, claims, |text| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec())
}

fn part_of(token: &str, part: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(part).unwrap()).unwrap()).unwrap()
}

/// The object with one member replaced, or removed.
fn with(object: &Value, name: &str, value: impl Into<Option<Value>>) -> Value {
    let mut object = object.clone();
    match value.into() {
        Some(value) => object[name] = value,
        None => drop(object.as_object_mut().unwrap().remove(name)),
    }
    object
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let server = Server::start().await;
    server.client.post("/api/v1/signing-keys/rotate", &json!({})).await.expect(201);
    let keys = Key::all(&server).await;
    let (key, other) = (&keys[0], &keys[1]);
    let token = server.client.token.clone().unwrap();
    let (header, claims) = (part_of(&token, 0), part_of(&token, 1));
    assert_eq!((header["alg"].as_str(), header["kid"].as_str()), (Some("EdDSA"), Some(key.id.as_str())));
    // The means to forge are right: what is signed with the right key for the right claims is accepted.
    server.client.with_token(&key.sign(&header, &claims)).get(CONFIG).await.expect(200);

    let alg = |name: &str| with(&header, "alg", json!(name));
    let kid = |value: Value| key.sign(&with(&header, "kid", value), &claims);
    let claim = |name: &str, value: Option<Value>| key.sign(&header, &with(&claims, name, value));
    let now = claims["iat"].as_f64().unwrap();
    let (text, signature) = token.rsplit_once('.').unwrap();
    let attacker = Ed25519KeyPair::generate().unwrap();
    let forged = [
        ("alg none", jwt(&alg("none"), &claims, |_| Vec::new())),
        ("alg None", jwt(&alg("None"), &claims, |_| Vec::new())),
        ("no alg", key.sign(&with(&header, "alg", None), &claims)),
        ("public key as a shared secret", hs256(&alg("HS256"), &claims, &key.public)),
        (
            "public key in hexadecimal as a shared secret",
            hs256(&alg("HS256"), &claims, format!("{:02x?}", key.public).as_bytes()),
        ),
        ("empty shared secret", hs256(&alg("HS256"), &claims, b"")),
        ("another algorithm's name", key.sign(&alg("RS256"), &claims)),
        ("another key's kid", key.sign(&with(&header, "kid", json!(other.id)), &claims)),
        ("another key's signature", other.sign(&header, &claims)),
        ("a stranger's signature", jwt(&header, &claims, |text| attacker.sign(text).as_ref().to_vec())),
        ("no kid", key.sign(&with(&header, "kid", None), &claims)),
        ("kid null", kid(Value::Null)),
        ("kid empty", kid(json!(""))),
        ("kid a number", kid(json!(0))),
        ("kid a path", kid(json!("../../../../dev/null"))),
        ("kid SQL", kid(json!("' OR '1'='1"))),
        ("kid with a null character", kid(json!("a\u{0}"))),
        ("kid unknown", kid(json!(Uuid::new_v4()))),
        ("kid in capitals", kid(json!(key.id.to_uppercase()))),
        ("iss wrong", claim("iss", Some(json!("somebody")))),
        ("iss missing", claim("iss", None)),
        ("aud wrong", claim("aud", Some(json!("somebody")))),
        ("aud missing", claim("aud", None)),
        ("exp missing", claim("exp", None)),
        ("exp text", claim("exp", Some(json!("tomorrow")))),
        ("exp past", claim("exp", Some(json!(1)))),
        ("exp negative", claim("exp", Some(json!(-1)))),
        ("iat missing", claim("iat", None)),
        ("iat before the principal's secret", claim("iat", Some(json!(now - 3_600.0)))),
        ("sub missing", claim("sub", None)),
        ("sub unknown", claim("sub", Some(json!(Uuid::new_v4())))),
        ("sub SQL", claim("sub", Some(json!("' OR '1'='1")))),
        ("oversized", claim("padding", Some(json!("x".repeat(5_000))))),
        ("no signature", format!("{text}.")),
        ("half a signature", format!("{text}.{}", &signature[..40])),
        ("a fourth part", format!("{token}.{signature}")),
        ("two parts", text.to_owned()),
        ("dots", "..".to_owned()),
    ];
    for (what, token) in &forged {
        let answer = server.client.with_token(token).get(CONFIG).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text);
        let message = check_unauthenticated(answer);
        assert!(message == "The token is not valid" || message == "The token has expired", "{what}: {message}");
    }
    for (what, token) in &forged {
        let answer = exchange(&server, token, |request| request).await;
        assert!(answer.status == 401 || answer.status == 400, "{what}: {}", answer.text);
    }
}

async fn request_token(client_id: &str, client_secret: &str, server: &Server) -> Answer {
    let form = [("grant_type", "client_credentials"), ("client_id", client_id), ("client_secret", client_secret)];
    send_form(server, &form, |request| request).await
}

/// The fields of a form.
type Form<'a> = &'a [(&'a str, &'a str)];

async fn send_form(server: &Server, form: Form<'_>, more: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Answer {
    let anonymous = Client::anonymous(&server.url);
    anonymous.send(more(anonymous.request(Method::POST, TOKENS).form(form))).await
}

async fn exchange(server: &Server, subject: &str, more: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Answer {
    let form = [("grant_type", EXCHANGE), ("subject_token", subject), ("subject_token_type", ACCESS_TOKEN), ("scope", "catalog")];
    send_form(server, &form, more).await
}

fn oauth_error(answer: &Answer, status: u16, error: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.body["error"], error, "{}", answer.text);
    assert!(answer.body["error_description"].as_str().is_some_and(|text| !text.is_empty()), "{}", answer.text);
}

#[tokio::test]
async fn client_credentials_in_the_form_or_the_header_give_a_token() {
    let server = Server::start_with(Clock::System, "token_lifetime_seconds = 120").await;
    let in_form = request_token(CLIENT_ID, CLIENT_SECRET, &server).await;
    let form = [("grant_type", "client_credentials"), ("scope", "catalog")];
    let in_header = send_form(&server, &form, |request| request.basic_auth(CLIENT_ID, Some(CLIENT_SECRET))).await;
    for answer in [in_form, in_header] {
        assert_eq!(answer.headers["cache-control"], "no-store");
        let body = answer.expect(200);
        assert_eq!(body["token_type"], "bearer");
        assert_eq!(body["expires_in"], 120);
        assert_eq!(body["issued_token_type"], ACCESS_TOKEN);
        server.client.with_token(body["access_token"].as_str().unwrap()).get(CONFIG).await.expect(200);
    }
}

#[tokio::test]
async fn what_is_wrong_at_the_token_endpoint_has_the_shape_of_oauth() {
    let server = Server::start().await;
    let grant = ("grant_type", "client_credentials");
    let (id, secret) = (("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET));
    let exchange = ("grant_type", EXCHANGE);
    let token = server.client.token.clone().unwrap();
    let subject = ("subject_token", token.as_str());
    let kind = ("subject_token_type", ACCESS_TOKEN);
    let cases: [(Form, u16, &str); 15] = [
        (&[], 400, "invalid_request"),
        (&[id, secret], 400, "invalid_request"),
        (&[grant], 400, "invalid_request"),
        (&[grant, id], 400, "invalid_request"),
        (&[grant, secret], 400, "invalid_request"),
        (&[grant, id, ("client_secret", "wrong")], 401, "invalid_client"),
        (&[grant, id, ("client_secret", "")], 401, "invalid_client"),
        (&[grant, ("client_id", "nobody"), secret], 401, "invalid_client"),
        (&[grant, ("client_id", "' OR '1'='1"), secret], 401, "invalid_client"),
        (&[grant, ("client_id", "a\0b"), secret], 400, "invalid_request"),
        (&[("grant_type", "password"), id, secret], 400, "unsupported_grant_type"),
        (&[exchange, kind], 400, "invalid_request"),
        (&[exchange, subject], 400, "invalid_request"),
        (&[exchange, subject, ("subject_token_type", "urn:ietf:params:oauth:token-type:saml2")], 400, "invalid_request"),
        (&[exchange, subject, kind, ("actor_token", &token), ("actor_token_type", ACCESS_TOKEN)], 400, "invalid_request"),
    ];
    for (form, status, error) in cases {
        oauth_error(&send_form(&server, form, |request| request).await, status, error);
    }
    let wrong = send_form(&server, &[grant], |request| request.basic_auth(CLIENT_ID, Some("wrong"))).await;
    assert!(wrong.headers.contains_key("www-authenticate"));
    oauth_error(&wrong, 401, "invalid_client");
    let unreadable = send_form(&server, &[grant], |request| request.header("authorization", "Basic !!!")).await;
    oauth_error(&unreadable, 400, "invalid_request");
    let json = server.client.post(TOKENS, &json!({"grant_type": "client_credentials"})).await;
    oauth_error(&json, 400, "invalid_request");
    // An unknown client and a wrong secret look the same.
    let messages = [("nobody", CLIENT_SECRET), (CLIENT_ID, "wrong")].map(|(id, secret)| request_token(id, secret, &server));
    let [unknown, wrong] = futures::future::join_all(messages).await.try_into().unwrap();
    assert_eq!(unknown.text, wrong.text);
}

#[tokio::test]
async fn a_token_is_exchanged_for_a_new_one() {
    let clock = manual_clock();
    let server = Server::start_with(clock.clone(), "token_lifetime_seconds = 60").await;
    let stranger = Principal::create(&server, "stranger").await;
    let old = server.client.token.clone().unwrap();
    clock.advance(TimeDelta::seconds(30));
    let new = exchange(&server, &old, |request| request.bearer_auth(&old)).await.expect(200);
    let new = new["access_token"].as_str().unwrap().to_owned();
    assert_ne!(old, new);
    clock.advance(TimeDelta::seconds(31));
    check_refused(&server.client).await;
    server.client.with_token(&new).get(CONFIG).await.expect(200);
    assert_eq!(part_of(&new, 1)["sub"], part_of(&old, 1)["sub"]);

    let as_administrator = |request: RequestBuilder| request.basic_auth(CLIENT_ID, Some(CLIENT_SECRET));
    oauth_error(&exchange(&server, &old, |request| request).await, 401, "invalid_client");
    oauth_error(&exchange(&server, &old, |request| request.bearer_auth(&old)).await, 401, "invalid_client");
    exchange(&server, &old, as_administrator).await.expect(200);
    oauth_error(&exchange(&server, stranger.token(), as_administrator).await, 401, "invalid_client");
    let as_stranger = |request: RequestBuilder| request.basic_auth(&stranger.client_id, Some(&stranger.secret));
    oauth_error(&exchange(&server, &new, as_stranger).await, 401, "invalid_client");
    let wrong = |request: RequestBuilder| request.basic_auth(CLIENT_ID, Some("wrong"));
    oauth_error(&exchange(&server, &new, wrong).await, 401, "invalid_client");
    let disable = format!("/api/v1/principals/{}/disable", stranger.id);
    server.client.with_token(&new).post(&disable, &json!({})).await.expect(200);
    oauth_error(&exchange(&server, stranger.token(), as_stranger).await, 401, "invalid_client");
}

async fn rotate_signing_key(server: &Server) -> String {
    let made = server.client.post("/api/v1/signing-keys/rotate", &json!({})).await.expect(201);
    made["id"].as_str().unwrap().to_owned()
}

async fn kid_of_a_new_token(server: &Server) -> String {
    let client = Client::login(&server.url, CLIENT_ID, CLIENT_SECRET).await;
    part_of(client.token.as_deref().unwrap(), 0)["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_new_signing_key_takes_over_and_disturbs_nobody() {
    let clock = manual_clock();
    let server = Server::start_with(clock.clone(), "token_lifetime_seconds = 604800").await;
    let first = kid_of_a_new_token(&server).await;
    clock.advance(TimeDelta::seconds(1));
    let second = rotate_signing_key(&server).await;
    assert_ne!(first, second);
    server.client.get(CONFIG).await.expect(200);
    assert_eq!(kid_of_a_new_token(&server).await, first, "it signs only once every server knows it");
    clock.advance(TimeDelta::seconds(61));
    assert_eq!(kid_of_a_new_token(&server).await, second);
    clock.advance(TimeDelta::days(7) - TimeDelta::seconds(63));
    server.client.get(CONFIG).await.expect(200);
    clock.advance(TimeDelta::seconds(1));
    check_refused(&server.client).await;

    // Once no token of the first key can be valid, the next rotation takes it away.
    clock.advance(TimeDelta::days(1));
    let renewed = Client::login(&server.url, CLIENT_ID, CLIENT_SECRET).await;
    renewed.post("/api/v1/signing-keys/rotate", &json!({})).await.expect(201);
    let kept = Key::all(&server).await;
    assert!(kept.len() == 2 && kept.iter().all(|key| key.id != first));
    renewed.get(CONFIG).await.expect(200);
}

#[tokio::test]
async fn servers_accept_each_others_tokens_right_after_a_rotation() {
    let one = Server::start().await;
    let second = rotate_signing_key(&one).await;
    // As if it had been made some seconds ago: long enough to sign.
    let aged = "UPDATE signing_key SET created_at = created_at - CASE WHEN id = $1 THEN interval '6 s' ELSE interval '1 h' END";
    sqlx::query(aged).bind(second.parse::<Uuid>().unwrap()).execute(&mut one.sql().await).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let other = one.another().await;
    let token = other.client.token.clone().unwrap();
    assert_eq!(part_of(&token, 0)["kid"], second.as_str());
    one.client.with_token(&token).get(CONFIG).await.expect(200);
    other.client.with_token(one.client.token.as_deref().unwrap()).get(CONFIG).await.expect(200);
}

/// Every row of every table, as text.
async fn dump(server: &Server) -> String {
    let mut connection = server.sql().await;
    let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.unwrap();
    assert!(tables.len() > 6);
    let mut text = String::new();
    for table in tables {
        let rows = sqlx::AssertSqlSafe(format!("SELECT t::text FROM public.\"{table}\" t"));
        text += &sqlx::query_scalar::<_, String>(rows).fetch_all(&mut connection).await.unwrap().join("\n");
    }
    text
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

#[tokio::test]
async fn no_secret_lies_open_in_the_database_or_in_an_answer() {
    let server = Server::start().await;
    let store = S3::start().await;
    let principal = Principal::create(&server, "reader").await;
    let rotated = principal.change(&server, "rotate").await["client-secret"].as_str().unwrap().to_owned();
    let warehouse = json!({"name": "lake", "storage": store.profile("w")});
    let made = server.client.post("/api/v1/warehouses", &warehouse).await;
    assert_eq!(made.status, 201, "{}", made.text);
    server.client.post("/catalog/v1/lake/namespaces", &json!({"namespace": ["ns"]})).await.expect(200);
    let table = crate::support::table_request("t");
    let table = server.client.post("/catalog/v1/lake/namespaces/ns/tables", &table).await;
    assert_eq!(table.status, 200, "{}", table.text);

    let secrets = [CLIENT_SECRET, &principal.secret, &rotated, SECRET_ACCESS_KEY];
    let paths = [
        "/api/v1/warehouses",
        "/api/v1/warehouses/lake",
        "/api/v1/principals",
        &format!("/api/v1/principals/{}", principal.id),
        "/catalog/v1/config?warehouse=lake",
        "/catalog/v1/lake/namespaces/ns/tables/t",
        "/metrics",
    ];
    let mut answers = vec![made.text, table.text];
    for path in paths {
        let answer = server.client.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answers.push(answer.text);
    }
    let dump = dump(&server).await;
    assert!(dump.contains("reader") && dump.contains(&store.endpoint));
    for secret in secrets {
        assert!(!answers.iter().any(|answer| answer.contains(secret)));
        for form in [secret.to_owned(), hexadecimal(secret.as_bytes()), STANDARD.encode(secret), URL_SAFE_NO_PAD.encode(secret)] {
            assert!(!dump.contains(&form));
        }
    }
    for key in Key::all(&server).await {
        assert!(dump.contains(&hexadecimal(&key.public)));
        // What is secret of the key: 32 bytes after the 16 that every such document starts with.
        assert!(!dump.contains(&hexadecimal(&key.private[16..48])));
    }
}
