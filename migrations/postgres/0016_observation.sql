-- What receivers say of the deployments that they have.

create table observation (
    deployment_id uuid not null primary key references deployment (id),
    detail jsonb not null,
    row_version bigint not null
);
