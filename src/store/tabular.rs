//! Tables: names, and the pointer that a commit compares and swaps. Views are in the same rows, told apart by `kind`: what is one
//! statement for both is in `row`, what is a view's own in `view`.

pub(super) mod row;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

pub use self::row::{NewTable, TabularKind};
use self::row::{delete_row, insert_row, keep_location_of, rename_row};
use super::error::{OnConstraint, read_error, write_error};
use super::warehouse::{Warehouse, WarehouseRef};
use super::{lock, lock_shared};
use crate::access::{CommitTable, CreateTable, DropTable, ListNamespace, Permit, PurgeTable, RenameTable};
use crate::model::name::LEVEL_SEPARATOR;
use crate::model::{Error, Kind, Location, NamespaceId, Object, Result, TableId, TableIdent, WarehouseId};

/// Where a table stands: the pointer, and the metadata it points at.
#[derive(Clone, Debug)]
pub struct Pointer {
    /// The table.
    pub id: TableId,
    /// Its place in the order of commits.
    pub version: i64,
    /// The table's location.
    pub location: String,
    /// The metadata file.
    pub metadata_location: String,
    /// Its bytes, compressed with zstd.
    pub metadata: Vec<u8>,
}

/// What a table's name leads to.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The namespace, if it exists.
    pub namespace_id: Option<NamespaceId>,
    /// The table, if it exists.
    pub pointer: Option<Pointer>,
    /// Whether the name is a view's.
    pub is_view: bool,
}

impl Resolved {
    /// The table.
    ///
    /// # Errors
    /// [`crate::model::Kind::NotFound`] when there is none.
    pub fn found(self, ident: &TableIdent) -> Result<Pointer> {
        self.pointer.ok_or_else(|| Error::not_found(Object::Table, ident))
    }
}

/// Looks up tables by name, one or many, with their pointers and metadata, in one statement. The answer has their order.
///
/// # Errors
/// [`crate::model::Kind::NotFound`] when there is no such warehouse.
pub async fn resolve(
    connection: &mut PgConnection,
    warehouse: &WarehouseRef,
    idents: &[&TableIdent],
) -> Result<(Warehouse, Vec<Resolved>)> {
    let paths: Vec<String> = idents.iter().map(|ident| ident.namespace.levels().join(&LEVEL_SEPARATOR.to_string())).collect();
    let names: Vec<String> = idents.iter().map(|ident| ident.name.clone()).collect();
    let rows = sqlx::query!(
        r#"SELECT w.id, w.name, w.root, w.storage, w.storage_secret, w.config, w.version, w.created_at, w.updated_at,
                  n.id AS "namespace_id?", t.id AS "table_id?", t.kind AS "kind?", t.version AS "table_version?",
                  t.location AS "location?",
                  t.metadata_location AS "metadata_location?", t.metadata AS "metadata?"
           FROM warehouse w
           CROSS JOIN unnest($3::text[], $4::text[]) WITH ORDINALITY AS asked (path, name, ordinal)
           LEFT JOIN namespace n ON n.warehouse_id = w.id AND n.path = string_to_array(asked.path, $5)
           LEFT JOIN tabular t ON t.namespace_id = n.id AND t.name = asked.name
           WHERE w.id = $1 OR w.name = $2
           ORDER BY asked.ordinal"#,
        warehouse.id(),
        warehouse.name(),
        &paths,
        &names,
        LEVEL_SEPARATOR.to_string()
    )
    .fetch_all(connection)
    .await
    .map_err(read_error)?;
    let mut found = None;
    let mut resolved = Vec::with_capacity(rows.len());
    for row in rows {
        let is_view = row.kind.as_deref() == Some(TabularKind::View.text());
        let pointer = match (row.table_id, row.table_version, row.location, row.metadata_location, row.metadata) {
            (Some(id), Some(version), Some(location), Some(metadata_location), Some(metadata)) if !is_view => {
                Some(Pointer { id: TableId(id), version, location, metadata_location, metadata })
            }
            _ => None,
        };
        resolved.push(Resolved { namespace_id: row.namespace_id.map(NamespaceId), pointer, is_view });
        found = Some(Warehouse {
            id: WarehouseId(row.id),
            name: row.name,
            root: row.root,
            storage: row.storage,
            storage_secret: row.storage_secret,
            config: row.config,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        });
    }
    Ok((found.ok_or_else(|| warehouse.missing())?, resolved))
}

