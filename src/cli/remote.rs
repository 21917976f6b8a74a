//! What the management API does, on the command line.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Server, step};

/// `nunatak warehouse`
#[derive(Args, Debug)]
pub struct WarehouseCommand {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    action: WarehouseAction,
}

#[derive(Debug, Subcommand)]
enum WarehouseAction {
    /// List warehouses
    List,
    /// Show a warehouse
    Show {
        /// Its name or id
        warehouse: String,
    },
    /// Create a warehouse
    Create {
        /// Its name
        name: String,
        /// Its storage profile, as JSON: {"type":"local","root":"/data"}
        #[arg(long, value_parser = parse_json)]
        storage: Value,
        /// What its clients are told, as JSON: {"defaults":{},"overrides":{}}
        #[arg(long, value_parser = parse_json)]
        config: Option<Value>,
    },
    /// Change a warehouse
    Update {
        /// Its name or id
        warehouse: String,
        /// A new name
        #[arg(long)]
        name: Option<String>,
        /// Another way to the same place, as JSON
        #[arg(long, value_parser = parse_json)]
        storage: Option<Value>,
        /// What its clients are told, as JSON
        #[arg(long, value_parser = parse_json)]
        config: Option<Value>,
    },
    /// Delete an empty warehouse
    Delete {
        /// Its name or id
        warehouse: String,
    },
}

/// `nunatak principal`
#[derive(Args, Debug)]
pub struct PrincipalCommand {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    action: PrincipalAction,
}

#[derive(Debug, Subcommand)]
enum PrincipalAction {
    /// List principals
    List,
    /// Show a principal
    Show {
        /// Its id
        id: String,
    },
    /// Create a principal, and print its secret this once
    Create {
        /// Its name
        name: String,
        /// Its client id [default: made up]
        #[arg(long = "as")]
        principal_client_id: Option<String>,
        /// Let it administer the server
        #[arg(long)]
        administrator: bool,
    },
    /// Give a principal a new secret, and print it this once
    Rotate {
        /// Its id
        id: String,
    },
    /// Disable a principal
    Disable {
        /// Its id
        id: String,
    },
    /// Enable a principal again
    Enable {
        /// Its id
        id: String,
    },
}

/// `nunatak token`
#[derive(Args, Debug)]
pub struct TokenCommand {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    action: TokenAction,
}

#[derive(Debug, Subcommand)]
enum TokenAction {
    /// Get a token, and print it
    Get,
    /// Make a new key that signs tokens
    RotateKey,
}

impl WarehouseCommand {
    /// Does it.
    ///
    /// # Errors
    /// With the server's message, where it refuses.
    pub async fn run(self) -> anyhow::Result<()> {
        let base = "/api/v1/warehouses";
        let of = |warehouse: &str| format!("{base}/{}", step(warehouse));
        let (method, path, body) = match &self.action {
            WarehouseAction::List => (Method::GET, base.to_owned(), None),
            WarehouseAction::Show { warehouse } => (Method::GET, of(warehouse), None),
            WarehouseAction::Create { name, storage, config } => {
                let body = present(json!({"name": name, "storage": storage, "config": config}));
                (Method::POST, base.to_owned(), Some(body))
            }
            WarehouseAction::Update { warehouse, name, storage, config } => {
                let body = present(json!({"name": name, "storage": storage, "config": config}));
                (Method::PATCH, of(warehouse), Some(body))
            }
            WarehouseAction::Delete { warehouse } => (Method::DELETE, of(warehouse), None),
        };
        print(&self.server.call(method, &path, body.as_ref()).await?);
        Ok(())
    }
}

impl PrincipalCommand {
    /// Does it.
    ///
    /// # Errors
    /// With the server's message, where it refuses.
    pub async fn run(self) -> anyhow::Result<()> {
        let base = "/api/v1/principals";
        let of = |id: &str, action: &str| format!("{base}/{}{action}", step(id));
        let (method, path, body) = match &self.action {
            PrincipalAction::List => (Method::GET, base.to_owned(), None),
            PrincipalAction::Show { id } => (Method::GET, of(id, ""), None),
            PrincipalAction::Create { name, principal_client_id, administrator } => {
                let body = json!({"name": name, "client-id": principal_client_id, "administrator": administrator});
                (Method::POST, base.to_owned(), Some(present(body)))
            }
            PrincipalAction::Rotate { id } => (Method::POST, of(id, "/rotate"), None),
            PrincipalAction::Disable { id } => (Method::POST, of(id, "/disable"), None),
            PrincipalAction::Enable { id } => (Method::POST, of(id, "/enable"), None),
        };
        print(&self.server.call(method, &path, body.as_ref()).await?);
        Ok(())
    }
}

impl TokenCommand {
    /// Does it.
    ///
    /// # Errors
    /// With the server's message, where it refuses.
    #[allow(clippy::print_stdout, reason = "what a person at the command line asked for")]
    pub async fn run(self) -> anyhow::Result<()> {
        match self.action {
            TokenAction::Get => println!("{}", self.server.token().await?.expose()),
            TokenAction::RotateKey => print(&self.server.call(Method::POST, "/api/v1/signing-keys/rotate", None).await?),
        }
        Ok(())
    }
}

/// The object without the members that are null.
fn present(mut object: Value) -> Value {
    if let Value::Object(members) = &mut object {
        members.retain(|_, value| !value.is_null());
    }
    object
}

fn parse_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[allow(clippy::print_stdout, reason = "what a person at the command line asked for")]
fn print(value: &Value) {
    if !value.is_null() {
        println!("{value:#}");
    }
}
