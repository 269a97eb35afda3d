-- Checks that developers declare. A bundle with one that has not passed, and that no operator waived, is
-- held: selections leave it out.
create table declared_check (
    id text not null primary key,
    version_id text not null references version (id) on delete cascade,
    application_id text not null references application (id),
    run_id text not null references run (id),
    name text not null,
    plan text not null,
    inputs text not null,
    fresh integer not null,
    state text not null,
    -- Whether it ran itself, so that its answer may serve others.
    ran integer not null,
    state_json text not null,
    attempt integer not null,
    waived_by text,
    waived_reason text,
    waived_at integer,
    generation integer not null,
    created_at integer not null,
    started_at integer,
    finished_at integer,
    unique (version_id, name)
) strict;
create index declared_check_holds on declared_check (application_id, version_id)
    where state <> 'passed' and waived_at is null;
create index declared_check_holds_version on declared_check (version_id)
    where state <> 'passed' and waived_at is null;
create index declared_check_inputs on declared_check (application_id, inputs, finished_at)
    where state = 'passed';
create index declared_check_run on declared_check (run_id);
