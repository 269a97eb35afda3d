-- What was found when a node of a deployment failed or timed out; its containers' logs are in log_chunk
-- under its id.
create table deployment_failure (
    id uuid not null primary key,
    deployment_id uuid not null references deployment (id) on delete cascade,
    node text not null,
    attempt bigint not null,
    at timestamptz not null,
    found jsonb not null,
    unique (deployment_id, node, attempt)
);
