-- Blob uploads into the registry that are under way. What has come is blobs, so that any server can
-- go on with an upload, and a restart loses none.
create table upload (
    id uuid not null primary key,
    repository text not null,
    used_at timestamptz not null
);
create index upload_used on upload (used_at);
create table upload_part (
    upload_id uuid not null references upload (id) on delete cascade,
    start bigint not null,
    length bigint not null check (length > 0),
    digest text not null,
    primary key (upload_id, start)
);
create index upload_part_digest on upload_part (digest);
create trigger upload_part_refers before insert on upload_part
    for each row execute function blob_refers();
