//! One error for the whole program, sorted by what a caller can do about it. It knows nothing of transports; `api::error` maps it
//! to HTTP in one place.

use std::fmt;
use std::sync::Arc;

/// The result of everything that can fail towards a caller.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A kind of thing that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// A warehouse.
    Warehouse,
    /// A namespace.
    Namespace,
    /// A table.
    Table,
    /// A view.
    View,
    /// A principal.
    Principal,
    /// A route of the API, or anything else.
    Other,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warehouse => "Warehouse",
            Self::Namespace => "Namespace",
            Self::Table => "Table",
            Self::View => "View",
            Self::Principal => "Principal",
            Self::Other => "Resource",
        })
    }
}

/// What a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Look for something else: it does not exist, or the caller may not know that it does.
    NotFound(Object),
    /// Choose another name: this one is taken.
    AlreadyExists(Object),
    /// Empty it first.
    NotEmpty(Object),
    /// Read the table or view again and retry: a requirement of a commit does not hold, or somebody else was faster.
    CommitFailed,
    /// Change the state that stands against it first.
    Conflict,
    /// Bring a valid token.
    Unauthenticated,
    /// Ask for the right to do it.
    Denied,
    /// Send something else: the request itself is wrong.
    Invalid,
    /// Send something that can be done as a whole: its parts contradict each other.
    Unprocessable,
    /// Send less.
    TooLarge,
    /// Send another content type.
    UnsupportedMediaType,
    /// Use another method.
    MethodNotAllowed,
    /// Come back later; nothing was done.
    Unavailable,
    /// Look whether it happened: the outcome of a commit is not known, and it may still take effect.
    Unknown,
    /// Report it.
    Internal,
}

/// An error: its kind, a message that a caller may read, and a cause that only the log shows. Requests that share a statement share its
/// error.
#[derive(Clone, Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    cause: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` with a message for the caller.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), cause: None }
    }

    /// `<Object> does not exist: <name>`, the words that Iceberg's clients know.
    pub fn not_found(object: Object, name: impl fmt::Display) -> Self {
        Self::new(Kind::NotFound(object), format!("{object} does not exist: {name}"))
    }

    /// `<Object> already exists: <name>`.
    pub fn already_exists(object: Object, name: impl fmt::Display) -> Self {
        Self::new(Kind::AlreadyExists(object), format!("{object} already exists: {name}"))
    }

    /// `<Object> with same name already exists: <name>`: tables and views share their names.
    pub fn name_taken(by: Object, name: impl fmt::Display) -> Self {
        Self::new(Kind::AlreadyExists(by), format!("{by} with same name already exists: {name}"))
    }

    /// The request is wrong; `message` says what and where.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// A commit that its caller may retry on fresh metadata.
    pub fn commit_failed(message: impl Into<String>) -> Self {
        Self::new(Kind::CommitFailed, message)
    }

    /// Something in here went wrong; the caller learns only that.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self::new(Kind::Internal, "Internal server error").because(cause)
    }

    /// Something that the server needs does not answer now; nothing was done.
    pub fn unavailable(message: impl Into<String>, cause: impl Into<Cause>) -> Self {
        Self::new(Kind::Unavailable, message).because(cause)
    }

    /// Adds a cause, for the log alone.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(Arc::from(cause.into()));
        self
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The message for the caller.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn std::error::Error + 'static))
    }
}
