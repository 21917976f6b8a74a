//! What can be done, each with the kind of thing it is done to.

use crate::model::{NamespaceId, TableId, ViewId, WarehouseId};

/// Something a caller may want to do.
pub trait Action {
    /// What it is done to.
    type Resource: Copy + Send + Sync;
    /// Its name in messages and records.
    const NAME: &'static str;
    /// Whether it is an administrator's alone.
    const ADMINISTRATIVE: bool = false;
}

/// The server as a whole, for what belongs to no warehouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident($text:literal) on $resource:ty $(, $administrative:ident)?;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl Action for $name {
            type Resource = $resource;
            const NAME: &'static str = $text;
            $(const ADMINISTRATIVE: bool = actions!(@$administrative);)?
        }
    )+};
    (@administrative) => { true };
}

actions! {
    /// Create, change and delete warehouses.
    ManageWarehouses("manage-warehouses") on Server, administrative;
    /// Create, rotate, disable and list principals.
    ManagePrincipals("manage-principals") on Server, administrative;
    /// Replace the key that signs tokens.
    RotateSigningKey("rotate-signing-key") on Server, administrative;
    /// See a warehouse's configuration, and that it exists.
    UseWarehouse("use-warehouse") on WarehouseId;
    /// List what is at the top of a warehouse.
    ListWarehouse("list-warehouse") on WarehouseId;
    /// Create a namespace at the top of a warehouse.
    CreateTopNamespace("create-namespace") on WarehouseId;
    /// Create a namespace in another.
    CreateNamespace("create-namespace") on NamespaceId;
    /// Read a namespace's properties.
    ReadNamespace("read-namespace") on NamespaceId;
    /// List what is in a namespace.
    ListNamespace("list-namespace") on NamespaceId;
    /// Change a namespace's properties.
    UpdateNamespace("update-namespace") on NamespaceId;
    /// Drop a namespace.
    DropNamespace("drop-namespace") on NamespaceId;
    /// Create, register, or move a table into a namespace.
    CreateTable("create-table") on NamespaceId;
    /// Read a table.
    ReadTable("read-table") on TableId;
    /// Commit to a table.
    CommitTable("commit-table") on TableId;
    /// Rename a table, or move it out of its namespace.
    RenameTable("rename-table") on TableId;
    /// Drop a table.
    DropTable("drop-table") on TableId;
    /// Drop a table and its files.
    PurgeTable("purge-table") on TableId;
    /// Send a metrics report for a table.
    ReportMetrics("report-metrics") on TableId;
    /// Create a view in a namespace, or move one into it.
    CreateView("create-view") on NamespaceId;
    /// Read a view: its definition, and that it exists.
    ReadView("read-view") on ViewId;
    /// Commit to a view.
    ReplaceView("replace-view") on ViewId;
    /// Rename a view, or move it out of its namespace.
    RenameView("rename-view") on ViewId;
    /// Drop a view.
    DropView("drop-view") on ViewId;
}
