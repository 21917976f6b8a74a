//! The floor of loads: a server of its own process that answers from memory, with the same libraries and the same allocator. No catalog
//! could do less for a request.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;

use crate::child::Child;
use crate::options::Options;

/// Where the first body is, without looking for it.
pub const STATIC_PATH: &str = "/static";

/// Names and bodies, as they are handed over in a file.
pub type Bodies = Vec<(String, Vec<u8>)>;

/// Starts the floor as a process of its own, with these bodies.
///
/// # Errors
/// When it does not start.
pub fn start(bodies: &Bodies, directory: &Path) -> anyhow::Result<(Child, SocketAddr)> {
    let path = directory.join("bodies");
    write_bodies(bodies, &path)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--floor-server").arg(&path).stdout(Stdio::piped());
    let mut child = Child::start("floor", &mut command)?;
    let mut line = String::new();
    BufReader::new(child.take_stdout().context("no output")?).read_line(&mut line)?;
    let address = line.trim().parse().with_context(|| format!("the floor said {line:?}"))?;
    std::fs::remove_file(path)?;
    Ok((child, address))
}

/// What the other process does.
///
/// # Errors
/// When it cannot listen.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let path = options.floor_server.as_deref().context("no file")?;
    let bodies = read_bodies(path)?;
    let first = bodies.first().map(|(_, body)| body.clone()).context("no bodies")?;
    let all: HashMap<String, Bytes> = bodies.into_iter().collect();
    let routes = Router::new()
        .route(STATIC_PATH, get(|State(state): State<Arc<(Bytes, HashMap<String, Bytes>)>>| async move { json(state.0.clone()) }))
        .route("/catalog/v1/{prefix}/namespaces/{namespace}/tables/{table}", get(by_name))
        .with_state(Arc::new((first, all)));
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        std::io::stdout().flush()?;
        axum::serve(listener, routes).await?;
        Ok(())
    })
}

async fn by_name(State(state): State<Arc<(Bytes, HashMap<String, Bytes>)>>, uri: Uri) -> Response {
    let name = uri.path().rsplit('/').next().unwrap_or_default();
    state.1.get(name).map_or_else(|| StatusCode::NOT_FOUND.into_response(), |body| json(body.clone()))
}

fn json(body: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn write_bodies(bodies: &Bodies, path: &Path) -> anyhow::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for (name, body) in bodies {
        for part in [name.as_bytes(), body] {
            file.write_all(&(part.len() as u64).to_le_bytes())?;
            file.write_all(part)?;
        }
    }
    file.flush()?;
    Ok(())
}

fn read_bodies(path: &Path) -> anyhow::Result<Vec<(String, Bytes)>> {
    let mut file = BufReader::new(std::fs::File::open(path)?);
    let mut bodies = Vec::new();
    while !file.fill_buf()?.is_empty() {
        let name = String::from_utf8(read_part(&mut file)?)?;
        bodies.push((name, read_part(&mut file)?.into()));
    }
    Ok(bodies)
}

fn read_part(file: &mut impl Read) -> anyhow::Result<Vec<u8>> {
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let mut part = vec![0; usize::try_from(u64::from_le_bytes(length))?];
    file.read_exact(&mut part)?;
    Ok(part)
}
