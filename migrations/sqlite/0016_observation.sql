-- What receivers say of the deployments that they have.

create table observation (
    deployment_id text not null primary key references deployment (id),
    detail text not null,
    row_version integer not null
) strict, without rowid;
