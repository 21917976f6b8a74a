//! What the server does by itself, with time standing still until the test moves it.

use chrono::{TimeDelta, Utc};
use nunatak::model::Clock;
use serde_json::json;
use sqlx::Row;

use crate::support::Server;

#[allow(clippy::disallowed_methods, reason = "a test's clock starts somewhere")]
fn clock() -> Clock {
    Clock::manual(Utc::now())
}

async fn count(server: &Server, query: &'static str) -> i64 {
    sqlx::query(query).fetch_one(&mut server.sql().await).await.unwrap().get(0)
}

#[tokio::test]
async fn metrics_reports_are_kept_for_as_long_as_is_set_and_go_with_their_table() {
    let clock = clock();
    let server = Server::start_with(clock.clone(), "metrics_retention_days = 2\ntoken_lifetime_seconds = 604800").await;
    server.create_table("ns", "a").await;
    let table = "/catalog/v1/default/namespaces/ns/tables/a";
    let report = json!({"report-type": "scan-report", "table-name": "ns.a", "snapshot-id": 1, "metrics": {}});
    let reports = "SELECT count(*) FROM metrics_report";
    for day in 1..=3 {
        assert_eq!(server.client.post(&format!("{table}/metrics"), &report).await.status, 204);
        assert_eq!(count(&server, reports).await, day);
        clock.advance(TimeDelta::days(1));
    }
    while server.app.expire_reports().await.unwrap() {}
    assert_eq!(count(&server, reports).await, 2, "those of the last two days");
    let kept = sqlx::query("SELECT report FROM metrics_report").fetch_one(&mut server.sql().await).await.unwrap();
    assert_eq!(kept.get::<serde_json::Value, _>(0), report);
    assert_eq!(server.client.delete(table).await.status, 204);
    assert_eq!(count(&server, reports).await, 0);
}

#[tokio::test]
async fn a_signing_key_that_is_old_is_followed_by_a_new_one_made_once() {
    let clock = clock();
    let server = Server::start_with(clock.clone(), "signing_key_days = 30").await;
    let keys = "SELECT count(*) FROM signing_key";
    let month = TimeDelta::days(30);
    server.app.identity.rotate_old_signing_key(month).await.unwrap();
    assert_eq!(count(&server, keys).await, 1, "it is not old yet");
    clock.advance(month);
    for _ in 0..3 {
        server.app.identity.rotate_old_signing_key(month).await.unwrap();
    }
    assert_eq!(count(&server, keys).await, 2);
    assert_eq!(count(&server, "SELECT count(*) FROM signing_key WHERE retired_at IS NULL").await, 1);
    // Long after, the retired one is forgotten with the next that comes.
    clock.advance(month);
    server.app.identity.rotate_old_signing_key(month).await.unwrap();
    assert_eq!(count(&server, keys).await, 2);
}
