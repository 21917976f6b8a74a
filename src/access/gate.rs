//! The gate: the one place that decides, and the one maker of permits.

use std::sync::Arc;

use super::{Action, ReadTable};
use crate::model::{Error, Kind, PrincipalId, Result};

/// Who is calling, as their token says and the database confirms.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The principal.
    pub id: PrincipalId,
    /// Its name, for messages and logs.
    pub name: Arc<str>,
    /// Whether it administers the server.
    pub administrator: bool,
}

/// What a reader must have done to what it reads: row filters and masks. There are none yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Obligations {}

impl Obligations {
    /// Whether the caller may see everything as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self {}
    }
}

/// Leave to do `A` to one resource. It cannot be built outside this module.
#[derive(Debug)]
pub struct Permit<A: Action> {
    resource: A::Resource,
    principal: PrincipalId,
    obligations: Obligations,
}

impl<A: Action> Permit<A> {
    /// What it is for.
    #[must_use]
    pub fn resource(&self) -> A::Resource {
        self.resource
    }

    /// Who holds it.
    #[must_use]
    pub fn principal(&self) -> PrincipalId {
        self.principal
    }
}

/// Proof that its holder may see a table's files as they are; storage credentials are made from nothing else.
#[derive(Debug)]
pub struct RawAccess {
    permit: Permit<ReadTable>,
}

impl RawAccess {
    /// The permit it came from.
    #[must_use]
    pub fn permit(&self) -> &Permit<ReadTable> {
        &self.permit
    }
}

impl Permit<ReadTable> {
    /// Raw access where no obligation stands against it.
    ///
    /// # Errors
    /// The permit itself, for the governed answer, where one does.
    pub fn into_raw_access(self) -> Result<RawAccess, Self> {
        if self.obligations.is_empty() { Ok(RawAccess { permit: self }) } else { Err(self) }
    }
}

/// Decides. Every principal that is not disabled may use the catalog; administration is the administrators' alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gate {}

impl Gate {
    /// Asks for leave to do `A` to `resource`.
    ///
    /// # Errors
    /// [`Kind::Denied`] with the action's name.
    #[allow(clippy::unused_self, reason = "decisions will come from the grants it holds")]
    pub fn permit<A: Action>(&self, caller: &Caller, resource: A::Resource) -> Result<Permit<A>> {
        if A::ADMINISTRATIVE && !caller.administrator {
            return Err(Error::new(Kind::Denied, format!("Principal {} may not {}", caller.name, A::NAME)));
        }
        Ok(Permit { resource, principal: caller.id, obligations: Obligations::default() })
    }
}
