//! Warehouses: created, changed, deleted, and what `/config` says of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Catalog, Page, PageRequest};
use crate::access::{Caller, ManageWarehouses, Server, UseWarehouse};
use crate::model::name::check_name;
use crate::model::{Error, Kind, Location, Result, WarehouseId};
use crate::storage::{FileStore, Profile, ProfileSecret};
use crate::store;
use crate::store::PgConnection;
use crate::store::warehouse::{Warehouse, WarehouseRef};

/// The warehouse that a client gets that names none, and that the first start makes.
pub const DEFAULT_WAREHOUSE: &str = "default";
/// Settings that would send a client somewhere else, or speak for it.
const RESERVED_CONFIG: [&str; 8] =
    ["uri", "prefix", "warehouse", "token", "credential", "oauth2-server-uri", "s3.secret-access-key", "s3.access-key-id"];

/// What `/config` adds for the clients of a warehouse.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WarehouseConfig {
    /// Settings that a client may change.
    #[serde(default)]
    pub defaults: BTreeMap<String, String>,
    /// Settings that it may not.
    #[serde(default)]
    pub overrides: BTreeMap<String, String>,
}

/// A warehouse to be made.
#[derive(Debug)]
pub struct NewWarehouse {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub storage: Profile,
    /// How the server gets there.
    pub secret: Option<ProfileSecret>,
    /// What its clients are told.
    pub config: WarehouseConfig,
}

/// What changes about a warehouse; what is absent stays.
#[derive(Debug, Default)]
pub struct WarehouseChange {
    /// A new name.
    pub name: Option<String>,
    /// How to get to the same place in another way.
    pub storage: Option<Profile>,
    /// Other credentials.
    pub secret: Option<ProfileSecret>,
    /// What its clients are told from now on.
    pub config: Option<WarehouseConfig>,
}

/// What `/config` says.
#[derive(Debug)]
pub struct ClientConfig {
    /// The prefix of the warehouse's routes: its id, so that renaming the warehouse disturbs no session.
    pub prefix: WarehouseId,
    /// What the warehouse says.
    pub config: WarehouseConfig,
}

impl Catalog {
    /// What a client of a warehouse is told.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no such warehouse.
    pub async fn client_config(&self, caller: &Caller, warehouse: &WarehouseRef) -> Result<ClientConfig> {
        let warehouse = store::warehouse::find(&mut *self.store.connection().await?, warehouse).await?;
        self.gate.permit::<UseWarehouse>(caller, warehouse.id)?;
        let mut config: WarehouseConfig = serde_json::from_value(warehouse.config.clone()).map_err(Error::internal)?;
        for (name, value) in &super::answer::table_config(&warehouse)? {
            config.defaults.entry(name.clone()).or_insert_with(|| value.clone());
        }
        Ok(ClientConfig { prefix: warehouse.id, config })
    }

    /// All warehouses, by name.
    ///
    /// # Errors
    /// [`Kind::Denied`] for others than administrators.
    pub async fn list_warehouses(&self, caller: &Caller, page: &PageRequest) -> Result<Page<Warehouse>> {
        self.gate.permit::<ManageWarehouses>(caller, Server)?;
        let mut connection = self.store.connection().await?;
        let warehouses = store::warehouse::list(&mut connection, page.after.as_deref(), page.limit_sql()).await?;
        Ok(page.cut(warehouses, |warehouse| warehouse.name.clone()))
    }

    /// One warehouse.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no such warehouse.
    pub async fn warehouse(&self, caller: &Caller, warehouse: &WarehouseRef) -> Result<Warehouse> {
        self.gate.permit::<ManageWarehouses>(caller, Server)?;
        store::warehouse::find(&mut *self.store.connection().await?, warehouse).await
    }

