//! From the metadata of a view, the requirements and the updates of a commit to the metadata after it. Pure: no input, no output, no
//! clock. Ids and the history come about as Iceberg's Java implementation makes them, so that a retried commit has the same meaning.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::model::iceberg::update::LAST_ADDED;
use crate::model::iceberg::view::{VIEW_FORMAT_VERSION_MAX, VersionLogEntry, check_schema};
use crate::model::iceberg::{Extra, Schema, ViewMetadata, ViewRequirement, ViewUpdate, ViewVersion};
use crate::model::{Error, Result};

/// How many versions are kept; the view's property says otherwise.
const HISTORY_SIZE: usize = 10;
const HISTORY_SIZE_PROPERTY: &str = "version.history.num-entries";
const DROP_DIALECT_PROPERTY: &str = "replace.drop-dialect.allowed";
/// The id of a view's first version.
const VERSION_ID_FIRST: i32 = 1;

/// Applies a commit. `base` is `None` for a view that does not exist yet. Gives `None` where nothing changes.
///
/// # Errors
/// [`crate::model::Kind::CommitFailed`] where a requirement does not hold; [`crate::model::Kind::Invalid`] where an update is wrong in
/// itself.
pub fn apply(
    base: Option<&ViewMetadata>,
    requirements: &[ViewRequirement],
    updates: &[ViewUpdate],
    now: DateTime<Utc>,
) -> Result<Option<ViewMetadata>> {
    for requirement in requirements {
        check_requirement(requirement, base)?;
    }
    let mut builder = Builder {
        view: base.cloned().unwrap_or_else(empty),
        creating: base.is_none(),
        last_added_schema: None,
        last_added_version: None,
        added_versions: BTreeSet::new(),
        now_current: None,
    };
    for update in updates {
        builder.apply(update, now)?;
    }
    builder.finish(base)
}

fn check_requirement(requirement: &ViewRequirement, base: Option<&ViewMetadata>) -> Result<()> {
    let ViewRequirement::AssertViewUuid { uuid } = requirement;
    match base {
        Some(base) if base.view_uuid != *uuid => Err(Error::commit_failed(format!(
            "Requirement failed: view UUID does not match: expected {} != {uuid}",
            base.view_uuid
        ))),
        _ => Ok(()),
    }
}

fn empty() -> ViewMetadata {
    ViewMetadata {
        view_uuid: Uuid::nil(),
        format_version: VIEW_FORMAT_VERSION_MAX,
        location: String::new(),
        schemas: Vec::new(),
        current_version_id: LAST_ADDED,
        versions: Vec::new(),
        version_log: Vec::new(),
        properties: BTreeMap::new(),
        extra: Extra::new(),
    }
}

struct Builder {
    view: ViewMetadata,
    creating: bool,
    last_added_schema: Option<i32>,
    last_added_version: Option<i32>,
    added_versions: BTreeSet<i32>,
    /// What the log says of the version that this commit made current; of several only the last is ever seen.
    now_current: Option<VersionLogEntry>,
}

impl Builder {
    fn apply(&mut self, update: &ViewUpdate, now: DateTime<Utc>) -> Result<()> {
        match update {
            ViewUpdate::AssignUuid { uuid } => self.assign_uuid(*uuid)?,
            ViewUpdate::UpgradeFormatVersion { format_version } => self.upgrade(*format_version)?,
            ViewUpdate::AddSchema { schema } => self.add_schema(schema.clone())?,
            ViewUpdate::SetLocation { location } => location.trim_end_matches('/').clone_into(&mut self.view.location),
            ViewUpdate::SetProperties { updates } => self.view.properties.extend(updates.clone()),
            ViewUpdate::RemoveProperties { removals } => self.view.properties.retain(|name, _| !removals.contains(name)),
            ViewUpdate::AddViewVersion { view_version } => self.add_version(view_version.clone())?,
            ViewUpdate::SetCurrentViewVersion { view_version_id } => self.set_current_version(*view_version_id, now)?,
        }
        Ok(())
    }

    fn assign_uuid(&mut self, uuid: Uuid) -> Result<()> {
        if !self.creating && uuid != self.view.view_uuid {
            return Err(Error::invalid("Cannot reassign uuid: the view has one"));
        }
        self.view.view_uuid = uuid;
        Ok(())
    }

    fn upgrade(&mut self, to: u8) -> Result<()> {
        let from = self.view.format_version;
        if to < from {
            return Err(Error::invalid(format!("Cannot downgrade v{from} view to v{to}")));
        }
        if to > VIEW_FORMAT_VERSION_MAX {
            return Err(Error::invalid(format!("Unsupported format version: {to}")));
        }
        self.view.format_version = to;
        Ok(())
    }

    /// Adds a schema, or finds the one that says the same.
    fn add_schema(&mut self, mut schema: Schema) -> Result<()> {
        check_schema(&schema)?;
        let id = match self.view.schemas.iter().find(|known| known.same_as(&schema)) {
            Some(known) => known.schema_id,
            None => {
                schema.schema_id = id_after(0, self.view.schemas.iter().map(|known| known.schema_id))?;
                let id = schema.schema_id;
                self.view.schemas.push(schema);
                id
            }
        };
        self.last_added_schema = Some(id);
        Ok(())
    }

