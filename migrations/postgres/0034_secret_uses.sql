-- Which secrets each revision was frozen with, so that who uses one is asked of rows, and what became of
-- restarts after a secret got its next value.

-- Revisions whose secrets are noted, be it that they have none. By revision, not by deployment: a rollback
-- takes one up.
create table revision_secret_noted (
    revision text not null primary key
);

create table revision_secret (
    revision text not null,
    -- As it stands in the revision, with its key.
    reference text collate "C" not null,
    -- What it is found by: without the key, and a Secret's without its cluster.
    name text collate "C" not null,
    scope text collate "C",
    version text not null,
    -- Components that the value goes into.
    components jsonb not null,
    primary key (revision, reference)
);
create index revision_secret_name on revision_secret (name, revision);
create index deployment_revision on deployment (revision);

create table secret_rotation (
    -- The name under which the secret is stored, and the version that it got.
    secret text collate "C" not null,
    version bigint not null,
    reason text not null,
    person text not null,
    actor text not null,
    started_at timestamptz not null,
    ended_at timestamptz,
    -- Why it ended before all were come to.
    problem text,
    primary key (secret, version)
);

create table secret_restart (
    secret text collate "C" not null,
    version bigint not null,
    environment_id uuid not null references environment (id),
    application_id uuid not null references application (id),
    -- The deployment that was made, or why there is none; neither: its turn has not come.
    deployment_id uuid references deployment (id),
    problem text,
    hint text,
    primary key (secret, version, environment_id, application_id),
    foreign key (secret, version) references secret_rotation (secret, version)
);