    /// Makes a warehouse, once a file could be written to, read from and deleted from its storage.
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`] when its name is taken; [`Kind::Conflict`] when it overlaps with another; [`Kind::Invalid`] when the
    /// storage cannot be used.
    pub async fn create_warehouse(&self, caller: &Caller, new: NewWarehouse) -> Result<Warehouse> {
        let permit = self.gate.permit::<ManageWarehouses>(caller, Server)?;
        let (warehouse, store) = self.new_warehouse(new)?;
        store.probe(&warehouse.id.to_string()).await?;
        let mut tx = self.store.begin().await?;
        check_apart(&mut tx, &warehouse).await?;
        store::warehouse::insert(&mut tx, &permit, &warehouse).await?;
        store::commit(tx).await?;
        Ok(warehouse)
    }

    /// Makes the first warehouse.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when its storage cannot be used.
    pub async fn create_first_warehouse(&self, connection: &mut PgConnection, storage: Profile) -> Result<Warehouse> {
        let config = WarehouseConfig::default();
        let new = NewWarehouse { name: DEFAULT_WAREHOUSE.to_owned(), storage, secret: None, config };
        let (warehouse, _) = self.new_warehouse(new)?;
        store::warehouse::insert_first(connection, &warehouse).await?;
        Ok(warehouse)
    }

    fn new_warehouse(&self, new: NewWarehouse) -> Result<(Warehouse, FileStore)> {
        check_warehouse_name(&new.name)?;
        check_config(&new.config)?;
        check_secret(&new.storage, new.secret.as_ref())?;
        let id = WarehouseId::generate();
        let root = new.storage.root(&id.to_string())?;
        let store = FileStore::open(&new.storage, new.secret.as_ref(), root.clone())?;
        let now = self.clock.now();
        let warehouse = Warehouse {
            id,
            name: new.name,
            root: root.to_string(),
            storage: serde_json::to_value(&new.storage).map_err(Error::internal)?,
            storage_secret: new.secret.as_ref().map(|secret| self.files.seal(id, secret)).transpose()?,
            config: serde_json::to_value(&new.config).map_err(Error::internal)?,
            version: 0,
            created_at: now,
            updated_at: now,
        };
        Ok((warehouse, store))
    }

    /// Changes a warehouse. Where it is cannot change; a changed way there is tried first.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when the storage would be another place, or cannot be used; [`Kind::AlreadyExists`] when the name is taken.
    pub async fn update_warehouse(
        &self,
        caller: &Caller,
        warehouse: &WarehouseRef,
        change: WarehouseChange,
    ) -> Result<Warehouse> {
        let permit = self.gate.permit::<ManageWarehouses>(caller, Server)?;
        let mut warehouse = store::warehouse::find(&mut *self.store.connection().await?, warehouse).await?;
        let expected = warehouse.version;
        if let Some(name) = change.name {
            check_warehouse_name(&name)?;
            warehouse.name = name;
        }
        if let Some(config) = change.config {
            check_config(&config)?;
            warehouse.config = serde_json::to_value(&config).map_err(Error::internal)?;
        }
        let storage_changes = change.storage.is_some() || change.secret.is_some();
        if let Some(storage) = change.storage {
            let root = storage.root(&warehouse.id.to_string())?;
            if root.as_str() != warehouse.root {
                let message = format!("A warehouse cannot move: it is at {}, not at {root}; create another one", warehouse.root);
                return Err(Error::invalid(message));
            }
            warehouse.storage = serde_json::to_value(&storage).map_err(Error::internal)?;
        }
        if let Some(secret) = change.secret {
            let storage: Profile = serde_json::from_value(warehouse.storage.clone()).map_err(Error::internal)?;
            check_secret(&storage, Some(&secret))?;
            warehouse.storage_secret = Some(self.files.seal(warehouse.id, &secret)?);
        }
        warehouse.version += 1;
        warehouse.updated_at = self.clock.now();
        if storage_changes {
            self.files.open(&warehouse)?.probe(&warehouse.id.to_string()).await?;
        }
        let mut tx = self.store.begin().await?;
        check_apart(&mut tx, &warehouse).await?;
        store::warehouse::update(&mut tx, &permit, &warehouse, expected).await?;
        store::commit(tx).await?;
        Ok(warehouse)
    }

    /// Deletes a warehouse in which nothing is.
    ///
    /// # Errors
    /// [`Kind::NotEmpty`] when a namespace is in it; [`Kind::NotFound`] when there is no such warehouse.
    pub async fn delete_warehouse(&self, caller: &Caller, warehouse: &WarehouseRef) -> Result<()> {
        let permit = self.gate.permit::<ManageWarehouses>(caller, Server)?;
        let mut connection = self.store.connection().await?;
        let warehouse = store::warehouse::find(&mut connection, warehouse).await?;
        store::warehouse::delete(&mut connection, &permit, &warehouse).await?;
        self.files.forget(warehouse.id);
        Ok(())
    }
}

/// Refuses a warehouse whose place overlaps another's, on the same store. Holds until the transaction ends.
async fn check_apart(connection: &mut PgConnection, new: &Warehouse) -> Result<()> {
    store::lock(connection, "nunatak warehouses").await?;
    let root = Location::parse(&new.root)?;
    // As a URL, so that two spellings of one store are one.
    let endpoint = |warehouse: &Warehouse| {
        let text = warehouse.storage.get("endpoint").and_then(serde_json::Value::as_str)?;
        url::Url::parse(text.trim_end_matches('/')).ok()
    };
    for other in store::warehouse::list(connection, None, i64::MAX).await? {
        let overlaps = Location::parse(&other.root).is_ok_and(|other| other.overlaps(&root));
        if overlaps && other.id != new.id && endpoint(&other) == endpoint(new) {
            let message = format!("The place of warehouse {} overlaps with that of {}", new.name, other.name);
            return Err(Error::new(Kind::Conflict, message));
        }
    }
    Ok(())
}

fn check_warehouse_name(name: &str) -> Result<()> {
    check_name("warehouse", name)?;
    if WarehouseRef::parse(name).id().is_some() {
        return Err(Error::invalid("Invalid warehouse name: it must not be a UUID"));
    }
    Ok(())
}

fn check_config(config: &WarehouseConfig) -> Result<()> {
    let mut names = config.defaults.keys().chain(config.overrides.keys());
    match names.find(|name| RESERVED_CONFIG.contains(&name.as_str())) {
        Some(reserved) => Err(Error::invalid(format!("Invalid configuration: {reserved} is the server's to set"))),
        None => Ok(()),
    }
}

fn check_secret(storage: &Profile, secret: Option<&ProfileSecret>) -> Result<()> {
    match (storage, secret) {
        (Profile::S3(_), Some(secret)) => secret.check(),
        (Profile::S3(_), None) => Err(Error::invalid("Invalid storage profile: access-key-id and secret-access-key are needed")),
        (_, None) => Ok(()),
        (_, Some(_)) => Err(Error::invalid("Invalid storage profile: keys are for S3 alone")),
    }
}
