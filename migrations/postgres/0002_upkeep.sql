-- What upkeep needs to know to remove things safely. Triggers keep it true whoever writes.

-- A published number is never used again, also when what it named is gone.
create table version_tombstone (
    application_id uuid not null references application (id),
    component text not null,
    version text not null,
    digest text not null,
    removed_at timestamptz not null,
    primary key (application_id, component, version)
);
create function version_tombstone_insert() returns trigger language plpgsql as $$
begin
    if exists (select from version_tombstone t where t.application_id = new.application_id
        and t.component = new.component and t.version = new.version) then
        return null;
    end if;
    return new;
end $$;
create trigger version_tombstone_insert before insert on version
    for each row execute function version_tombstone_insert();

-- Every digest that a version consists of or is said to need: its own, its members', its images'.
create table version_content (
    digest text not null,
    version_id uuid not null references version (id),
    primary key (digest, version_id)
);
create index version_content_version on version_content (version_id);
create function version_digests(digest text, detail jsonb) returns setof text language sql immutable as $$
    select digest
    union
    select found #>> '{}' from jsonb_path_query(detail, '$.**.digest') found
    where jsonb_typeof(found) = 'string' and found #>> '{}' like 'sha256:%'
$$;
create function version_content_insert() returns trigger language plpgsql as $$
begin
    insert into version_content (digest, version_id)
    select d.digest, new.id from version_digests(new.digest, new.detail) d (digest);
    return null;
end $$;
create trigger version_content_insert after insert on version
    for each row execute function version_content_insert();
insert into version_content (digest, version_id)
select d.digest, v.id from version v, version_digests(v.digest, v.detail) d (digest);

create index version_ref on version (application_id, git_ref, id);

-- Branches that were deleted, and since when.
create table branch_gone (
    source_id uuid not null references source (id),
    name text collate "C" not null,
    since timestamptz not null,
    primary key (source_id, name)
);
create function branch_gone_delete() returns trigger language plpgsql as $$
begin
    insert into branch_gone (source_id, name, since) values (old.source_id, old.name, statement_timestamp())
    on conflict (source_id, name) do nothing;
    return null;
end $$;
create trigger branch_gone_delete after delete on git_ref
    for each row when (old.name like 'refs/heads/%') execute function branch_gone_delete();
create function branch_gone_insert() returns trigger language plpgsql as $$
begin
    delete from branch_gone where source_id = new.source_id and name = new.name;
    return null;
end $$;
create trigger branch_gone_insert after insert on git_ref
    for each row execute function branch_gone_insert();

-- What each manifest names (children, configuration, layers), read from its bytes by upkeep. Bytes
-- never change under a digest, so neither does this.
create table manifest_read (
    digest text not null primary key
);
create table manifest_child (
    child text not null,
    parent text not null references manifest_read (digest),
    primary key (child, parent)
);
-- Nothing is taken out of a repository while something here might name it.
create table manifest_unread (
    digest text collate "C" not null primary key
);
create function manifest_unread_insert() returns trigger language plpgsql as $$
begin
    if not exists (select from manifest_read r where r.digest = new.digest) then
        insert into manifest_unread (digest) values (new.digest) on conflict (digest) do nothing;
    end if;
    return null;
end $$;
create trigger manifest_unread_insert after insert on manifest
    for each row execute function manifest_unread_insert();
insert into manifest_unread (digest) select distinct digest from manifest;

create index manifest_digest on manifest (digest);
create index blob_link_digest on blob_link (digest);
create index git_pack_digest on git_pack (digest);
create index log_chunk_digest on log_chunk (digest);

-- When a blob was last put into a repository: an upload may be under way whose manifest comes later.
alter table blob_link add column linked_at timestamptz not null default statement_timestamp();

-- Blobs that nothing refers to, since when, and how far their removal is: `removing_at` is set before
-- the bytes go, `removed_at` after. From `removing_at` on nobody may refer to the digest, so that
-- whoever found the bytes before they went must store them again.
create table blob_unreferenced (
    digest text collate "C" not null primary key,
    since timestamptz not null,
    removing_at timestamptz,
    removed_at timestamptz check (removed_at is null or removing_at is not null)
);
create index blob_unreferenced_since on blob_unreferenced (since) where removing_at is null;
create index blob_unreferenced_removing on blob_unreferenced (digest) where removing_at is not null;
create function blob_refers() returns trigger language plpgsql as $$
begin
    -- Waits for one who is just condemning the blob; what that decided is seen by the next statement.
    delete from blob_unreferenced where digest = new.digest and removing_at is null;
    if exists (select from blob_unreferenced where digest = new.digest) then
        raise exception 'the blob is being removed' using errcode = 'object_in_use';
    end if;
    return new;
end $$;
create trigger blob_link_refers before insert on blob_link
    for each row when (new.origin is null) execute function blob_refers();
create trigger manifest_refers before insert on manifest for each row execute function blob_refers();
create trigger git_pack_refers before insert on git_pack for each row execute function blob_refers();
create trigger log_chunk_refers before insert on log_chunk for each row execute function blob_refers();
