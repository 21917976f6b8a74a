//! Tables with metadata of 1 MB: one is made as a writer would make it, the others are copies of its row. No load reads a metadata file,
//! so the copies need none.

use anyhow::Context;
use nunatak::model::Clock;
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};
use uuid::Uuid;

use crate::commits::Floor;
use crate::database::Database;
use crate::generator::INTERRUPTED;
use crate::random::Random;
use crate::tables::{Table, columns};
use crate::target::Target;

const COLUMNS: usize = 250;
const SNAPSHOTS: usize = 1_150;
/// How many rows are inserted at a time.
const BATCH: usize = 50;
const TEMPLATE: &str = "template";

/// The table that the others are copies of.
pub struct Template {
    metadata: String,
    metadata_location: String,
    uuid: String,
    location: String,
}

impl Template {
    /// Creates a wide table with a long history.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn create(target: &Target) -> anyhow::Result<Self> {
        let mut random = Random::new(3);
        target.create_namespace()?;
        let definition = json!({
            "name": TEMPLATE,
            "schema": {"type": "struct", "fields": columns(&mut random, COLUMNS)},
            "properties": {"format-version": "2", "comment": random.sentence(80)},
        });
        let path = target.table_path(TEMPLATE);
        let tables = path.strip_suffix(&format!("/{TEMPLATE}")).context("a path of a table")?;
        let made = target.call("POST", tables, Some(&definition))?;
        let uuid = made["metadata"]["table-uuid"].as_str().context("no uuid")?.to_owned();
        let location = made["metadata"]["location"].as_str().context("no location")?.to_owned();
        let commit = json!({
            "requirements": [{"type": "assert-table-uuid", "uuid": uuid}],
            "updates": history(&mut random, &location),
        });
        target.call("POST", &path, Some(&commit))?;
        let loaded = target.call("GET", &path, None)?;
        let metadata = String::from_utf8(Floor::metadata(loaded.to_string().as_bytes())?)?;
        let metadata_location = loaded["metadata-location"].as_str().context("no metadata file")?.to_owned();
        Ok(Self { metadata, metadata_location, uuid, location })
    }

    /// The metadata's bytes.
    pub fn bytes(&self) -> usize {
        self.metadata.len()
    }

    /// Writes copies to the server's database, each with a uuid and a location of its own; them, and how many bytes their rows take.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn multiply(&self, database: &Database, count: usize) -> anyhow::Result<(Vec<Table>, u64)> {
        let mut connection = database.connect("nunatak")?;
        let mut made = Vec::with_capacity(count);
        let mut bytes = 0;
        database.run(async {
            // If the machine stops now, so does the measurement.
            connection.execute("SET synchronous_commit = off").await?;
            let statement = insert(&mut connection).await?;
            while made.len() < count {
                anyhow::ensure!(!INTERRUPTED.load(std::sync::atomic::Ordering::Relaxed), "interrupted");
                let range = made.len()..count.min(made.len() + BATCH);
                let copies: Vec<Duplicate> = range.map(|index| self.copy(index)).collect::<Result<_, _>>()?;
                bytes += copies.iter().map(|copy| copy.packed.len() as u64).sum::<u64>();
                add(&mut connection, &statement, &self.uuid, &copies).await?;
                made.extend(copies.into_iter().map(|copy| Table { name: copy.name, uuid: copy.uuid.to_string() }));
            }
            connection.execute("VACUUM ANALYZE tabular").await?;
            connection.close().await?;
            Ok(())
        })?;
        Ok((made, bytes))
    }

    fn copy(&self, index: usize) -> anyhow::Result<Duplicate> {
        let uuid = Uuid::new_v4();
        let location = format!("{}-{index:06}", self.location);
        let metadata = self.metadata.replace(&self.location, &location).replace(&self.uuid, &uuid.to_string());
        let metadata_location = self.metadata_location.replace(&self.location, &location);
        let packed = zstd::bulk::compress(metadata.as_bytes(), 1)?;
        Ok(Duplicate { name: format!("table_{index:06}"), uuid, location, metadata_location, packed })
    }
}