/// What a table's name leads to, without its metadata.
#[derive(Clone, Copy, Debug)]
pub struct Located {
    /// The warehouse.
    pub warehouse_id: WarehouseId,
    /// The namespace, if it exists.
    pub namespace_id: Option<NamespaceId>,
    /// The table, if it exists.
    pub table_id: Option<TableId>,
}

/// Looks a table up by name, for what needs no metadata.
///
/// # Errors
/// [`crate::model::Kind::NotFound`] when there is no such warehouse.
pub async fn locate(connection: &mut PgConnection, warehouse: &WarehouseRef, ident: &TableIdent) -> Result<Located> {
    let row = sqlx::query!(
        r#"SELECT w.id, n.id AS "namespace_id?", t.id AS "table_id?"
           FROM warehouse w
           LEFT JOIN namespace n ON n.warehouse_id = w.id AND n.path = $3
           LEFT JOIN tabular t ON t.namespace_id = n.id AND t.name = $4 AND t.kind = 'table'
           WHERE w.id = $1 OR w.name = $2"#,
        warehouse.id(),
        warehouse.name(),
        ident.namespace.levels(),
        ident.name
    )
    .fetch_optional(connection)
    .await
    .map_err(read_error)?
    .ok_or_else(|| warehouse.missing())?;
    Ok(Located {
        warehouse_id: WarehouseId(row.id),
        namespace_id: row.namespace_id.map(NamespaceId),
        table_id: row.table_id.map(TableId),
    })
}

/// The metadata files that the tables point at now, by the ids asked for; tables that are gone are left out.
///
/// # Errors
/// [`crate::model::Kind::Unavailable`] when the database does not answer.
pub async fn metadata_locations(connection: &mut PgConnection, ids: &[TableId]) -> Result<Vec<(TableId, String)>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query!("SELECT id, metadata_location FROM tabular WHERE id = ANY($1) AND kind = 'table'", &ids)
        .fetch_all(connection)
        .await
        .map_err(read_error)?;
    Ok(rows.into_iter().map(|row| (TableId(row.id), row.metadata_location)).collect())
}

/// The names of a namespace's tables, or of its views, that follow `after`, at most `limit`.
///
/// # Errors
/// [`crate::model::Kind::Unavailable`] when the database does not answer.
pub async fn list(
    connection: &mut PgConnection,
    permit: &Permit<ListNamespace>,
    kind: TabularKind,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT name FROM tabular
         WHERE namespace_id = $1 AND kind = $4 AND ($2::text IS NULL OR name > $2) ORDER BY name LIMIT $3",
        permit.resource().0,
        after,
        limit,
        kind.text()
    )
    .fetch_all(connection)
    .await
    .map_err(read_error)
}

/// One table's part of a commit.
#[derive(Debug)]
pub struct Swap<'a> {
    /// Leave to commit to the table.
    pub permit: &'a Permit<CommitTable>,
    /// The version that the commit was made on.
    pub expected: i64,
    /// The new metadata file.
    pub metadata_location: &'a str,
    /// Its bytes, compressed.
    pub metadata: &'a [u8],
    /// The table's location after the commit.
    pub location: &'a str,
    /// Metadata files to delete, now that nothing names them.
    pub expired_files: &'a [String],
}

/// A table that a commit does not change but requires something of, and the version at which that holds.
pub type Held<'a> = (&'a Permit<CommitTable>, i64);

