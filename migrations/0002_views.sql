-- Views beside tables: they share names, locations, and the pointer that a commit compares and swaps. What was there are tables.
-- The default stays, for servers of the version before. Of a view, `table_uuid` is the `view-uuid` of its metadata.
ALTER TABLE tabular ADD COLUMN kind text NOT NULL DEFAULT 'table' CONSTRAINT tabular_kind CHECK (kind IN ('table', 'view'));
