-- Checks that developers declare. A bundle with one that has not passed, and that no operator waived, is
-- held: selections leave it out.
create table declared_check (
    id uuid not null primary key,
    version_id uuid not null references version (id) on delete cascade,
    application_id uuid not null references application (id),
    run_id uuid not null references run (id),
    name text not null,
    plan jsonb not null,
    inputs text not null,
    fresh boolean not null,
    state text not null,
    -- Whether it ran itself, so that its answer may serve others.
    ran boolean not null,
    state_json jsonb not null,
    attempt bigint not null,
    waived_by text,
    waived_reason text,
    waived_at timestamptz,
    generation bigint not null,
    created_at timestamptz not null,
    started_at timestamptz,
    finished_at timestamptz,
    unique (version_id, name)
);
create index declared_check_holds on declared_check (application_id, version_id)
    where state <> 'passed' and waived_at is null;
create index declared_check_holds_version on declared_check (version_id)
    where state <> 'passed' and waived_at is null;
create index declared_check_inputs on declared_check (application_id, inputs, finished_at)
    where state = 'passed';
create index declared_check_run on declared_check (run_id);
