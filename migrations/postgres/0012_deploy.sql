-- The deploy stage: clusters, environments, what operators configure, deployments and who let them go.

create table cluster (
    id uuid not null primary key,
    name text collate "C" not null,
    -- UID of its namespace kube-system: what it is, however it is reached.
    uid text not null,
    settings jsonb not null,
    facts jsonb,
    revision bigint not null,
    created_at timestamptz not null,
    created_by text not null,
    removed_at timestamptz
);
create unique index cluster_name on cluster (name) where removed_at is null;
create unique index cluster_uid on cluster (uid) where removed_at is null;

create table environment (
    id uuid not null primary key,
    name text collate "C" not null,
    address text collate "C" not null,
    settings jsonb not null,
    revision bigint not null,
    created_at timestamptz not null,
    created_by text not null,
    changed_at timestamptz not null,
    changed_by text not null,
    removed_at timestamptz
);
create unique index environment_name on environment (name) where removed_at is null;
create unique index environment_address on environment (address) where removed_at is null;

-- What operators write, by application and level of the address; every version is kept.
create table configuration (
    application_id uuid not null references application (id),
    level text collate "C" not null,
    version bigint not null,
    document text not null,
    digest text not null,
    set_at timestamptz not null,
    set_by text not null,
    reason text,
    primary key (application_id, level, version)
);

create table deployment (
    id uuid not null primary key,
    application_id uuid not null references application (id),
    environment_id uuid not null references environment (id),
    generation bigint not null,
    bundle_id uuid not null references version (id),
    bundle_version text not null,
    bundle_digest text not null,
    lock_digest text not null,
    choice jsonb not null,
    cause jsonb not null,
    created_by text not null,
    revision text,
    predecessor text,
    document text,
    violations jsonb not null,
    notes jsonb not null,
    state text not null,
    state_json jsonb not null,
    row_version bigint not null,
    created_at timestamptz not null,
    frozen_at timestamptz,
    handed_off_at timestamptz,
    finished_at timestamptz,
    unique (environment_id, application_id, generation)
);
create index deployment_application on deployment (application_id, id);
create index deployment_bundle on deployment (bundle_id, id);
create index deployment_open on deployment (environment_id, application_id)
    where state not in ('rejected', 'broken', 'declined', 'expired', 'withdrawn', 'terminated', 'superseded', 'deleted');

create table approval (
    deployment_id uuid not null references deployment (id),
    person text collate "C" not null,
    -- What was looked at: an approval of another revision counts for nothing.
    revision text not null,
    token text not null,
    reason text,
    at timestamptz not null,
    primary key (deployment_id, person)
);

-- A pin keeps a version, a hold keeps whatever is there: nothing deploys by itself until it is released.
create table hold (
    environment_id uuid not null references environment (id),
    application_id uuid not null references application (id),
    version_id uuid references version (id),
    reason text not null,
    set_by text not null,
    set_at timestamptz not null,
    primary key (environment_id, application_id)
);

create table bundle_check (
    version_id uuid not null references version (id),
    name text collate "C" not null,
    state text not null check (state in ('pending', 'passed', 'failed')),
    detail text,
    url text,
    reported_by text not null,
    reported_at timestamptz not null,
    primary key (version_id, name)
);

-- Append-only; each entry's digest covers the one before it.
create table audit (
    seq bigint generated always as identity primary key,
    at timestamptz not null,
    actor text not null,
    action text not null,
    subject text not null,
    detail jsonb not null,
    digest text not null
);
create index audit_subject on audit (subject, seq);
create function audit_only_grows() returns trigger language plpgsql as $$
begin
    raise exception 'the audit record only grows';
end
$$;
create trigger audit_stays before update or delete or truncate on audit
    for each statement execute function audit_only_grows();

-- Whose token it is, and what it may do beside its role.
alter table token drop constraint token_role_check;
alter table token add constraint token_role_check check (role in ('reader', 'developer', 'operator', 'admin'));
alter table token add column person text;
alter table token add column break_glass boolean not null default false;
