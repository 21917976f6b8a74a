//! A way to PostgreSQL that sometimes ends just before an answer comes through: what was asked for was done, and nobody is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::random::Random;

const SOCKET_FILE: &str = ".s.PGSQL.5432";
/// One in so many answers does not come through.
const ANSWERS: u64 = 30;

/// Opens such a way in this directory, to the PostgreSQL whose socket is in the other. It breaks once it is told to.
pub fn open(directory: &Path, to: &Path, seed: u64) -> Arc<AtomicBool> {
    fs::create_dir_all(directory).unwrap();
    let listener = UnixListener::bind(directory.join(SOCKET_FILE)).unwrap();
    let to = to.join(SOCKET_FILE);
    let mut random = Random::new(seed);
    let breaks = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&breaks);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass(client, to.clone(), Random::new(random.next()), Arc::clone(&told)));
        }
    });
    breaks
}

/// Passes everything on, until one end closes, or an answer is kept back and both are closed.
async fn pass(client: UnixStream, to: PathBuf, mut random: Random, breaks: Arc<AtomicBool>) {
    let Ok(server) = UnixStream::connect(to).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let questions = async { tokio::io::copy(&mut from_client, &mut to_server).await.map(drop) };
    let answers = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = from_server.read(&mut buffer).await?;
            if length == 0 || (breaks.load(Ordering::SeqCst) && random.below(ANSWERS) == 0) {
                return Ok(());
            }
            to_client.write_all(&buffer[..length]).await?;
        }
    };
    // Whichever ends first ends the other, and with it both connections.
    let _: std::io::Result<()> = tokio::select! {
        ended = questions => ended,
        ended = answers => ended,
    };
}
