//! The program itself: its configuration, its first start, many starts at once, HTTPS, its end, and its command line.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use nunatak::app::App;
use nunatak::config::{Config, Settings};
use nunatak::model::Clock;
use nunatak::store::Store;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::ConnectOptions;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::support::{CLIENT_ID, CLIENT_SECRET, Client, Process, Server, create_database, options, signal};

/// 32 zero bytes, and 32 others.
const MASTER_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const ANOTHER_MASTER_KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const START_TIME_MAX: Duration = Duration::from_secs(90);

/// The program, in an environment with nothing in it but a home.
fn nunatak(home: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nunatak"));
    command.args(arguments).env_clear().env("HOME", home.path()).env("PATH", "/usr/bin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn run(command: &mut Command) -> Output {
    tokio::time::timeout(START_TIME_MAX, command.output()).await.expect("it ends").unwrap()
}

/// What it printed, of a run that went well.
async fn printed(command: &mut Command) -> String {
    let output = run(command).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// The one line with which it gave up.
async fn complaint(command: &mut Command) -> String {
    let output = run(command).await;
    assert!(!output.status.success(), "{}", text(&output.stdout));
    let complaint = text(&output.stderr);
    assert!(!complaint.contains("panicked"), "{complaint}");
    complaint
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    home
}

fn write(home: &TempDir, name: &str, content: &str) -> String {
    let path = home.path().join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The URL of a database of the tests' PostgreSQL.
fn database_url(database: &str) -> String {
    let options = options();
    let sockets = options.get_socket().unwrap().to_str().unwrap().to_owned();
    format!("postgres://nunatak@localhost/{database}?host={sockets}&port=5432")
}

/// `serve` on a database of its own, which is not the program's.
async fn serve(home: &TempDir, port: u16) -> Command {
    let mut command = nunatak(home, &["serve"]);
    command
        .env("NUNATAK_BIND", format!("127.0.0.1:{port}"))
        .env("NUNATAK_DATABASE_URL", database_url(&create_database().await))
        .env("NUNATAK_MASTER_KEY", MASTER_KEY)
        .env("NUNATAK_BOOTSTRAP_CLIENT_ID", CLIENT_ID)
        .env("NUNATAK_BOOTSTRAP_CLIENT_SECRET", CLIENT_SECRET);
    command
}

async fn wait_ready(client: &Client, child: &mut Child) {
    let deadline = Instant::now() + START_TIME_MAX;
    loop {
        let request = client.http.get(format!("{}/health/ready", client.url));
        if request.send().await.is_ok_and(|response| response.status() == 200) {
            return;
        }
        assert!(child.try_wait().unwrap().is_none() && Instant::now() < deadline, "the server does not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Ends it with SIGTERM; what it printed and logged.
async fn terminate(child: Child) -> (String, String) {
    signal("-TERM", child.id().unwrap());
    let output = tokio::time::timeout(START_TIME_MAX, child.wait_with_output()).await.expect("it ends").unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn config_prints_what_is_in_effect_and_hides_secrets() {
    let home = home();
    let mut command = nunatak(&home, &["config"]);
    let default: toml::Table = printed(&mut command).await.parse().unwrap();
    assert_eq!(default["bind"].as_str(), Some("127.0.0.1:8181"));
    assert_eq!(default["data_dir"].as_str(), home.path().join(".local/share/nunatak").to_str());

    command
        .env("NUNATAK_DATABASE_URL", "postgres://user:hush1@host/db")
        .env("NUNATAK_MASTER_KEY", "hush2")
        .env("NUNATAK_BOOTSTRAP_CLIENT_SECRET", "hush3");
    let shown = printed(&mut command).await;
    assert!(!shown.contains("hush"), "{shown}");
    for name in ["database_url", "master_key", "bootstrap_client_secret"] {
        assert!(shown.contains(&format!("{name} = \"***\"")), "{shown}");
    }
}

#[tokio::test]
async fn a_flag_outweighs_the_environment_which_outweighs_the_file() {
    let home = home();
    let file =
        write(&home, "nunatak.toml", "log = \"file\"\nsigning_key_days = 1\nrequest_seconds_max = 1\nlog_format = \"json\"\n");
    let mut command = nunatak(&home, &["config", "--config", &file, "--log", "flag"]);
    command.env("NUNATAK_LOG", "environment").env("NUNATAK_SIGNING_KEY_DAYS", "2");
    let config: toml::Table = printed(&mut command).await.parse().unwrap();
    assert_eq!(config["log"].as_str(), Some("flag"));
    assert_eq!(config["signing_key_days"].as_integer(), Some(2));
    assert_eq!(config["request_seconds_max"].as_integer(), Some(1));
    assert_eq!(config["log_format"].as_str(), Some("json"));
    // What is printed is a file that says the same.
    let again = write(&home, "again.toml", &toml::to_string(&config).unwrap());
    let mut command = nunatak(&home, &["config"]);
    assert_eq!(printed(command.env("NUNATAK_CONFIG", again)).await.parse::<toml::Table>().unwrap(), config);
}

#[tokio::test]
async fn settings_that_are_wrong_are_named() {
    let home = home();
    let in_file = |content: &str| vec!["--config".to_owned(), write(&home, &content.replace(['"', '='], ""), content)];
    let flags = |flags: &[&str]| flags.iter().map(ToString::to_string).collect::<Vec<_>>();
    let cases = [
        (in_file("colour = \"blue\""), "unknown field `colour`"),
        (in_file("bind = 7"), "bind"),
        (in_file("not toml"), "is wrong"),
        (flags(&["--config", "/no/such/file"]), "cannot read /no/such/file"),
        (flags(&["--colour", "blue"]), "unexpected argument '--colour'"),
        (flags(&["--bind", "nowhere"]), "invalid value 'nowhere' for '--bind"),
        (flags(&["--tls-certificate", "/x"]), "tls_certificate and tls_key come together"),
        (flags(&["--token-lifetime-seconds", "0"]), "must be at least 1"),
        (flags(&["--token-lifetime-seconds", "604801"]), "must be at most 604800"),
        (flags(&["--public-url", "ftp://x"]), "no http or https URL"),
        (flags(&["--database-url", "postgres://user:hush@host/db"]), "a master key is needed with a database URL"),
    ];
    for (arguments, says) in cases {
        let mut command = nunatak(&home, &["config"]);
        let complaint = complaint(command.args(&arguments)).await;
        assert!(complaint.contains(says) && !complaint.contains("hush"), "{arguments:?}: {complaint}");
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_an_error_without_its_password() {
    let home = home();
    let port = free_port();
    let sockets = "/no/such/directory";
    for (url, says) in [
        ("mysql://user:hush@host/db".to_owned(), ""),
        ("hush".to_owned(), "database URL is wrong"),
        (format!("postgres://user:hush@localhost/db?host={sockets}"), "nunatak: "),
    ] {
        let mut command = nunatak(&home, &["migrate"]);
        command.env("NUNATAK_DATABASE_URL", &url).env("NUNATAK_MASTER_KEY", MASTER_KEY);
        let complaint = complaint(command.env("NUNATAK_BIND", format!("127.0.0.1:{port}"))).await;
        assert!(complaint.contains(says) && !complaint.contains("hush"), "{complaint}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
    }
    let mut command = nunatak(&home, &["migrate"]);
    command.env("NUNATAK_DATABASE_URL", database_url("postgres")).env("NUNATAK_MASTER_KEY", "hush");
    let complaint = complaint(&mut command).await;
    assert!(complaint.contains("32 bytes in base64") && !complaint.contains("hush"), "{complaint}");
}

#[tokio::test]
async fn an_unknown_variable_is_a_warning_only() {
    let home = home();
    let port = free_port();
    let mut child = serve(&home, port).await.env("NUNATAK_SERVICE_HOST", "10.0.0.1").spawn().unwrap();
    wait_ready(&Client::anonymous(&format!("http://127.0.0.1:{port}")), &mut child).await;
    let (printed, log) = terminate(child).await;
    assert!(log.contains("NUNATAK_SERVICE_HOST"), "{log}");
    assert_eq!(log.matches("which is no setting").count(), 1, "{log}");
    assert!(!printed.contains(CLIENT_SECRET) && !log.contains(CLIENT_SECRET) && !log.contains(MASTER_KEY), "{printed}{log}");
}

fn app(directory: &Path, database: &str, master_key: &str) -> App {
    let text = format!("data_dir = \"{}\"\nmaster_key = \"{master_key}\"\n", directory.display());
    let path = directory.join("nunatak.toml");
    fs::write(&path, text).unwrap();
    let config = Config::load(Settings::default(), Some(&path)).unwrap();
    App::new(config, Store::new(options().database(database), 2), Clock::System).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_eight_servers_that_start_at_once_one_makes_the_first_administrator() {
    let database = create_database().await;
    let directories: Vec<TempDir> = (0..8).map(|_| tempfile::tempdir().unwrap()).collect();
    let starts = directories.iter().map(|directory| {
        let app = app(directory.path(), &database, MASTER_KEY);
        tokio::spawn(async move { app.prepare().await })
    });
    let made = futures::future::join_all(starts).await.into_iter().map(|start| start.unwrap().unwrap());
    let made: Vec<_> = made.flatten().collect();
    assert_eq!(made.len(), 1);
    assert!(made[0].client_secret.is_some());
    let mut connection = options().database(&database).connect().await.unwrap();
    for table in ["installation", "signing_key", "principal", "warehouse"] {
        let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        assert_eq!(sqlx::query_scalar::<_, i64>(count).fetch_one(&mut connection).await.unwrap(), 1, "{table}");
    }
}

#[tokio::test]
async fn another_master_key_than_the_databases_is_refused() {
    let database = create_database().await;
    let directory = tempfile::tempdir().unwrap();
    app(directory.path(), &database, MASTER_KEY).prepare().await.unwrap();
    let refused = app(directory.path(), &database, ANOTHER_MASTER_KEY).prepare().await.unwrap_err();
    assert_eq!(refused.to_string(), "the master key is not the one that this database was set up with");
    assert!(app(directory.path(), &database, MASTER_KEY).prepare().await.unwrap().is_none());

    let home = home();
    let mut command = nunatak(&home, &["serve", "--bind", "127.0.0.1:0"]);
    command.env("NUNATAK_DATABASE_URL", database_url(&database)).env("NUNATAK_MASTER_KEY", ANOTHER_MASTER_KEY);
    assert!(complaint(&mut command).await.contains("the master key is not the one"));
}

#[tokio::test]
async fn the_first_start_prints_credentials_that_work_and_the_second_none() {
    let home = home();
    let port = free_port();
    let start = || {
        let mut command = nunatak(&home, &["serve"]);
        command
            .env("NUNATAK_BIND", format!("127.0.0.1:{port}"))
            .env("NUNATAK_DATA_DIR", home.path().join("data"))
            .spawn()
            .unwrap()
    };
    let anonymous = Client::anonymous(&format!("http://127.0.0.1:{port}"));
    let mut child = start();
    wait_ready(&anonymous, &mut child).await;

    // One server to a data directory, and to an address.
    let mut second = nunatak(&home, &["serve", "--bind", "127.0.0.1:0"]);
    assert!(complaint(second.env("NUNATAK_DATA_DIR", home.path().join("data"))).await.contains("another nunatak uses"));
    let mut second = nunatak(&home, &["serve", "--bind", &format!("127.0.0.1:{port}")]);
    assert!(complaint(&mut second).await.contains(&format!("cannot listen on 127.0.0.1:{port}")));

    let (printed, log) = terminate(child).await;
    let after = |label: &str| printed.split(label).nth(1).unwrap().lines().next().unwrap().trim().to_owned();
    let (id, secret) = (after("client id:"), after("client secret:"));
    for client in ["PyIceberg", "Spark", "Trino", "Flink", "DuckDB"] {
        assert!(printed.contains(client), "{printed}");
    }
    assert!(!log.contains(&secret), "{log}");
    let mode = fs::metadata(home.path().join("data/master.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let mut child = start();
    wait_ready(&anonymous, &mut child).await;
    let client = Client::login(&anonymous.url, &id, &secret).await;
    client.get("/catalog/v1/config").await.expect(200);
    let (printed, _) = terminate(child).await;
    assert!(
        printed.contains("serves Iceberg at") && !printed.contains(&secret) && !printed.contains("client secret"),
        "{printed}"
    );
}

#[tokio::test]
async fn https_is_served_with_the_certificate_that_is_set() {
    let home = home();
    let port = free_port();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = write(&home, "certificate.pem", &made.cert.pem());
    let key = write(&home, "key.pem", &made.signing_key.serialize_pem());
    let mut command = serve(&home, port).await;
    let mut child = command.env("NUNATAK_TLS_CERTIFICATE", &certificate).env("NUNATAK_TLS_KEY", &key).spawn().unwrap();

    let stranger = Client::anonymous(&format!("https://localhost:{port}"));
    let trusted = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let http = reqwest::Client::builder().tls_certs_only([trusted]).build().unwrap();
    let client = Client { http, ..stranger.clone() };
    wait_ready(&client, &mut child).await;
    let form = [("grant_type", "client_credentials"), ("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)];
    let token = client.send(client.request(Method::POST, "/catalog/v1/oauth/tokens").form(&form)).await.expect(200);
    client.with_token(token["access_token"].as_str().unwrap()).get("/catalog/v1/config").await.expect(200);
    assert!(stranger.http.get(format!("{}/health/live", stranger.url)).send().await.is_err(), "nobody vouches for it");
    assert!(stranger.http.get(format!("http://localhost:{port}/health/live")).send().await.is_err(), "there is no plain HTTP");
    let (printed, _) = terminate(child).await;
    assert!(printed.contains(&format!("https://127.0.0.1:{port}/catalog")), "{printed}");

    let mut command = serve(&home, port).await;
    command.env("NUNATAK_TLS_CERTIFICATE", &key).env("NUNATAK_TLS_KEY", &key);
    assert!(complaint(&mut command).await.contains("the TLS certificate or key cannot be used"));
}

#[tokio::test]
async fn a_request_under_way_ends_before_the_server_does() {
    let mut process = Process::new();
    process.set("NUNATAK_DATABASE_URL", &database_url(&create_database().await));
    process.set("NUNATAK_MASTER_KEY", MASTER_KEY);
    process.start().await;
    let client = process.login().await;
    let address = client.url.trim_start_matches("http://").to_owned();
    let body = json!({"namespace": ["late"]}).to_string();
    let head = format!(
        "POST /catalog/v1/default/namespaces HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        client.token.as_deref().unwrap(),
        body.len()
    );
    let mut connection = TcpStream::connect(&address).await.unwrap();
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(&body.as_bytes()[..5]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ended = tokio::task::spawn_blocking(move || process.terminate());
    let deadline = Instant::now() + START_TIME_MAX;
    while TcpStream::connect(&address).await.is_ok() {
        assert!(Instant::now() < deadline, "it takes new connections after it was told to stop");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    connection.write_all(&body.as_bytes()[5..]).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("late"), "{answer}");
    assert!(ended.await.unwrap(), "it ended well");
}

/// The command line against a server in this process.
struct Terminal {
    home: TempDir,
    server: Server,
}

impl Terminal {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = nunatak(&self.home, arguments);
        command
            .env("NUNATAK_SERVER", &self.server.url)
            .env("NUNATAK_CLIENT_ID", CLIENT_ID)
            .env("NUNATAK_CLIENT_SECRET", CLIENT_SECRET);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&printed(&mut self.command(arguments)).await).unwrap_or_default()
    }

    async fn complaint(&self, arguments: &[&str]) -> String {
        complaint(&mut self.command(arguments)).await
    }
}

#[tokio::test]
async fn the_command_line_manages_a_running_server() {
    let terminal = Terminal { home: home(), server: Server::start().await };
    let server = &terminal.server;

    let made = terminal.run(&["warehouse", "create", "a lake", "--storage", "{\"type\":\"memory\"}"]).await;
    assert_eq!(made["name"], "a lake");
    let config = "{\"defaults\":{\"a\":\"b\"}}";
    let changed = terminal.run(&["warehouse", "update", "a lake", "--name", "sea", "--config", config]).await;
    assert_eq!((&changed["id"], &changed["config"]["defaults"]["a"]), (&made["id"], &json!("b")));
    assert_eq!(terminal.run(&["warehouse", "show", "sea"]).await, changed);
    assert_eq!(terminal.run(&["warehouse", "list"]).await, server.client.get("/api/v1/warehouses").await.expect(200));
    terminal.run(&["warehouse", "delete", "sea"]).await;
    let complaint_of = terminal.complaint(&["warehouse", "show", "sea"]).await;
    assert!(complaint_of.contains("404") && complaint_of.contains("does not exist: sea"), "{complaint_of}");

    let made = terminal.run(&["principal", "create", "reader", "--as", "reader-1"]).await;
    let (id, secret) = (made["principal"]["id"].as_str().unwrap(), made["client-secret"].as_str().unwrap());
    let reader = Client::login(&server.url, "reader-1", secret).await;
    assert_eq!(terminal.run(&["principal", "show", id]).await, made["principal"]);
    assert!(terminal.run(&["principal", "disable", id]).await["disabled-at"].is_string());
    reader.get("/catalog/v1/config").await.expect(401);
    terminal.run(&["principal", "enable", id]).await;
    let rotated = terminal.run(&["principal", "rotate", id]).await;
    Client::login(&server.url, "reader-1", rotated["client-secret"].as_str().unwrap()).await;
    assert_eq!(terminal.run(&["principal", "list"]).await["principals"].as_array().unwrap().len(), 2);
    assert!(terminal.run(&["principal", "create", "boss", "--administrator"]).await["principal"]["administrator"] == true);

    let token = printed(&mut terminal.command(&["token", "get"])).await.trim().to_owned();
    server.client.with_token(&token).get("/catalog/v1/config").await.expect(200);
    assert!(terminal.run(&["token", "rotate-key"]).await["id"].is_string());
    let mut with_token = nunatak(&terminal.home, &["warehouse", "list", "--server", &server.url, "--token", &token]);
    assert!(printed(&mut with_token).await.contains("default"));
}

#[tokio::test]
async fn what_goes_wrong_at_the_command_line_is_told_in_a_line() {
    let terminal = Terminal { home: home(), server: Server::start().await };
    let wrong = terminal.complaint(&["warehouse", "list", "--client-secret", "hush-hush"]).await;
    assert!(wrong.contains("Unknown client, or wrong secret") && !wrong.contains("hush"), "{wrong}");
    let nobody = complaint(&mut nunatak(&terminal.home, &["warehouse", "list", "--server", &terminal.server.url])).await;
    assert!(nobody.contains("NUNATAK_CLIENT_ID and NUNATAK_CLIENT_SECRET"), "{nobody}");
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    let unreachable = terminal.complaint(&["warehouse", "list", "--server", &nowhere]).await;
    assert!(unreachable.contains("the server cannot be reached"), "{unreachable}");
    let storage = terminal.complaint(&["warehouse", "create", "x", "--storage", "no json"]).await;
    assert!(storage.contains("--storage"), "{storage}");
    for complaint in [wrong, nobody, unreachable] {
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
    }
}

#[tokio::test]
async fn the_written_api_descriptions_are_printed() {
    let home = home();
    for name in ["catalog", "management"] {
        let written = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("openapi/{name}.json"));
        assert_eq!(printed(&mut nunatak(&home, &["openapi", name])).await, fs::read_to_string(written).unwrap());
    }
}
