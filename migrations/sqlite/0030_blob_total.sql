-- What upkeep found stored when it last looked at all blobs.
create table blob_total (
    id integer not null primary key check (id = 1),
    blobs integer not null check (blobs >= 0),
    bytes integer not null check (bytes >= 0),
    measured_at integer not null
) strict;