/// Compares and swaps the pointers of all tables, or of none, in one statement: it locks the rows in the order of their ids (so that two
/// commits never wait for each other in a circle), swaps if every one of them and of `held` still has the version expected, and queues
/// the expired files. Whether it swapped.
///
/// # Errors
/// [`crate::model::Kind::Unknown`] when the connection breaks: the swap may have happened or still happen. All other errors say that it
/// did not.
pub async fn swap(
    connection: &mut PgConnection,
    swaps: &[Swap<'_>],
    held: &[Held<'_>],
    now: DateTime<Utc>,
    delete_at: DateTime<Utc>,
) -> Result<bool> {
    let ids: Vec<Uuid> = swaps.iter().map(|swap| swap.permit.resource().0).collect();
    let expected: Vec<i64> = swaps.iter().map(|swap| swap.expected).collect();
    let metadata_locations: Vec<String> = swaps.iter().map(|swap| swap.metadata_location.to_owned()).collect();
    let metadata: Vec<&[u8]> = swaps.iter().map(|swap| swap.metadata).collect();
    let locations: Vec<String> = swaps.iter().map(|swap| swap.location.to_owned()).collect();
    let expired = swaps.iter().flat_map(|swap| swap.expired_files.iter().map(|uri| (swap.permit.resource().0, uri.clone())));
    let (expired_ids, expired_uris): (Vec<Uuid>, Vec<String>) = expired.unzip();
    let (held_ids, held_versions): (Vec<Uuid>, Vec<i64>) =
        held.iter().map(|(permit, version)| (permit.resource().0, *version)).unzip();
    let done = sqlx::query!(
        r#"WITH wanted AS (
               SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::bytea[], $5::text[])
                   AS w (id, expected, metadata_location, metadata, location)
           ), held AS (
               SELECT t.id FROM tabular t
               JOIN (SELECT id, expected FROM wanted UNION ALL SELECT * FROM unnest($10::uuid[], $11::bigint[])) AS w (id, expected)
                   ON w.id = t.id AND w.expected = t.version
               ORDER BY t.id FOR UPDATE OF t
           ), swapped AS (
               UPDATE tabular t
               SET version = t.version + 1, metadata_location = w.metadata_location, metadata = w.metadata, location = w.location,
                   updated_at = $6
               FROM wanted w
               WHERE t.id = w.id AND t.version = w.expected AND (SELECT count(*) FROM held) = cardinality($1) + cardinality($10)
               RETURNING t.id, t.warehouse_id, t.table_uuid, t.location
           ), queued AS (
               INSERT INTO deletion (warehouse_id, kind, uri, table_uuid, location, queued_at, due_at)
               SELECT s.warehouse_id, 'metadata', e.uri, s.table_uuid, s.location, $6, $9
               FROM unnest($7::uuid[], $8::text[]) AS e (id, uri) JOIN swapped s ON s.id = e.id
           )
           SELECT (SELECT count(*) FROM swapped) AS "swapped!", (SELECT count(*) FROM held) AS "held!""#,
        &ids,
        &expected,
        &metadata_locations,
        &metadata as _,
        &locations,
        now,
        &expired_ids,
        &expired_uris,
        delete_at,
        &held_ids,
        &held_versions
    )
    .fetch_one(connection)
    .await
    .on_constraint(&[("tabular_location_unique", &|| Error::invalid("Invalid location: another table has it"))])?;
    let is = |count: i64, expected: usize| usize::try_from(count).is_ok_and(|count| count == expected);
    match (is(done.held, ids.len() + held.len()), done.swapped) {
        (true, swapped) if is(swapped, ids.len()) => Ok(true),
        (false, 0) => Ok(false),
        (_, swapped) => Err(Error::new(Kind::Unknown, format!("{swapped} of {} pointers were swapped", ids.len()))),
    }
}

/// Adds a table. Its location must have been claimed in the same transaction.
///
/// # Errors
/// [`crate::model::Kind::AlreadyExists`] when its name is taken; [`crate::model::Kind::NotFound`] when its namespace went meanwhile.
pub async fn insert(
    connection: &mut PgConnection,
    permit: &Permit<CreateTable>,
    table: &NewTable<'_>,
    now: DateTime<Utc>,
) -> Result<()> {
    insert_row(connection, TabularKind::Table, permit.resource(), table.id.0, table, now).await
}

/// Who chose a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The catalog, with an id that no other has: only a location around it can overlap.
    Catalog,
    /// A client: it may overlap with any.
    Client,
}

