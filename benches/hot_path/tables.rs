//! The tables that everything is measured on: twenty columns with documentation, partitioned, with the properties that real ones have.

use serde_json::{Value, json};

use crate::generator::{Load, Window, drive};
use crate::random::Random;
use crate::target::{Target, expect_success};
use crate::wire::{Answer, find};

const CREATE_CONNECTIONS: usize = 16;
const COLUMNS: usize = 20;
const COLUMN_TYPES: [&str; 6] = ["long", "string", "timestamptz", "decimal(18, 4)", "date", "boolean"];

/// A table as its server knows it.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    /// What tells its answers from those of all others.
    pub uuid: String,
}

/// Creates tables in a new namespace; them, and how long it took.
///
/// # Errors
/// When the server refuses one.
pub fn create(target: &Target, count: usize) -> anyhow::Result<(Vec<Table>, Window)> {
    struct Create<'a> {
        target: &'a Target,
        made: Vec<Table>,
        next: usize,
    }
    impl Load for Create<'_> {
        fn next(&mut self, request: &mut Vec<u8>) -> Option<usize> {
            let index = self.next;
            let table = self.made.get(index)?;
            request.extend_from_slice(&self.target.create_request(definition(index, &table.name).to_string().as_bytes()));
            self.next += 1;
            Some(index)
        }
        fn check(&mut self, index: usize, answer: &Answer<'_>) -> Result<(), String> {
            expect_success(answer)?;
            let body: Value = serde_json::from_slice(answer.body).map_err(|error| error.to_string())?;
            let uuid = body["metadata"]["table-uuid"].as_str().ok_or("a table without a uuid")?;
            uuid.clone_into(&mut self.made[index].uuid);
            Ok(())
        }
    }
    target.create_namespace()?;
    let made = (0..count).map(|index| Table { name: format!("table_{index:06}"), uuid: String::new() }).collect();
    let mut create = Create { target, made, next: 0 };
    let window = drive(target.address, CREATE_CONNECTIONS, None, &mut create)?.all_right()?;
    Ok((create.made, window))
}

/// Drops what [`create`] made, of a server that stays.
///
/// # Errors
/// When the server refuses.
pub fn drop_all(target: &Target, tables: &[Table]) -> anyhow::Result<()> {
    struct Removal<'a>(&'a Target, std::slice::Iter<'a, Table>);
    impl Load for Removal<'_> {
        fn next(&mut self, request: &mut Vec<u8>) -> Option<usize> {
            *request = self.0.drop_request(&self.1.next()?.name);
            Some(0)
        }
        fn check(&mut self, _: usize, answer: &Answer<'_>) -> Result<(), String> {
            expect_success(answer)
        }
    }
    drive(target.address, CREATE_CONNECTIONS, None, &mut Removal(target, tables.iter()))?.all_right()?;
    target.drop_namespace()
}

/// A `createTable` request. No two tables are alike.
fn definition(index: usize, name: &str) -> Value {
    let mut random = Random::new(index as u64);
    json!({
        "name": name,
        "schema": {"type": "struct", "fields": columns(&mut random, COLUMNS)},
        "partition-spec": {"spec-id": 0, "fields": [
            {"source-id": 3, "field-id": 1000, "name": "column_003_day", "transform": "day"},
            {"source-id": 1, "field-id": 1001, "name": "column_001_bucket", "transform": "bucket[16]"},
        ]},
        "properties": properties(&mut random),
    })
}

/// Columns with documentation.
pub fn columns(random: &mut Random, count: usize) -> Vec<Value> {
    let column = |id: usize| {
        let kind = COLUMN_TYPES[(id - 1) % COLUMN_TYPES.len()];
        let doc = random.sentence(16);
        json!({"id": id, "name": format!("column_{id:03}"), "required": id <= 3, "type": kind, "doc": doc})
    };
    (1..=count).map(column).collect()
}

fn properties(random: &mut Random) -> Value {
    let mut properties = json!({
        "owner": "finance-reporting",
        "comment": random.sentence(80),
        "format-version": "2",
        "write.format.default": "parquet",
        "write.parquet.compression-codec": "zstd",
        "write.target-file-size-bytes": "268435456",
        "write.delete.mode": "merge-on-read",
        "write.update.mode": "merge-on-read",
        "write.merge.mode": "merge-on-read",
        "write.distribution-mode": "hash",
        "commit.retry.num-retries": "10",
        "history.expire.max-snapshot-age-ms": "432000000",
        "hot-path.counter": "0000000000000000",
        // So that a table is as long after a thousand commits as after two.
        "write.metadata.previous-versions-max": "1",
    });
    for id in 1..=8 {
        properties[format!("write.metadata.metrics.column.column_{id:03}")] = json!("truncate(16)");
        properties[format!("write.parquet.bloom-filter-enabled.column.column_{id:03}")] = json!("true");
    }
    properties
}

/// Checks that an answer is about the table that was asked for. Where one table's uuid stands is where the next one's does, so that
/// looking there first is all that it mostly takes.
#[derive(Debug, Default)]
pub struct About(usize);

impl About {
    /// # Errors
    /// When the text names another table, or none.
    pub fn check(&mut self, table: &Table, text: &[u8]) -> Result<(), String> {
        let uuid = table.uuid.as_bytes();
        if text.get(self.0..).is_some_and(|rest| rest.starts_with(uuid)) {
            return Ok(());
        }
        self.0 = find(text, uuid).ok_or_else(|| format!("an answer that is not about {} ({})", table.name, table.uuid))?;
        Ok(())
    }
}
