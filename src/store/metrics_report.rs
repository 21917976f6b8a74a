//! Scan and commit reports that engines send, kept for a while.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::postgres::PgConnection;

use super::error::{OnConstraint, write_error};
use crate::access::{Permit, ReportMetrics};
use crate::model::{Error, Object, Result};

/// Keeps a report.
///
/// # Errors
/// [`crate::model::Kind::NotFound`] when the table went meanwhile.
pub async fn insert(
    connection: &mut PgConnection,
    permit: &Permit<ReportMetrics>,
    report: &Value,
    now: DateTime<Utc>,
) -> Result<()> {
    let id = permit.resource();
    sqlx::query!(
        "INSERT INTO metrics_report (tabular_id, principal_id, report, received_at) VALUES ($1, $2, $3, $4)",
        id.0,
        permit.principal().0,
        report,
        now
    )
    .execute(connection)
    .await
    .on_constraint(&[("metrics_report_tabular_fk", &|| Error::not_found(Object::Table, id))])?;
    Ok(())
}

/// Removes at most `limit` reports that came before `before`; how many.
///
/// # Errors
/// [`crate::model::Kind::Unavailable`] when the database does not answer.
pub async fn delete_before(connection: &mut PgConnection, before: DateTime<Utc>, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM metrics_report WHERE id IN (SELECT id FROM metrics_report WHERE received_at < $1 ORDER BY received_at LIMIT $2
                                                FOR UPDATE SKIP LOCKED)",
        before,
        limit
    )
    .execute(connection)
    .await
    .map_err(write_error)?;
    Ok(done.rows_affected())
}
