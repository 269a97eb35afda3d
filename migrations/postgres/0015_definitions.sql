-- Definitions that were brought to the server, the major versions that applications hold, and what
-- revisions were made by.

create table definition (
    kind text not null check (kind in ('component', 'trait', 'policy', 'step')),
    name text collate "C" not null,
    version text collate "C" not null,
    -- Of its files: what revisions name it by.
    digest text not null,
    -- The blob that holds them.
    archive text not null,
    reference text not null,
    enabled boolean not null,
    installed_at timestamptz not null,
    installed_by text not null,
    primary key (kind, name, version)
);
create index definition_archive on definition (archive);
create function definition_refers() returns trigger language plpgsql as $$
begin
    -- Waits for one who is just condemning the blob; what that decided is seen by the next statement.
    delete from blob_unreferenced where digest = new.archive and removing_at is null;
    if exists (select from blob_unreferenced where digest = new.archive) then
        raise exception 'the blob is being removed' using errcode = 'object_in_use';
    end if;
    return new;
end $$;
create trigger definition_refers before insert on definition
    for each row execute function definition_refers();
-- Servers of the release before collect blobs too, and do not look here.
create function definition_keeps() returns trigger language plpgsql as $$
begin
    if exists (select from definition where archive = new.digest) then
        return null;
    end if;
    return new;
end $$;
create trigger definition_keeps before insert on blob_unreferenced
    for each row execute function definition_keeps();
create trigger definition_keeps_noted before update of removing_at on blob_unreferenced
    for each row when (new.removing_at is not null) execute function definition_keeps();

create table definition_hold (
    application_id uuid not null references application (id),
    kind text not null,
    name text collate "C" not null,
    major bigint not null,
    set_at timestamptz not null,
    set_by text not null,
    primary key (application_id, kind, name)
);

-- By revision, not by deployment: a rollback takes up a revision as it was frozen.
create table revision_definition (
    revision text collate "C" not null,
    kind text not null,
    name text collate "C" not null,
    version text not null,
    digest text not null,
    primary key (revision, kind, name)
);