struct Duplicate {
    name: String,
    uuid: Uuid,
    location: String,
    metadata_location: String,
    packed: Vec<u8>,
}

/// Snapshots, the last of them current. Ids, paths and counts are as hard to compress as real ones.
fn history(random: &mut Random, location: &str) -> Vec<Value> {
    let now = Clock::System.now().timestamp_millis();
    let mut parent = None;
    let mut updates = Vec::with_capacity(SNAPSHOTS + 1);
    for sequence in 1..=SNAPSHOTS {
        let id = random.number() >> 1;
        let file = Uuid::from_u64_pair(random.number(), random.number());
        let mut count = |bound| random.below(bound).to_string();
        let mut snapshot = json!({
            "snapshot-id": id,
            "sequence-number": sequence,
            "timestamp-ms": now + sequence as i64,
            "manifest-list": format!("{location}/metadata/snap-{id}-1-{file}.avro"),
            "schema-id": 0,
            "summary": {
                "operation": "append", "spark.app.id": format!("local-{}", count(1_000_000_000)),
                "added-data-files": count(100), "added-records": count(10_000_000), "added-files-size": count(1_000_000_000),
                "changed-partition-count": count(50), "total-records": count(1_000_000_000),
                "total-files-size": count(1_000_000_000_000), "total-data-files": count(100_000), "total-delete-files": count(1_000),
                "total-position-deletes": count(1_000_000), "total-equality-deletes": "0", "engine-version": "4.1.0",
                "iceberg-version": "Apache Iceberg 1.11.0", "app-id": format!("local-{}", count(1_000_000_000)),
            },
        });
        if let Some(parent) = parent {
            snapshot["parent-snapshot-id"] = json!(parent);
        }
        parent = Some(id);
        updates.push(json!({"action": "add-snapshot", "snapshot": snapshot}));
    }
    updates.push(json!({"action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": parent}));
    updates
}

/// The statement that copies the template's row, whatever columns it has besides those that must differ.
async fn insert(connection: &mut PgConnection) -> anyhow::Result<String> {
    let columns = "SELECT attname::text FROM pg_attribute WHERE attrelid = 'tabular'::regclass AND attnum > 0 AND NOT attisdropped \
                   AND attgenerated = '' ORDER BY attnum";
    let mut names = Vec::new();
    for row in sqlx::query(columns).fetch_all(connection).await? {
        names.push(row.try_get::<String, _>(0)?);
    }
    let values: Vec<String> = names
        .iter()
        .map(|name| match name.as_str() {
            "id" => "gen_random_uuid()".to_owned(),
            "name" | "table_uuid" | "location" | "metadata_location" | "metadata" => format!("copy.{name}"),
            _ => format!("template.{name}"),
        })
        .collect();
    Ok(format!(
        "INSERT INTO tabular ({}) SELECT {} FROM tabular template, unnest($2::text[], $3::uuid[], $4::text[], $5::text[], $6::bytea[]) \
         AS copy (name, table_uuid, location, metadata_location, metadata) WHERE template.table_uuid = $1::uuid",
        names.join(", "),
        values.join(", ")
    ))
}

async fn add(connection: &mut PgConnection, statement: &str, template: &str, copies: &[Duplicate]) -> anyhow::Result<()> {
    let texts = |of: fn(&Duplicate) -> &String| copies.iter().map(|copy| of(copy).clone()).collect::<Vec<String>>();
    let done = sqlx::query(AssertSqlSafe(statement))
        .bind(template)
        .bind(texts(|copy| &copy.name))
        .bind(copies.iter().map(|copy| copy.uuid).collect::<Vec<Uuid>>())
        .bind(texts(|copy| &copy.location))
        .bind(texts(|copy| &copy.metadata_location))
        .bind(copies.iter().map(|copy| copy.packed.clone()).collect::<Vec<Vec<u8>>>())
        .execute(connection)
        .await?;
    anyhow::ensure!(done.rows_affected() == copies.len() as u64, "{} of {} copies", done.rows_affected(), copies.len());
    Ok(())
}
