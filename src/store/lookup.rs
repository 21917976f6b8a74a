//! What concurrent requests ask before anything else: may this principal still call, and where does this name lead? One statement
//! answers all that wait.
//!
//! A request queues its question; one task takes every question that waits and asks them in one statement, whose snapshot is taken after
//! each of them was queued. So an answer is never older than the request it is for, whichever server made the last change, and a
//! cached copy that it confirms may be sent. The more requests there are, the more of them share a round trip.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures::FutureExt;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use uuid::Uuid;

use super::error::read_error;
use super::warehouse::WarehouseRef;
use crate::model::name::{LEVEL_SEPARATOR, check_name};
use crate::model::{Error, NamespaceId, PrincipalId, Result, TableId, TableIdent, WarehouseId};

/// How many questions one statement takes at most.
const QUESTIONS_MAX: usize = 1_000;
/// How often those who are about to ask are let before. Nobody waits for time to pass: with nobody about it takes microseconds.
const YIELDS: usize = 3;
/// How long a connection may take to be made, and a statement to be answered.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// A principal, as far as a request that it makes needs it.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Its id.
    pub id: PrincipalId,
    /// Its name.
    pub name: Arc<str>,
    /// Whether it administers the server.
    pub administrator: bool,
    /// Tokens of another generation are refused.
    pub generation: i64,
}

/// Which state a warehouse is in: another one after every change.
pub type WarehouseStamp = (i64, DateTime<Utc>);

/// Where a table's name leads, in a warehouse that exists.
#[derive(Clone, Debug)]
pub struct Place {
    /// The warehouse.
    pub warehouse_id: WarehouseId,
    /// Its state.
    pub warehouse_stamp: WarehouseStamp,
    /// The namespace, if it exists.
    pub namespace_id: Option<NamespaceId>,
    /// The table, if it exists.
    pub table: Option<Position>,
}

/// Where a table stands: its pointer.
#[derive(Clone, Debug)]
pub struct Position {
    /// The table.
    pub id: TableId,
    /// Its place in the order of commits.
    pub version: i64,
    /// The metadata file. No two states of a table have the same.
    pub metadata_location: Arc<str>,
}

/// What the database says to one question.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The principal, if it exists and may call.
    pub principal: Option<Arc<Standing>>,
    /// Where the name leads that was asked for; `None` where there is no such warehouse, or no name was asked for.
    pub place: Option<Arc<Place>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name {
    warehouse: WarehouseRef,
    /// The namespace's levels, joined.
    path: String,
    table: String,
}

struct Question {
    principal: PrincipalId,
    name: Option<Name>,
    reply: oneshot::Sender<Result<Seen>>,
}

/// The queue of questions.
#[derive(Clone, Debug)]
pub struct Lookups {
    questions: mpsc::UnboundedSender<Question>,
}

impl Lookups {
    /// Starts the task that asks, on a connection of its own, so that it never waits for one; it ends with the last copy of this.
    pub(super) fn start(options: PgConnectOptions) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(Asker { options, connection: None }.run(receiver));
        Self { questions: sender }
    }

    /// How a principal stands.
    ///
    /// # Errors
    /// [`crate::model::Kind::Unavailable`] when the database does not answer.
    pub async fn principal(&self, principal: PrincipalId) -> Result<Option<Arc<Standing>>> {
        Ok(self.ask(principal, None).await?.principal)
    }

    /// How a principal stands, and where a table's name leads.
    ///
    /// # Errors
    /// [`crate::model::Kind::Unavailable`] when the database does not answer.
    pub async fn table(&self, principal: PrincipalId, warehouse: &WarehouseRef, ident: &TableIdent) -> Result<Seen> {
        // What no warehouse can be called is not asked for: a text that PostgreSQL refuses would fail everybody's statement.
        let possible = warehouse.name().is_none_or(|name| check_name("warehouse", name).is_ok());
        let name =
            possible.then(|| Name { warehouse: warehouse.clone(), path: ident.namespace.joined(), table: ident.name.clone() });
        self.ask(principal, name).await
    }

    async fn ask(&self, principal: PrincipalId, name: Option<Name>) -> Result<Seen> {
        let (reply, answer) = oneshot::channel();
        let ended = |cause: &str| Error::unavailable("The server is stopping", cause.to_owned());
        self.questions.send(Question { principal, name, reply }).map_err(|_| ended("nobody asks"))?;
        answer.await.map_err(|_| ended("nobody answers"))?
    }
}

/// The task that asks.
struct Asker {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
}

