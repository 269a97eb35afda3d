//! Repository traits, the job queue and its payloads, and the worker that runs them.
