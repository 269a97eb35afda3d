//! The embedded records adapter: SQLite in WAL mode with a single writer.
