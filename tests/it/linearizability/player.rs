//! A client that does random things to a few tables and writes down what it was told, and when.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, header};
use serde_json::{Map, Value, json};

use super::checker::Event;
use super::model::{Action, Change, Creation, NAMES, Number, Op, Outcome, Seen};
use super::random::Random;
use crate::support::{Client, table_request};

const ANSWER_TIME_MAX: Duration = Duration::from_secs(90);
/// How long a client waits when the server says that it cannot now.
const PAUSE: Duration = Duration::from_millis(20);
/// So that answers are long enough for the server to compress them.
const FILLER_BYTES: usize = 5_000;
/// The time of the first snapshot: each has one of its own, in the order of the operations' numbers.
const FIRST_SNAPSHOT_MS: i64 = 1_700_000_000_000;

/// What the clients of a round share.
#[derive(Clone)]
pub struct Round {
    /// What the round's namespaces are called, but for their number.
    pub namespaces: String,
    /// Whether everybody wants the same table, to look at it more than anything else.
    pub hot: bool,
    pub numbers: Arc<AtomicU32>,
    pub began: Instant,
}

impl Round {
    pub fn new(namespaces: String, hot: bool) -> Self {
        Self { namespaces, hot, numbers: Arc::new(AtomicU32::new(1)), began: Instant::now() }
    }

    pub fn namespace(&self, index: usize) -> String {
        format!("{}{index}", self.namespaces)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap()
    }

    fn tables(&self, namespace: usize) -> String {
        format!("/catalog/v1/default/namespaces/{}/tables", self.namespace(namespace))
    }

    fn table(&self, name: usize) -> String {
        format!("{}/{}", self.tables(NAMES[name].0), NAMES[name].1)
    }

    fn ident(&self, name: usize) -> Value {
        json!({"namespace": [self.namespace(NAMES[name].0)], "name": NAMES[name].1})
    }
}

/// What came of a request.
enum Reply {
    Outcome(Outcome),
    /// It surely did not happen, and the server says why.
    NotNow(&'static str),
}

pub struct Player {
    pub round: Round,
    pub client: Client,
    pub id: usize,
    pub random: Random,
    /// The tables as this client saw them last, under the names that it saw them under. It does not forget them when they go.
    pub known: [Option<Seen>; NAMES.len()],
    pub events: Vec<Event<Op>>,
    /// What did not happen, by the reason.
    pub not_now: BTreeMap<&'static str, usize>,
}

impl Player {
    pub fn new(round: &Round, client: &Client, id: usize, seed: u64) -> Self {
        Self {
            round: round.clone(),
            client: client.clone(),
            id,
            random: Random::new(seed),
            known: Default::default(),
            events: Vec::new(),
            not_now: BTreeMap::new(),
        }
    }

    /// Does so many things, one after the other. What surely did not happen does not count.
    pub async fn play(mut self, operations: usize) -> Self {
        while self.events.len() < operations {
            let action = self.choose();
            self.perform(action).await;
        }
        self
    }

    /// Looks at everything, and looks again until it is told.
    pub async fn look_at_all(mut self) -> Self {
        for action in (0..2).map(Action::List).chain((0..NAMES.len()).map(|name| Action::Load { name, refs: false })) {
            let before = self.events.len();
            while self.events.len() == before {
                self.perform(action.clone()).await;
            }
        }
        self
    }

    fn choose(&mut self) -> Action {
        let hot = self.round.hot;
        let name = if hot && self.random.below(4) > 0 { 0 } else { self.random.pick(&[0, 1, 2]) };
        if hot && self.random.below(2) == 0 {
            return Action::Load { name, refs: self.random.below(2) == 0 };
        }
        let other = (name + self.random.pick(&[1, 2])) % NAMES.len();
        match self.random.below(100) {
            0..8 => Action::Create { name, how: Creation::AtOnce },
            8..14 => Action::Create { name, how: Creation::Staged },
            14..42 => Action::Load { name, refs: self.random.below(2) == 0 },
            42..45 => Action::Exists(name),
            45..51 => Action::List(NAMES[name].0),
            51..80 => Action::Commit(vec![self.change(name)]),
            80..89 => Action::Commit(vec![self.change(name), self.change(other)]),
            89..98 => Action::Rename(name, other),
            _ => Action::Drop(name),
        }
    }

    fn change(&mut self, name: usize) -> Change {
        let requires = self.random.below(4);
        let Some(known) = &self.known[name] else { return Change { name, ..Change::default() } };
        Change {
            name,
            table: (requires & 1 == 1).then_some((known.created, known.uuid)),
            main: (requires & 2 == 2).then_some((known.main, known.sequence + 1)),
        }
    }

