-- What was found when a node of a deployment failed or timed out; its containers' logs are in log_chunk
-- under its id.
create table deployment_failure (
    id text not null primary key,
    deployment_id text not null references deployment (id) on delete cascade,
    node text not null,
    attempt integer not null,
    at integer not null,
    found text not null,
    unique (deployment_id, node, attempt)
) strict, without rowid;
