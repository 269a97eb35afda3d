-- Instances of add-ons, and which applications are bound to them.
create table addon_instance (
    id text not null primary key,
    name text not null,
    environment_id text not null references environment (id),
    detail text not null,
    is_released integer not null,
    row_version integer not null
) strict;
create unique index addon_instance_name on addon_instance (name) where is_released = 0;

create table addon_binding (
    id text not null primary key,
    addon_id text not null references addon_instance (id),
    application_id text not null references application (id),
    environment_id text not null references environment (id),
    account text not null,
    prefix text,
    generation integer not null,
    created_at integer not null,
    created_by text not null,
    ended_at integer,
    ended_by text
) strict;
create unique index addon_binding_live on addon_binding (application_id, environment_id, addon_id)
    where ended_at is null;
create index addon_binding_addon on addon_binding (addon_id);

-- Definitions may be of add-ons too: SQLite changes no check of a table that is there.
create table definition_with_addons (
    kind text not null check (kind in ('component', 'trait', 'policy', 'step', 'addon')),
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
insert into definition_with_addons select * from definition;
drop trigger definition_keeps;
drop trigger definition_keeps_noted;
drop table definition;
alter table definition_with_addons rename to definition;
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
