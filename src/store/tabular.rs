//! Tables: names, and the pointer that a commit compares and swaps. Views are in the same rows, told apart by `kind`: what is one
//! statement for both is in `row`, what is a view's own in `view`.

pub(super) mod row;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

pub use self::row::{NewTable, TabularKind};
use self::row::{delete_row, insert_row, keep_location_of, rename_row};
use super::error::{OnConstraint, read_error, write_error};
use super::lookup::{Position, WarehouseStamp};
use super::warehouse::{Warehouse, WarehouseRef};
use super::{lock, lock_shared};
use crate::access::{CommitTable, CreateTable, DropTable, ListNamespace, Permit, PurgeTable, RenameTable};
use crate::model::name::LEVEL_SEPARATOR;
use crate::model::{Error, Kind, Location, NamespaceId, Object, PrincipalId, Result, TableId, TableIdent, WarehouseId};

/// Where a table stands: the pointer, and the metadata it points at.
#[derive(Clone, Debug)]
pub struct Pointer {
    /// The table.
    pub id: TableId,
    /// Its place in the order of commits.
    pub version: i64,
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
    let paths: Vec<String> = idents.iter().map(|ident| ident.namespace.joined()).collect();
    let names: Vec<String> = idents.iter().map(|ident| ident.name.clone()).collect();
    let rows = sqlx::query!(
        r#"SELECT w.id, w.name, w.root, w.storage, w.storage_secret, w.config, w.version, w.created_at, w.updated_at,
                  n.id AS "namespace_id?", t.id AS "table_id?", t.kind AS "kind?", t.version AS "table_version?",
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
        let pointer = match (row.table_id, row.table_version, row.metadata_location, row.metadata) {
            (Some(id), Some(version), Some(metadata_location), Some(metadata)) if !is_view => {
                Some(Pointer { id: TableId(id), version, metadata_location, metadata })
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

/// A table's metadata, by its id.
#[derive(Clone, Debug)]
pub struct Content {
    /// The metadata file.
    pub metadata_location: String,
    /// Its bytes, compressed with zstd.
    pub metadata: Vec<u8>,
}

/// The metadata of a table, if it is still there.
///
/// # Errors
/// [`crate::model::Kind::Unavailable`] when the database does not answer.
pub async fn content(connection: &mut PgConnection, id: TableId) -> Result<Option<Content>> {
    sqlx::query_as!(Content, "SELECT metadata_location, metadata FROM tabular WHERE id = $1", id.0)
        .fetch_optional(connection)
        .await
        .map_err(read_error)
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

/// The metadata files that tables and views point at now, by the ids asked for; what is gone is left out.
///
/// # Errors
/// [`crate::model::Kind::Unavailable`] when the database does not answer.
pub async fn metadata_locations(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<(Uuid, String)>> {
    let rows = sqlx::query!("SELECT id, metadata_location FROM tabular WHERE id = ANY($1)", ids)
        .fetch_all(connection)
        .await
        .map_err(read_error)?;
    Ok(rows.into_iter().map(|row| (row.id, row.metadata_location)).collect())
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
        "SELECT name FROM tabular WHERE namespace_id = $1 AND kind = $4 AND name > coalesce($2, '') ORDER BY name LIMIT $3",
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
    /// The namespace and the name by which the table was found; under another it is not the one that was asked for.
    pub name: (NamespaceId, &'a str),
    /// Where the table stood when the commit was made.
    pub expected: &'a Position,
    /// The new metadata file.
    pub metadata_location: &'a str,
    /// Its bytes, compressed.
    pub metadata: &'a [u8],
    /// The table's location after the commit.
    pub location: &'a str,
    /// Metadata files to delete, now that nothing names them.
    pub expired_files: &'a [String],
}

/// A table that a commit does not change but requires something of.
#[derive(Debug)]
pub struct Held<'a> {
    /// Leave to commit to the table.
    pub permit: &'a Permit<CommitTable>,
    /// The namespace and the name by which it was found.
    pub name: (NamespaceId, &'a str),
    /// Where it stands while what is required of it holds.
    pub expected: &'a Position,
}

/// What a decision to commit relied on beside the tables. Where it does not hold any more nothing is swapped.
#[derive(Clone, Copy, Debug)]
pub struct Relied {
    /// The principal, and the generation of its token.
    pub principal: (PrincipalId, i64),
    /// The warehouse, in this state.
    pub warehouse: (WarehouseId, WarehouseStamp),
}

/// What a swap holds against the rows, in the arrays that the statement takes. The version alone would not do: a database that was
/// restored counts the same ones again.
struct Guards<'a> {
    ids: Vec<Uuid>,
    namespaces: Vec<Uuid>,
    names: Vec<&'a str>,
    versions: Vec<i64>,
    files: Vec<&'a str>,
}

impl<'a> Guards<'a> {
    fn of(swaps: &[Swap<'a>], held: &[Held<'a>]) -> Self {
        let guards = swaps.iter().map(|swap| (swap.name, swap.expected));
        let guards: Vec<_> = guards.chain(held.iter().map(|held| (held.name, held.expected))).collect();
        Self {
            ids: guards.iter().map(|(_, expected)| expected.id.0).collect(),
            namespaces: guards.iter().map(|((namespace, _), _)| namespace.0).collect(),
            names: guards.iter().map(|((_, name), _)| *name).collect(),
            versions: guards.iter().map(|(_, expected)| expected.version).collect(),
            files: guards.iter().map(|(_, expected)| &*expected.metadata_location).collect(),
        }
    }
}

/// Compares and swaps the pointers of all tables, or of none, in one statement. It locks the rows in the order of their ids, so that two
/// commits never wait for each other in a circle; swaps if every one of them and of `held` still has the name and stands where it was
/// expected to, and all that was `relied` on holds; and queues the expired files. Whether it swapped.
///
/// # Errors
/// [`crate::model::Kind::Unknown`] when the connection breaks: the swap may have happened or still happen. All other errors say that it
/// did not.
pub async fn swap(
    connection: &mut PgConnection,
    swaps: &[Swap<'_>],
    held: &[Held<'_>],
    relied: &Relied,
    now: DateTime<Utc>,
    delete_at: DateTime<Utc>,
) -> Result<bool> {
    let ids: Vec<Uuid> = swaps.iter().map(|swap| swap.permit.resource().0).collect();
    let metadata_locations: Vec<String> = swaps.iter().map(|swap| swap.metadata_location.to_owned()).collect();
    let metadata: Vec<&[u8]> = swaps.iter().map(|swap| swap.metadata).collect();
    let locations: Vec<String> = swaps.iter().map(|swap| swap.location.to_owned()).collect();
    let expired = swaps.iter().flat_map(|swap| swap.expired_files.iter().map(|uri| (swap.permit.resource().0, uri.clone())));
    let (expired_ids, expired_uris): (Vec<Uuid>, Vec<String>) = expired.unzip();
    let guards = Guards::of(swaps, held);
    let done = sqlx::query!(
        r#"WITH wanted AS (
               SELECT * FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::text[]) AS w (id, metadata_location, metadata, location)
           ), held AS (
               SELECT t.id FROM tabular t
               JOIN unnest($9::uuid[], $10::uuid[], $11::text[], $12::bigint[], $13::text[])
                   AS guard (id, namespace_id, name, version, file)
                   ON guard.id = t.id AND guard.namespace_id = t.namespace_id AND guard.name = t.name
                   AND guard.version = t.version AND guard.file = t.metadata_location
               WHERE EXISTS (SELECT FROM principal WHERE id = $14 AND generation = $15 AND disabled_at IS NULL)
                   AND EXISTS (SELECT FROM warehouse WHERE id = $16 AND version = $17 AND updated_at = $18)
               ORDER BY t.id FOR UPDATE OF t
           ), swapped AS (
               UPDATE tabular t
               SET version = t.version + 1, metadata_location = w.metadata_location, metadata = w.metadata, location = w.location,
                   updated_at = $5
               FROM wanted w
               WHERE t.id = w.id AND (SELECT count(*) FROM held) = cardinality($9)
               RETURNING t.id, t.warehouse_id, t.table_uuid, t.location
           ), queued AS (
               INSERT INTO deletion (warehouse_id, kind, uri, table_uuid, location, queued_at, due_at)
               SELECT s.warehouse_id, 'metadata', e.uri, s.table_uuid, s.location, $5, $8
               FROM unnest($6::uuid[], $7::text[]) AS e (id, uri) JOIN swapped s ON s.id = e.id
           )
           SELECT (SELECT count(*) FROM swapped) AS "swapped!", (SELECT count(*) FROM held) AS "held!""#,
        &ids,
        &metadata_locations,
        &metadata as _,
        &locations,
        now,
        &expired_ids,
        &expired_uris,
        delete_at,
        &guards.ids,
        &guards.namespaces,
        &guards.names as _,
        &guards.versions,
        &guards.files as _,
        relied.principal.0.0,
        relied.principal.1,
        relied.warehouse.0.0,
        relied.warehouse.1.0,
        relied.warehouse.1.1
    )
    .fetch_one(connection)
    .await
    .on_constraint(&[("tabular_location_unique", &|| Error::invalid("Invalid location: another table or view has it"))])?;
    let is = |count: i64, expected: usize| usize::try_from(count).is_ok_and(|count| count == expected);
    match (is(done.held, guards.ids.len()), done.swapped) {
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
    let mut around = location.ancestors();
    around.push(text.to_owned());
    let taken = sqlx::query_scalar!(
        // Those around it, itself, those in it: each by an index, whatever the planner thinks of the tables' sizes.
        r#"SELECT EXISTS (
               SELECT FROM tabular WHERE warehouse_id = $1 AND location = ANY($2) AND id IS DISTINCT FROM $5
               UNION ALL
               SELECT FROM tabular WHERE warehouse_id = $1 AND location > $3 AND location < $4 AND id IS DISTINCT FROM $5
               UNION ALL
               SELECT FROM former_location WHERE warehouse_id = $1 AND location = ANY($2) AND tabular_id IS DISTINCT FROM $5
               UNION ALL
               SELECT FROM former_location WHERE warehouse_id = $1 AND location > $3 AND location < $4 AND tabular_id IS DISTINCT FROM $5
           ) AS "taken!""#,
        warehouse_id.0,
        &around,
        // '0' follows '/' in the order of bytes.
        format!("{text}/"),
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
