//! The directions between the rooms, held against the `use crate::` lines.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A room imports only rooms of the lines above its own; those of the last line, each other too.
const LINES: [&[&str]; 7] =
    [&["model"], &["access"], &["store"], &["identity", "jobs", "storage"], &["catalog"], &["maintenance"], &["api"]];
/// These may be imported by all, and import what they like.
const ANYWHERE: [&str; 4] = ["app", "cli", "config", "telemetry"];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file with the room it is in.
fn files() -> Vec<(String, PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&src, &mut found);
    let room = |path: &Path| {
        let first = path.strip_prefix(&src).unwrap().components().next().unwrap();
        first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
    };
    found.into_iter().map(|path| (room(&path), path.clone(), fs::read_to_string(&path).unwrap())).collect()
}

fn imported(text: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for part in text.split("crate::").skip(1) {
        let name: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        rooms.insert(name);
    }
    rooms
}

#[test]
fn a_room_imports_only_rooms_above_it() {
    let line = |room: &str| LINES.iter().position(|line| line.contains(&room));
    let mut wrong = Vec::new();
    for (room, path, text) in files() {
        if ANYWHERE.contains(&room.as_str()) || room == "lib" || room == "main" {
            continue;
        }
        let own = line(&room).unwrap_or_else(|| panic!("{room} has no line in the table"));
        for other in imported(&text) {
            let allowed = other == room
                || matches!(other.as_str(), "config" | "telemetry")
                || line(&other).is_some_and(|other| other < own);
            if !allowed {
                wrong.push(format!("{} imports {other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_the_store_speaks_sql_and_only_the_api_speaks_http() {
    for (room, path, text) in files() {
        let speaks = |name: &str| text.contains(&format!("{name}::"));
        if !matches!(room.as_str(), "store" | "app") {
            assert!(!speaks("sqlx"), "{} uses sqlx", path.display());
        }
        if !matches!(room.as_str(), "api" | "app") {
            assert!(!speaks("axum"), "{} uses axum", path.display());
        }
    }
}

#[test]
fn only_the_gate_makes_permits_and_raw_access() {
    for (_, path, text) in files() {
        if !path.ends_with("access/gate.rs") {
            assert!(!text.contains("Permit {"), "{} makes a permit", path.display());
            assert!(!text.contains("RawAccess {"), "{} makes raw access", path.display());
        }
    }
}

#[test]
fn a_function_of_the_store_that_changes_the_catalog_takes_a_permit() {
    // Those that nobody can have permitted, and those of the server's own jobs.
    let exempt = ["insert_first", "claim_location", "claim_metadata", "finish", "take_back", "forget", "delete_before"];
    for (room, path, text) in files() {
        let file = path.file_stem().unwrap().to_str().unwrap();
        if room != "store"
            || !matches!(file, "tabular" | "namespace" | "warehouse" | "principal" | "metrics_report" | "deletion" | "view")
        {
            continue;
        }
        for function in text.split("pub async fn ").skip(1) {
            let name = function.split('(').next().unwrap();
            let signature = function.split('{').next().unwrap();
            let body = function.split("\npub ").next().unwrap();
            let changes =
                ["INSERT INTO", "UPDATE ", "DELETE FROM", "_row(", "keep_location_of("].iter().any(|verb| body.contains(verb))
                    && !body.contains("FOR UPDATE SKIP");
            let permitted = ["Permit<", "Place<", "Swap<"].iter().any(|kind| signature.contains(kind));
            assert!(!changes || permitted || exempt.contains(&name), "{}: {name} takes no permit", path.display());
        }
    }
}
