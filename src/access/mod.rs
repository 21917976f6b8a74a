//! Who may do what. A decision is a value: nothing that reads or changes the catalog can be called without the [`Permit`] for it, and
//! only [`Gate`] makes one.

mod action;
mod gate;

pub use action::*;
pub use gate::{Caller, Gate, Obligations, Permit, RawAccess};
