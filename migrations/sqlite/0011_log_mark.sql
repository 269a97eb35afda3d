-- How far into its origin (a container's log) a chunk reaches, so that reading goes on there.
alter table log_chunk add column mark text;
