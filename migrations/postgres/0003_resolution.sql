-- What each image reference led to when its registry last answered, for when that cannot be reached.
create table resolution (
    reference text collate "C" not null primary key,
    digest text not null,
    resolved_at timestamptz not null
);
create index resolution_age on resolution (resolved_at);