/// Makes sure that no table or view but `except` has a location that overlaps this one, until the transaction ends. Claims of clients in
/// one warehouse take turns.
///
/// # Errors
/// [`crate::model::Kind::Invalid`] when one has.
pub async fn claim_location(
    connection: &mut PgConnection,
    warehouse_id: WarehouseId,
    location: &Location,
    choice: Choice,
    except: Option<Uuid>,
) -> Result<()> {
    let name = format!("nunatak locations {warehouse_id}");
    match choice {
        Choice::Catalog => lock_shared(connection, &name).await?,
        Choice::Client => lock(connection, &name).await?,
    }
    let text = location.as_str();
    let taken = sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM (
                   SELECT id, location FROM tabular WHERE warehouse_id = $1
                   UNION ALL
                   SELECT tabular_id, location FROM former_location WHERE warehouse_id = $1
               ) AS claimed
               WHERE id IS DISTINCT FROM $5
                   AND (location = ANY($2) OR location = $3 OR (location > $3 || '/' AND location < $4))
           ) AS "taken!""#,
        warehouse_id.0,
        &location.ancestors(),
        text,
        // '0' follows '/' in the order of bytes.
        format!("{text}0"),
        except
    )
    .fetch_one(connection)
    .await
    .map_err(read_error)?;
    if taken { Err(location_taken(location)) } else { Ok(()) }
}

/// Keeps the location that a table moves away from: files that it still reaches are there, for as long as it lives.
///
/// # Errors
/// [`crate::model::Kind::Unknown`] when the connection breaks.
pub async fn keep_location(
    connection: &mut PgConnection,
    permit: &Permit<CommitTable>,
    warehouse_id: WarehouseId,
    location: &str,
) -> Result<()> {
    keep_location_of(connection, permit.resource().0, warehouse_id, location).await
}

fn location_taken(location: &Location) -> Error {
    Error::invalid(format!("Invalid location: it overlaps with another table's or view's: {location}"))
}

/// Gives a table another name, perhaps in another namespace of its warehouse.
///
/// # Errors
/// [`crate::model::Kind::AlreadyExists`] when the name is taken; [`crate::model::Kind::NotFound`] when the table or the namespace went meanwhile.
pub async fn rename(
    connection: &mut PgConnection,
    permit: &Permit<RenameTable>,
    target: &Permit<CreateTable>,
    from: (NamespaceId, &TableIdent),
    to: &TableIdent,
    now: DateTime<Utc>,
) -> Result<()> {
    rename_row(connection, TabularKind::Table, permit.resource().0, from, (target.resource(), to), now).await
}

/// Drops a table; its files stay. Whether it was still there, under this name.
///
/// # Errors
/// [`crate::model::Kind::Unknown`] when the connection breaks.
pub async fn delete(connection: &mut PgConnection, permit: &Permit<DropTable>, name: (NamespaceId, &str)) -> Result<bool> {
    delete_row(connection, TabularKind::Table, permit.resource().0, name).await
}

/// Drops a table and queues its files for deletion. Whether it was still there, under this name.
///
/// # Errors
/// [`crate::model::Kind::Unknown`] when the connection breaks.
pub async fn purge(
    connection: &mut PgConnection,
    permit: &Permit<PurgeTable>,
    (namespace_id, name): (NamespaceId, &str),
    now: DateTime<Utc>,
    delete_at: DateTime<Utc>,
) -> Result<bool> {
    let done = sqlx::query!(
        "WITH gone AS (DELETE FROM tabular WHERE id = $1 AND kind = 'table' AND namespace_id = $4 AND name = $5
                       RETURNING warehouse_id, table_uuid, location, metadata_location)
         INSERT INTO deletion (warehouse_id, kind, uri, table_uuid, location, queued_at, due_at)
         SELECT warehouse_id, 'purge', metadata_location, table_uuid, location, $2, $3 FROM gone",
        permit.resource().0,
        now,
        delete_at,
        namespace_id.0,
        name
    )
    .execute(connection)
    .await
    .map_err(write_error)?;
    Ok(done.rows_affected() > 0)
}
