-- Definitions that were brought to the server, the major versions that applications hold, and what
-- revisions were made by.

create table definition (
    kind text not null check (kind in ('component', 'trait', 'policy', 'step')),
    name text not null,
    version text not null,
    -- Of its files: what revisions name it by.
    digest text not null,
    -- The blob that holds them.
    archive text not null,
    reference text not null,
    enabled integer not null,
    installed_at integer not null,
    installed_by text not null,
    primary key (kind, name, version)
) strict, without rowid;
create index definition_archive on definition (archive);
create trigger definition_refers before insert on definition
begin
    select raise(abort, 'the blob is being removed') from blob_unreferenced
    where digest = new.archive and removing_at is not null;
    delete from blob_unreferenced where digest = new.archive;
end;
-- Servers of the release before collect blobs too, and do not look here.
create trigger definition_keeps before insert on blob_unreferenced
when exists (select 1 from definition where archive = new.digest)
begin
    select raise(ignore);
end;
create trigger definition_keeps_noted before update of removing_at on blob_unreferenced
when new.removing_at is not null and exists (select 1 from definition where archive = new.digest)
begin
    select raise(ignore);
end;

create table definition_hold (
    application_id text not null references application (id),
    kind text not null,
    name text not null,
    major integer not null,
    set_at integer not null,
    set_by text not null,
    primary key (application_id, kind, name)
) strict, without rowid;

-- By revision, not by deployment: a rollback takes up a revision as it was frozen.
create table revision_definition (
    revision text not null,
    kind text not null,
    name text not null,
    version text not null,
    digest text not null,
    primary key (revision, kind, name)
) strict, without rowid;
