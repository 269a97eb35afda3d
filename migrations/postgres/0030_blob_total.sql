-- What upkeep found stored when it last looked at all blobs.
create table blob_total (
    id bigint not null primary key check (id = 1),
    blobs bigint not null check (blobs >= 0),
    bytes bigint not null check (bytes >= 0),
    measured_at timestamptz not null
);
