-- Blob uploads into the registry that are under way. What has come is blobs, so that any server can
-- go on with an upload, and a restart loses none.
create table upload (
    id text not null primary key,
    repository text not null,
    used_at integer not null
) strict, without rowid;
create index upload_used on upload (used_at);
create table upload_part (
    upload_id text not null references upload (id) on delete cascade,
    start integer not null,
    length integer not null check (length > 0),
    digest text not null,
    primary key (upload_id, start)
) strict, without rowid;
create index upload_part_digest on upload_part (digest);
create trigger upload_part_refers before insert on upload_part
begin
    select raise(abort, 'the blob is being removed') from blob_unreferenced
    where digest = new.digest and removing_at is not null;
    delete from blob_unreferenced where digest = new.digest;
end;
