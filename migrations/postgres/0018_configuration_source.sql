-- Operators' configuration followed from git: which file of which branch, and what was last seen of it.

-- The file and commit a version was taken from, where it was.
alter table configuration add column origin jsonb;

create table configuration_source (
    application_id uuid not null references application (id),
    -- A level; `*`: every level, a file each below the path.
    level text collate "C" not null,
    source_id uuid not null references source (id),
    branch text not null,
    path text not null,
    set_at timestamptz not null,
    set_by text not null,
    reason text,
    -- Rises with every stored change; the key of compare-and-swap.
    revision bigint not null,
    -- The newest commit that was looked at, and what stood against its files.
    seen_commit text,
    seen_at timestamptz,
    faults jsonb not null,
    primary key (application_id, level)
);
create index configuration_source_source on configuration_source (source_id);