impl Asker {
    async fn run(mut self, mut receiver: mpsc::UnboundedReceiver<Question>) {
        let mut waiting: Vec<Question> = Vec::new();
        while receiver.recv_many(&mut waiting, QUESTIONS_MAX).await > 0 {
            // Whoever is ready to ask may, before the statement begins: the more share it, the fewer there are.
            for _ in 0..YIELDS {
                tokio::task::yield_now().await;
            }
            while waiting.len() < QUESTIONS_MAX
                && let Ok(question) = receiver.try_recv()
            {
                waiting.push(question);
            }
            // Whoever went away needs no answer.
            waiting.retain(|question| !question.reply.is_closed());
            if waiting.is_empty() {
                continue;
            }
            let batch = Batch::of(&waiting);
            let answers = AssertUnwindSafe(self.answer(&batch)).catch_unwind().await;
            let answers = answers.unwrap_or_else(|_| Err(Error::internal("a lookup panicked")));
            match answers {
                Ok(answers) => {
                    for (question, seen) in waiting.drain(..).zip(answers) {
                        let _ = question.reply.send(Ok(seen));
                    }
                }
                Err(error) => {
                    for question in waiting.drain(..) {
                        let _ = question.reply.send(Err(error.clone()));
                    }
                }
            }
        }
    }

    /// The answers, in the order of the questions. Asks once more on a new connection where the one at hand has gone; not where it is
    /// only slow.
    async fn answer(&mut self, batch: &Batch<'_>) -> Result<Vec<Seen>> {
        let (at_hand, started) = (self.connection.is_some(), Instant::now());
        match self.try_answer(batch).await {
            Err(_) if at_hand && started.elapsed() < ANSWER_TIME_MAX => self.try_answer(batch).await,
            answered => answered,
        }
    }

    async fn try_answer(&mut self, batch: &Batch<'_>) -> Result<Vec<Seen>> {
        let silent = |elapsed| Error::unavailable("The database does not answer", elapsed);
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => timeout(CONNECT_TIME_MAX, super::connect(&self.options)).await.map_err(silent)?.map_err(read_error)?,
        };
        // After an error it is not used again: it may be in the middle of a statement.
        let seen = timeout(ANSWER_TIME_MAX, batch.ask(&mut connection)).await.map_err(silent)??;
        self.connection = Some(connection);
        Ok(seen)
    }
}

/// The questions without their repetitions, in the arrays that the statement takes.
#[derive(Default)]
struct Batch<'a> {
    principals: Vec<Uuid>,
    /// Namespaces: the warehouse's id or its name, and the path.
    warehouse_ids: Vec<Option<Uuid>>,
    warehouse_names: Vec<Option<&'a str>>,
    paths: Vec<&'a str>,
    /// Tables: the place of their namespace above, counted from 1, and their name.
    namespaces: Vec<i64>,
    names: Vec<&'a str>,
    /// For each question, where its principal and its table are above.
    slots: Vec<(usize, Option<usize>)>,
}

impl<'a> Batch<'a> {
    fn of(questions: &'a [Question]) -> Self {
        let mut batch = Self::default();
        let mut principals: HashMap<PrincipalId, usize> = HashMap::new();
        let mut namespaces: HashMap<(&WarehouseRef, &str), i64> = HashMap::new();
        let mut tables: HashMap<&Name, usize> = HashMap::with_capacity(questions.len());
        for question in questions {
            let principal = *principals.entry(question.principal).or_insert_with(|| {
                batch.principals.push(question.principal.0);
                batch.principals.len() - 1
            });
            let table = question.name.as_ref().map(|name| {
                *tables.entry(name).or_insert_with(|| {
                    let namespace = *namespaces.entry((&name.warehouse, &name.path)).or_insert_with(|| {
                        batch.warehouse_ids.push(name.warehouse.id());
                        batch.warehouse_names.push(name.warehouse.name());
                        batch.paths.push(&name.path);
                        i64::try_from(batch.paths.len()).unwrap_or(i64::MAX)
                    });
                    batch.namespaces.push(namespace);
                    batch.names.push(&name.table);
                    batch.names.len() - 1
                })
            });
            batch.slots.push((principal, table));
        }
        batch
    }

