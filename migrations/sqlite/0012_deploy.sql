-- The deploy stage: clusters, environments, what operators configure, deployments and who let them go.

create table cluster (
    id text not null primary key,
    name text not null,
    -- UID of its namespace kube-system: what it is, however it is reached.
    uid text not null,
    settings text not null,
    facts text,
    revision integer not null,
    created_at integer not null,
    created_by text not null,
    removed_at integer
) strict;
create unique index cluster_name on cluster (name) where removed_at is null;
create unique index cluster_uid on cluster (uid) where removed_at is null;

create table environment (
    id text not null primary key,
    name text not null,
    address text not null,
    settings text not null,
    revision integer not null,
    created_at integer not null,
    created_by text not null,
    changed_at integer not null,
    changed_by text not null,
    removed_at integer
) strict;
create unique index environment_name on environment (name) where removed_at is null;
create unique index environment_address on environment (address) where removed_at is null;

-- What operators write, by application and level of the address; every version is kept.
create table configuration (
    application_id text not null references application (id),
    level text not null,
    version integer not null,
    document text not null,
    digest text not null,
    set_at integer not null,
    set_by text not null,
    reason text,
    primary key (application_id, level, version)
) strict, without rowid;

create table deployment (
    id text not null primary key,
    application_id text not null references application (id),
    environment_id text not null references environment (id),
    generation integer not null,
    bundle_id text not null references version (id),
    bundle_version text not null,
    bundle_digest text not null,
    lock_digest text not null,
    choice text not null,
    cause text not null,
    created_by text not null,
    revision text,
    predecessor text,
    document text,
    violations text not null,
    notes text not null,
    state text not null,
    state_json text not null,
    row_version integer not null,
    created_at integer not null,
    frozen_at integer,
    handed_off_at integer,
    finished_at integer,
    unique (environment_id, application_id, generation)
) strict;
create index deployment_application on deployment (application_id, id);
create index deployment_bundle on deployment (bundle_id, id);
create index deployment_open on deployment (environment_id, application_id)
    where state not in ('rejected', 'broken', 'declined', 'expired', 'withdrawn', 'terminated', 'superseded', 'deleted');

create table approval (
    deployment_id text not null references deployment (id),
    person text not null,
    -- What was looked at: an approval of another revision counts for nothing.
    revision text not null,
    token text not null,
    reason text,
    at integer not null,
    primary key (deployment_id, person)
) strict, without rowid;

-- A pin keeps a version, a hold keeps whatever is there: nothing deploys by itself until it is released.
create table hold (
    environment_id text not null references environment (id),
    application_id text not null references application (id),
    version_id text references version (id),
    reason text not null,
    set_by text not null,
    set_at integer not null,
    primary key (environment_id, application_id)
) strict, without rowid;

create table bundle_check (
    version_id text not null references version (id),
    name text not null,
    state text not null check (state in ('pending', 'passed', 'failed')),
    detail text,
    url text,
    reported_by text not null,
    reported_at integer not null,
    primary key (version_id, name)
) strict, without rowid;

-- Append-only; each entry's digest covers the one before it.
create table audit (
    seq integer primary key autoincrement,
    at integer not null,
    actor text not null,
    action text not null,
    subject text not null,
    detail text not null,
    digest text not null
) strict;
create index audit_subject on audit (subject, seq);
create trigger audit_stays before update on audit begin select raise(abort, 'the audit record only grows'); end;
create trigger audit_remains before delete on audit begin select raise(abort, 'the audit record only grows'); end;

-- Whose token it is, and what it may do beside its role.
create table token_new (
    id text not null primary key,
    name text not null,
    hash text not null unique,
    role text check (role in ('reader', 'developer', 'operator', 'admin')),
    application_id text references application (id),
    grants text not null,
    created_at integer not null,
    expires_at integer,
    last_used_at integer,
    revoked_at integer,
    person text,
    break_glass integer not null default 0
) strict;
insert into token_new (id, name, hash, role, application_id, grants, created_at, expires_at, last_used_at, revoked_at)
    select id, name, hash, role, application_id, grants, created_at, expires_at, last_used_at, revoked_at from token;
drop table token;
alter table token_new rename to token;
create unique index token_name on token (name) where revoked_at is null;
