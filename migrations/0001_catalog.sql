-- The catalog's first schema. Names sort by their bytes (COLLATE "C") whatever the database's locale, so that pages are stable.

-- One row: what this installation is.
CREATE TABLE installation (
    one             boolean     PRIMARY KEY DEFAULT true CONSTRAINT installation_one_row CHECK (one),
    id              uuid        NOT NULL,
    -- A known text sealed with the master key: opening it proves that a server came with the right one.
    key_check       bytea       NOT NULL,
    bootstrapped_at timestamptz NOT NULL
);

CREATE TABLE principal (
    id                uuid        PRIMARY KEY,
    name              text COLLATE "C" NOT NULL,
    client_id         text COLLATE "C" NOT NULL,
    secret_digest     bytea       NOT NULL,
    administrator     boolean     NOT NULL,
    disabled_at       timestamptz,
    -- Tokens carry it; those of an earlier one are refused. It grows when the secret changes, or the principal is disabled or enabled.
    generation        bigint      NOT NULL,
    created_at        timestamptz NOT NULL,
    CONSTRAINT principal_name_unique UNIQUE (name),
    CONSTRAINT principal_client_id_unique UNIQUE (client_id)
);

CREATE TABLE signing_key (
    id          uuid        PRIMARY KEY,
    -- PKCS#8 of an Ed25519 key, sealed with the master key.
    private_key bytea       NOT NULL,
    public_key  bytea       NOT NULL,
    created_at  timestamptz NOT NULL,
    -- Tokens signed by it are accepted until then; NULL while it may still sign.
    retired_at  timestamptz
);

CREATE TABLE warehouse (
    id             uuid        PRIMARY KEY,
    name           text COLLATE "C" NOT NULL,
    -- Where the tables are: every table's location lies inside it.
    root           text COLLATE "C" NOT NULL,
    -- The storage profile without its secrets, and the secrets, sealed with the master key.
    storage        jsonb       NOT NULL,
    storage_secret bytea,
    config         jsonb       NOT NULL,
    version        bigint      NOT NULL,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    CONSTRAINT warehouse_name_unique UNIQUE (name)
);

CREATE TABLE namespace (
    id           uuid        PRIMARY KEY,
    warehouse_id uuid        NOT NULL CONSTRAINT namespace_warehouse_fk REFERENCES warehouse,
    parent_id    uuid        CONSTRAINT namespace_parent_fk REFERENCES namespace,
    -- All levels, the last one its own name.
    path         text[] COLLATE "C" NOT NULL,
    properties   jsonb       NOT NULL,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    CONSTRAINT namespace_path_unique UNIQUE (warehouse_id, path)
);
CREATE INDEX namespace_parent ON namespace (parent_id);

-- Tables (views come beside them: they share the names).
CREATE TABLE tabular (
    id                uuid        PRIMARY KEY,
    warehouse_id      uuid        NOT NULL CONSTRAINT tabular_warehouse_fk REFERENCES warehouse,
    namespace_id      uuid        NOT NULL CONSTRAINT tabular_namespace_fk REFERENCES namespace,
    name              text COLLATE "C" NOT NULL,
    location          text COLLATE "C" NOT NULL,
    -- The `table-uuid` of its metadata: the same in all metadata files that this table, or one registered from them, ever had.
    table_uuid        uuid        NOT NULL,
    -- The pointer: what a commit compares and swaps.
    version           bigint      NOT NULL,
    metadata_location text        NOT NULL,
    -- The bytes of the metadata file, compressed with zstd.
    metadata          bytea       NOT NULL,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    CONSTRAINT tabular_name_unique UNIQUE (namespace_id, name),
    CONSTRAINT tabular_location_unique UNIQUE (warehouse_id, location)
) WITH (fillfactor = 70);
CREATE INDEX tabular_table_uuid ON tabular (table_uuid);
-- Compressed already: PostgreSQL need not try again.
ALTER TABLE tabular ALTER COLUMN metadata SET STORAGE EXTERNAL;

-- Locations that tables moved away from (set-location): files that they still reach are there.
CREATE TABLE former_location (
    tabular_id   uuid        NOT NULL CONSTRAINT former_location_tabular_fk REFERENCES tabular ON DELETE CASCADE,
    warehouse_id uuid        NOT NULL,
    location     text COLLATE "C" NOT NULL,
    PRIMARY KEY (tabular_id, location)
);
CREATE INDEX former_location_location ON former_location (warehouse_id, location);

-- The one deletion queue.
CREATE TABLE deletion (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    warehouse_id uuid        NOT NULL CONSTRAINT deletion_warehouse_fk REFERENCES warehouse ON DELETE CASCADE,
    -- metadata: `uri` is one metadata file. purge: all files of a table whose last metadata file is `uri`.
    kind         text        NOT NULL CONSTRAINT deletion_kind CHECK (kind IN ('metadata', 'purge')),
    uri          text COLLATE "C" NOT NULL,
    table_uuid   uuid        NOT NULL,
    location     text        NOT NULL,
    queued_at    timestamptz NOT NULL,
    due_at       timestamptz NOT NULL,
    -- Set by the worker before it looks for a reference and deletes; whoever wants the file back comes before that.
    claimed_at   timestamptz,
    -- Set once the file is gone. The row stays for a while: whoever read the file before must not make a table of it now.
    deleted_at   timestamptz
);
CREATE INDEX deletion_due ON deletion (kind, due_at) WHERE deleted_at IS NULL;
CREATE INDEX deletion_deleted ON deletion (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX deletion_uri ON deletion (uri);

CREATE TABLE metrics_report (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tabular_id   uuid        NOT NULL CONSTRAINT metrics_report_tabular_fk REFERENCES tabular ON DELETE CASCADE,
    principal_id uuid        NOT NULL,
    report       jsonb       NOT NULL,
    received_at  timestamptz NOT NULL
);
CREATE INDEX metrics_report_received ON metrics_report (received_at);
CREATE INDEX metrics_report_tabular ON metrics_report (tabular_id, received_at);