    /// The statement. Every lookup in it is one by a unique index, whatever the planner thinks of the arrays' lengths (hence LATERAL and
    /// LIMIT, and no sequential scans in the session).
    async fn ask(&self, connection: &mut PgConnection) -> Result<Vec<Seen>> {
        let rows = sqlx::query!(
            r#"WITH place AS MATERIALIZED (
                   SELECT asked.ordinal, w.id AS warehouse_id, w.version, w.updated_at, n.id AS namespace_id
                   FROM unnest($2::uuid[], $3::text[], $4::text[]) WITH ORDINALITY AS asked (id, name, path, ordinal)
                   CROSS JOIN LATERAL (
                       SELECT id, version, updated_at FROM warehouse WHERE id = asked.id OR name = asked.name LIMIT 1
                   ) AS w
                   LEFT JOIN LATERAL (
                       SELECT id FROM namespace WHERE warehouse_id = w.id AND path = string_to_array(asked.path, $7) LIMIT 1
                   ) AS n ON true
               )
               SELECT 0 AS "part!", asked.ordinal AS "ordinal!", p.id AS "id!", NULL::uuid AS "inner_id?", p.generation AS "number!",
                      p.name AS "text?", p.administrator AS "flag?", NULL::timestamptz AS "moment?"
               FROM unnest($1::uuid[]) WITH ORDINALITY AS asked (id, ordinal)
               CROSS JOIN LATERAL (SELECT * FROM principal WHERE id = asked.id AND disabled_at IS NULL LIMIT 1) AS p
               UNION ALL
               SELECT 1, ordinal, warehouse_id, namespace_id, version, NULL, NULL, updated_at FROM place
               UNION ALL
               SELECT 2, asked.ordinal, t.id, NULL, t.version, t.metadata_location, NULL, NULL
               FROM unnest($5::bigint[], $6::text[]) WITH ORDINALITY AS asked (place, name, ordinal)
               JOIN place ON place.ordinal = asked.place
               CROSS JOIN LATERAL (
                   SELECT id, version, metadata_location FROM tabular
                   WHERE namespace_id = place.namespace_id AND name = asked.name AND kind = 'table' LIMIT 1
               ) AS t"#,
            &self.principals,
            &self.warehouse_ids as _,
            &self.warehouse_names as _,
            &self.paths as _,
            &self.namespaces,
            &self.names as _,
            LEVEL_SEPARATOR.to_string()
        )
        .fetch_all(connection)
        .await
        .map_err(read_error)?;
        let mut found = Found {
            principals: vec![None; self.principals.len()],
            places: vec![None; self.paths.len()],
            tables: vec![None; self.names.len()],
        };
        for row in rows {
            let index = usize::try_from(row.ordinal - 1).unwrap_or(usize::MAX);
            match row.part {
                0 => found.principal(
                    index,
                    Standing {
                        id: PrincipalId(row.id),
                        name: row.text.unwrap_or_default().into(),
                        administrator: row.flag.unwrap_or_default(),
                        generation: row.number,
                    },
                ),
                1 => found.place(
                    index,
                    Place {
                        warehouse_id: WarehouseId(row.id),
                        warehouse_stamp: (row.number, row.moment.unwrap_or_default()),
                        namespace_id: row.inner_id.map(NamespaceId),
                        table: None,
                    },
                ),
                _ => {
                    let metadata_location = row.text.unwrap_or_default().into();
                    found.table(index, Position { id: TableId(row.id), version: row.number, metadata_location });
                }
            }
        }
        Ok(found.answers(self))
    }
}

/// What the statement gave, in the order of the batch's arrays.
struct Found {
    principals: Vec<Option<Arc<Standing>>>,
    places: Vec<Option<Place>>,
    tables: Vec<Option<Position>>,
}

impl Found {
    fn principal(&mut self, index: usize, standing: Standing) {
        if let Some(slot) = self.principals.get_mut(index) {
            *slot = Some(Arc::new(standing));
        }
    }

    fn place(&mut self, index: usize, place: Place) {
        if let Some(slot) = self.places.get_mut(index) {
            *slot = Some(place);
        }
    }

    fn table(&mut self, index: usize, position: Position) {
        if let Some(slot) = self.tables.get_mut(index) {
            *slot = Some(position);
        }
    }

    fn answers(self, batch: &Batch<'_>) -> Vec<Seen> {
        let with_table = |(namespace, table): (&i64, Option<Position>)| {
            let place = usize::try_from(*namespace - 1).ok().and_then(|index| self.places.get(index))?.clone()?;
            Some(Arc::new(Place { table, ..place }))
        };
        let places: Vec<Option<Arc<Place>>> = batch.namespaces.iter().zip(self.tables).map(with_table).collect();
        let seen = |(principal, table): &(usize, Option<usize>)| Seen {
            principal: self.principals.get(*principal).cloned().flatten(),
            place: table.and_then(|table| places.get(table)).cloned().flatten(),
        };
        batch.slots.iter().map(seen).collect()
    }
}