    /// Adds a version under its own id, or the next one where that is not free; or finds the one that says the same.
    fn add_version(&mut self, mut version: ViewVersion) -> Result<()> {
        version.check()?;
        if version.schema_id == LAST_ADDED {
            let added = self.last_added_schema;
            version.schema_id = added.ok_or_else(|| Error::invalid("Cannot set last added schema: no schema has been added"))?;
        }
        if !self.view.has_schema(version.schema_id) {
            return Err(Error::invalid(format!("Cannot add version with unknown schema: {}", version.schema_id)));
        }
        let id = match self.view.versions.iter().find(|known| known.same_as(&version)) {
            Some(known) => known.version_id,
            None => {
                let asked = if self.creating { VERSION_ID_FIRST } else { version.version_id.max(VERSION_ID_FIRST) };
                version.version_id = id_after(asked, self.view.versions.iter().map(|known| known.version_id))?;
                let id = version.version_id;
                self.view.versions.push(version);
                self.added_versions.insert(id);
                id
            }
        };
        self.last_added_version = Some(id);
        Ok(())
    }

    fn set_current_version(&mut self, id: i32, now: DateTime<Utc>) -> Result<()> {
        let id = if id == LAST_ADDED {
            let added = self.last_added_version;
            added.ok_or_else(|| Error::invalid("Cannot set last version id: no current version id has been set"))?
        } else {
            id
        };
        let Some(version) = self.view.version(id) else {
            return Err(Error::invalid(format!("Cannot set current version to unknown version: {id}")));
        };
        if self.view.current_version_id == id {
            return Ok(());
        }
        // An older version that is current again is so from now on.
        let new = self.added_versions.contains(&id);
        let timestamp_ms = if new { version.timestamp_ms } else { now.timestamp_millis() };
        self.view.current_version_id = id;
        self.now_current = Some(VersionLogEntry { timestamp_ms, version_id: id, extra: Extra::new() });
        Ok(())
    }

    fn finish(mut self, base: Option<&ViewMetadata>) -> Result<Option<ViewMetadata>> {
        if base.is_some_and(|base| *base == self.view) {
            return Ok(None);
        }
        if self.view.location.is_empty() {
            return Err(Error::invalid("Invalid view: no location is set"));
        }
        if self.view.view_uuid.is_nil() {
            return Err(Error::invalid("Invalid view: no uuid is assigned"));
        }
        if self.view.versions.is_empty() {
            return Err(Error::invalid("Invalid view: no versions were added"));
        }
        self.view.check()?;
        if let Some(base) = base {
            check_dialects(base.current_version()?, &self.view)?;
        }
        let history_size = history_size(&self.view)?;
        self.view.version_log.extend(self.now_current.take());
        self.expire(history_size);
        Ok(Some(self.view))
    }

    /// Removes the oldest versions, and what lies before them in the log. The current one and as many as this commit added stay.
    fn expire(&mut self, history_size: usize) {
        let current = self.view.current_version_id;
        let mut at_least = self.added_versions.clone();
        at_least.insert(current);
        let keep = history_size.max(at_least.len());
        let Some(excess) = self.view.versions.len().checked_sub(keep).filter(|excess| *excess > 0) else { return };
        let mut ids: Vec<i32> = self.view.versions.iter().map(|version| version.version_id).collect();
        ids.retain(|id| *id != current);
        ids.sort_unstable();
        let expired: BTreeSet<i32> = ids.into_iter().take(excess).collect();
        self.view.versions.retain(|version| !expired.contains(&version.version_id));
        let log = &mut self.view.version_log;
        if let Some(last_gone) = log.iter().rposition(|entry| expired.contains(&entry.version_id)) {
            log.drain(..=last_gone);
        }
    }
}

/// Refuses a commit after which a dialect that the view was written in is missing, unless the view allows that.
fn check_dialects(before: &ViewVersion, view: &ViewMetadata) -> Result<()> {
    if view.properties.get(DROP_DIALECT_PROPERTY).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(());
    }
    let (previous, new) = (before.dialects(), view.current_version()?.dialects());
    if previous.is_subset(&new) {
        return Ok(());
    }
    let list = |dialects: BTreeSet<String>| dialects.into_iter().collect::<Vec<_>>().join(", ");
    Err(Error::invalid(format!(
        "Cannot replace view due to loss of view dialects ({DROP_DIALECT_PROPERTY}=false):\n\
         Previous dialects: [{}]\nNew dialects: [{}]",
        list(previous),
        list(new)
    )))
}

/// How many versions the view keeps.
fn history_size(view: &ViewMetadata) -> Result<usize> {
    let Some(text) = view.properties.get(HISTORY_SIZE_PROPERTY) else { return Ok(HISTORY_SIZE) };
    let size = text.trim().parse().ok().filter(|size: &usize| *size > 0);
    size.ok_or_else(|| Error::invalid(format!("{HISTORY_SIZE_PROPERTY} must be positive but was {text}")))
}

/// `asked`, or what follows the highest id where that is not less.
fn id_after(asked: i32, taken: impl Iterator<Item = i32>) -> Result<i32> {
    match taken.max() {
        Some(highest) if highest >= asked => {
            highest.checked_add(1).ok_or_else(|| Error::invalid("Invalid view: no higher id is left"))
        }
        _ => Ok(asked),
    }
}
