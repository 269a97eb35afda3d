-- Operators' configuration followed from git: which file of which branch, and what was last seen of it.

-- The file and commit a version was taken from, where it was.
alter table configuration add column origin text;

create table configuration_source (
    application_id text not null references application (id),
    -- A level; `*`: every level, a file each below the path.
    level text not null,
    source_id text not null references source (id),
    branch text not null,
    path text not null,
    set_at integer not null,
    set_by text not null,
    reason text,
    -- Rises with every stored change; the key of compare-and-swap.
    revision integer not null,
    -- The newest commit that was looked at, and what stood against its files.
    seen_commit text,
    seen_at integer,
    faults text not null,
    primary key (application_id, level)
) strict, without rowid;
create index configuration_source_source on configuration_source (source_id);
