-- What upkeep needs to know to remove things safely. Triggers keep it true whoever writes.

-- A published number is never used again, also when what it named is gone.
create table version_tombstone (
    application_id text not null references application (id),
    component text not null,
    version text not null,
    digest text not null,
    removed_at integer not null,
    primary key (application_id, component, version)
) strict, without rowid;
create trigger version_tombstone_insert before insert on version
when exists (select 1 from version_tombstone t where t.application_id = new.application_id
    and t.component = new.component and t.version = new.version)
begin
    select raise(ignore);
end;

-- Every digest that a version consists of or is said to need: its own, its members', its images'.
create table version_content (
    digest text not null,
    version_id text not null references version (id),
    primary key (digest, version_id)
) strict, without rowid;
create index version_content_version on version_content (version_id);
create trigger version_content_insert after insert on version
begin
    insert into version_content (digest, version_id)
    select new.digest, new.id
    union
    select atom, new.id from json_tree(new.detail)
    where key = 'digest' and type = 'text' and atom like 'sha256:%';
end;
insert into version_content (digest, version_id)
select digest, id from version
union
select d.atom, v.id from version v, json_tree(v.detail) d
where d.key = 'digest' and d.type = 'text' and d.atom like 'sha256:%';

create index version_ref on version (application_id, git_ref, id);

-- Branches that were deleted, and since when.
create table branch_gone (
    source_id text not null references source (id),
    name text not null,
    since integer not null,
    primary key (source_id, name)
) strict, without rowid;
create trigger branch_gone_delete after delete on git_ref when old.name like 'refs/heads/%'
begin
    insert into branch_gone (source_id, name, since)
    values (old.source_id, old.name, cast((julianday('now') - 2440587.5) * 86400000 as integer))
    on conflict (source_id, name) do nothing;
end;
create trigger branch_gone_insert after insert on git_ref
begin
    delete from branch_gone where source_id = new.source_id and name = new.name;
end;

-- What each manifest names (children, configuration, layers), read from its bytes by upkeep. Bytes
-- never change under a digest, so neither does this.
create table manifest_read (
    digest text not null primary key
) strict, without rowid;
create table manifest_child (
    child text not null,
    parent text not null references manifest_read (digest),
    primary key (child, parent)
) strict, without rowid;
-- Nothing is taken out of a repository while something here might name it.
create table manifest_unread (
    digest text not null primary key
) strict, without rowid;
create trigger manifest_unread_insert after insert on manifest
when not exists (select 1 from manifest_read r where r.digest = new.digest)
begin
    insert into manifest_unread (digest) values (new.digest)
    on conflict (digest) do nothing;
end;
insert into manifest_unread (digest) select distinct digest from manifest;

create index manifest_digest on manifest (digest);
create index blob_link_digest on blob_link (digest);
create index git_pack_digest on git_pack (digest);
create index log_chunk_digest on log_chunk (digest);

-- When a blob was last put into a repository: an upload may be under way whose manifest comes later.
alter table blob_link add column linked_at integer not null default 0;
create trigger blob_link_touch before insert on blob_link
begin
    update blob_link set linked_at = cast((julianday('now') - 2440587.5) * 86400000 as integer)
    where repository = new.repository and digest = new.digest;
end;
create trigger blob_link_time after insert on blob_link
begin
    update blob_link set linked_at = cast((julianday('now') - 2440587.5) * 86400000 as integer)
    where repository = new.repository and digest = new.digest;
end;

-- Blobs that nothing refers to, since when, and how far their removal is: `removing_at` is set before
-- the bytes go, `removed_at` after. From `removing_at` on nobody may refer to the digest, so that
-- whoever found the bytes before they went must store them again.
create table blob_unreferenced (
    digest text not null primary key,
    since integer not null,
    removing_at integer,
    removed_at integer check (removed_at is null or removing_at is not null)
) strict, without rowid;
create index blob_unreferenced_since on blob_unreferenced (since) where removing_at is null;
create index blob_unreferenced_removing on blob_unreferenced (digest) where removing_at is not null;
create trigger blob_link_refers before insert on blob_link when new.origin is null
begin
    select raise(abort, 'the blob is being removed') from blob_unreferenced
    where digest = new.digest and removing_at is not null;
    delete from blob_unreferenced where digest = new.digest;
end;
create trigger manifest_refers before insert on manifest
begin
    select raise(abort, 'the blob is being removed') from blob_unreferenced
    where digest = new.digest and removing_at is not null;
    delete from blob_unreferenced where digest = new.digest;
end;
create trigger git_pack_refers before insert on git_pack
begin
    select raise(abort, 'the blob is being removed') from blob_unreferenced
    where digest = new.digest and removing_at is not null;
    delete from blob_unreferenced where digest = new.digest;
end;
create trigger log_chunk_refers before insert on log_chunk
begin
    select raise(abort, 'the blob is being removed') from blob_unreferenced
    where digest = new.digest and removing_at is not null;
    delete from blob_unreferenced where digest = new.digest;
end;