    async fn perform(&mut self, action: Action) {
        let number = self.round.numbers.fetch_add(1, Ordering::SeqCst);
        let mut invoked = self.round.now();
        let reply = match &action {
            Action::Create { name, how: Creation::Staged } => match self.stage(number, *name).await {
                Ok(commit) => {
                    invoked = self.round.now();
                    self.ask(&action, commit).await
                }
                Err(reply) => reply,
            },
            _ => {
                let request = self.request(number, &action);
                self.ask(&action, request).await
            }
        };
        let answered = self.round.now();
        match reply {
            Reply::NotNow(why) => {
                *self.not_now.entry(why).or_default() += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Reply::Outcome(outcome) => {
                self.learn(&action, &outcome);
                let answered = (outcome != Outcome::Unknown).then_some(answered);
                self.events.push(Event { op: Op { number, client: self.id, action, outcome }, invoked, answered });
            }
        }
    }

    fn learn(&mut self, action: &Action, outcome: &Outcome) {
        match (action, outcome) {
            (Action::Load { name, .. } | Action::Create { name, .. }, Outcome::Saw(seen)) => {
                self.known[*name] = Some(seen.clone());
            }
            (Action::Commit(changes), Outcome::Saw(seen)) => self.known[changes[0].name] = Some(seen.clone()),
            // It is known under both names now, and wrongly under one of them.
            (Action::Rename(from, to), Outcome::Done) => {
                let known = self.known[*from].clone();
                self.known[*to] = known;
            }
            _ => {}
        }
    }

    fn request(&mut self, number: Number, action: &Action) -> RequestBuilder {
        let round = &self.round;
        let request = |method, path: &str| self.client.request(method, path);
        match action {
            Action::Create { name, .. } => {
                let body = creation(number, *name);
                request(Method::POST, &round.tables(NAMES[*name].0)).json(&body)
            }
            Action::Load { name, refs } => {
                let snapshots = if *refs { "?snapshots=refs" } else { self.random.pick(&["", "?snapshots=all"]) };
                let encoding = self.random.pick(&["identity", "gzip", "zstd"]);
                let path = format!("{}{snapshots}", round.table(*name));
                request(Method::GET, &path).header(header::ACCEPT_ENCODING, encoding)
            }
            Action::Exists(name) => request(Method::HEAD, &round.table(*name)),
            Action::List(namespace) => request(Method::GET, &round.tables(*namespace)),
            Action::Commit(changes) => {
                let body = |change: &Change| {
                    let (requirements, updates) = commit(number, change);
                    json!({"identifier": round.ident(change.name), "requirements": requirements, "updates": updates})
                };
                match changes.as_slice() {
                    [change] => request(Method::POST, &round.table(change.name)).json(&body(change)),
                    many => {
                        let changes: Vec<Value> = many.iter().map(body).collect();
                        request(Method::POST, "/catalog/v1/default/transactions/commit").json(&json!({"table-changes": changes}))
                    }
                }
            }
            Action::Rename(from, to) => request(Method::POST, "/catalog/v1/default/tables/rename")
                .json(&json!({"source": round.ident(*from), "destination": round.ident(*to)})),
            Action::Drop(name) => {
                let purge = self.random.pick(&["", "?purgeRequested=true"]);
                request(Method::DELETE, &format!("{}{purge}", round.table(*name)))
            }
        }
    }

    /// Stages a table; the commit that makes it, or what the staging came to.
    async fn stage(&mut self, number: Number, name: usize) -> Result<RequestBuilder, Reply> {
        let mut body = creation(number, name);
        body["stage-create"] = json!(true);
        let request = self.client.request(Method::POST, &self.round.tables(NAMES[name].0)).json(&body);
        let (status, body) = send(request).await.ok_or(Reply::NotNow("staging broke off"))?;
        match status {
            200 => {}
            409 => return Err(Reply::Outcome(Outcome::Refused)),
            429 | 500 | 503 => return Err(Reply::NotNow("staging was not possible")),
            _ => panic!("staging: {status} {body}"),
        }
        let staged = &body["metadata"];
        let updates = json!([
            {"action": "assign-uuid", "uuid": staged["table-uuid"]},
            {"action": "upgrade-format-version", "format-version": staged["format-version"]},
            {"action": "add-schema", "schema": staged["schemas"][0]},
            {"action": "set-current-schema", "schema-id": -1},
            {"action": "add-spec", "spec": staged["partition-specs"][0]},
            {"action": "set-default-spec", "spec-id": -1},
            {"action": "add-sort-order", "sort-order": staged["sort-orders"][0]},
            {"action": "set-default-sort-order", "sort-order-id": -1},
            {"action": "set-location", "location": staged["location"]},
            {"action": "set-properties", "updates": staged["properties"]},
        ]);
        let commit = json!({"requirements": [{"type": "assert-create"}], "updates": updates});
        Ok(self.client.request(Method::POST, &self.round.table(name)).json(&commit))
    }

    async fn ask(&self, action: &Action, request: RequestBuilder) -> Reply {
        let Some((status, body)) = send(request).await else { return Reply::Outcome(Outcome::Unknown) };
        let kind = body["error"]["type"].as_str().unwrap_or_default();
        let message = body["error"]["message"].as_str().unwrap_or_default();
        Reply::Outcome(match (status, kind) {
            (200, _) => match action {
                Action::List(namespace) => Outcome::Listed(listed(&body, *namespace)),
                Action::Load { refs: true, .. } => Outcome::Saw(head_only(seen(&body))),
                _ => Outcome::Saw(seen(&body)),
            },
            (204, _) => Outcome::Done,
            (404, "NoSuchTableException") => Outcome::Missing,
            (404, "") if matches!(action, Action::Exists(_)) => Outcome::Missing,
            (409, "AlreadyExistsException") => Outcome::Taken,
            (409, "CommitFailedException") if message.starts_with("Commit failed: other commits were faster") => {
                return Reply::NotNow("others were faster");
            }
            (409, "CommitFailedException") => Outcome::Refused,
            (500, "CommitStateUnknownException") => Outcome::Unknown,
            (429 | 503, _) => return Reply::NotNow("unavailable"),
            _ => panic!("{action}: {status} {body}"),
        })
    }
}

/// A status and a body, if they came.
async fn send(request: RequestBuilder) -> Option<(u16, Value)> {
    let response = request.timeout(ANSWER_TIME_MAX).send().await.ok()?;
    let status = response.status().as_u16();
    let encoding = response.headers().get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap().to_owned());
    let bytes = response.bytes().await.ok()?;
    let mut text = Vec::new();
    match encoding.as_deref() {
        None => text.extend_from_slice(&bytes),
        Some("gzip") => drop(flate2::read::GzDecoder::new(&*bytes).read_to_end(&mut text).unwrap()),
        Some("zstd") => text = zstd::stream::decode_all(&*bytes).unwrap(),
        Some(other) => panic!("{other} was not asked for"),
    }
    Some((status, serde_json::from_slice(&text).unwrap_or_default()))
}

fn creation(number: Number, name: usize) -> Value {
    let mut body = table_request(NAMES[name].1);
    body["properties"] = marks(number);
    body["properties"]["created"] = json!(number.to_string());
    body["properties"]["filler"] = json!("x".repeat(FILLER_BYTES));
    body
}

/// What an operation leaves in the tables that it creates or commits to: its number as the last, and among all.
fn marks(number: Number) -> Value {
    json!({"last": number.to_string(), format!("by-{number}"): ""})
}

/// Requirements and updates.
fn commit(number: Number, change: &Change) -> (Vec<Value>, Vec<Value>) {
    let mut requirements = Vec::new();
    let mut updates = vec![json!({"action": "set-properties", "updates": marks(number)})];
    if let Some((_, uuid)) = change.table {
        requirements.push(json!({"type": "assert-table-uuid", "uuid": uuid}));
    }
    if let Some((main, sequence)) = change.main {
        requirements.push(json!({"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": main}));
        let mut snapshot = json!({
            "snapshot-id": number,
            "sequence-number": sequence,
            "timestamp-ms": FIRST_SNAPSHOT_MS + i64::from(number),
            "summary": {"operation": "append"},
            "manifest-list": format!("file:///nowhere/{number}.avro"),
            "schema-id": 0,
        });
        if let Some(main) = main {
            snapshot["parent-snapshot-id"] = json!(main);
        }
        updates.push(json!({"action": "add-snapshot", "snapshot": snapshot}));
        updates.push(json!({"action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": number}));
    }
    (requirements, updates)
}

fn listed(body: &Value, namespace: usize) -> Vec<usize> {
    let names = body["identifiers"].as_array().unwrap().iter().map(|ident| ident["name"].as_str().unwrap());
    let index = |name| NAMES.iter().position(|known| *known == (namespace, name)).unwrap();
    names.map(index).collect()
}

/// Of a table that was asked for without old snapshots.
fn head_only(seen: Seen) -> Seen {
    assert_eq!(seen.snapshots, Some(Vec::from_iter(seen.main)), "only the head of main is referred to");
    Seen { snapshots: None, ..seen }
}

fn seen(body: &Value) -> Seen {
    let metadata = &body["metadata"];
    let number = |value: &Value| value.as_u64().map(|number| Number::try_from(number).unwrap());
    let properties: &Map<String, Value> = metadata["properties"].as_object().unwrap();
    let property = |name: &str| properties[name].as_str().unwrap().parse::<Number>().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let none = Vec::new();
    let snapshots = metadata["snapshots"].as_array().unwrap_or(&none).iter();
    Seen {
        uuid: metadata["table-uuid"].as_str().unwrap().parse().unwrap(),
        metadata_location: text(&body["metadata-location"]),
        log: metadata["metadata-log"].as_array().unwrap_or(&none).iter().map(|entry| text(&entry["metadata-file"])).collect(),
        created: property("created"),
        last: property("last"),
        all: properties.keys().filter_map(|name| name.strip_prefix("by-")?.parse().ok()).collect(),
        chain: Vec::new(),
        main: number(&metadata["current-snapshot-id"]).filter(|number| *number > 0),
        snapshots: Some(snapshots.map(|snapshot| number(&snapshot["snapshot-id"]).unwrap()).collect()),
        sequence: metadata["last-sequence-number"].as_i64().unwrap(),
    }
}
