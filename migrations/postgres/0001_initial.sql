-- Digests are `sha256:<hex>` so that people can read them; a state is its word, with the whole of it
-- as JSON beside it. Names that are listed in order compare by bytes, whatever the database's locale.

create table source (
    id uuid not null primary key,
    name text collate "C" not null unique,
    kind text not null check (kind in ('builtin', 'https')),
    url text check ((kind = 'https') = (url is not null)),
    credential text,
    poll_interval_s bigint not null,
    swept_at timestamptz,
    last_error text,
    created_at timestamptz not null,
    git_revision bigint not null default 0,
    refusals bigint not null default 0
);

create table application (
    id uuid not null primary key,
    name text collate "C" not null unique,
    source_id uuid not null references source (id),
    path text not null,
    created_at timestamptz not null,
    -- Hidden, not gone: versions stay pullable and the numbers go on when it is made again.
    deleted_at timestamptz
);
create index application_source on application (source_id);

create table git_pack (
    source_id uuid not null references source (id),
    seq bigint not null,
    digest text not null,
    size bigint not null,
    primary key (source_id, seq),
    unique (source_id, digest)
);

create table git_ref (
    source_id uuid not null references source (id),
    name text collate "C" not null,
    object_id text not null,
    commit_id text not null,
    primary key (source_id, name)
);

create table delivery (
    id uuid not null primary key,
    source_id uuid not null references source (id),
    origin text not null,
    external_id text,
    event text not null,
    git_ref text,
    commit_id text,
    actor text not null,
    fresh boolean not null,
    state text not null check (state in ('received', 'planned', 'ignored', 'failed')),
    state_json jsonb not null,
    received_at timestamptz not null
);
create unique index delivery_external on delivery (source_id, origin, external_id)
    where external_id is not null;
create index delivery_source on delivery (source_id, id);
create index delivery_commit on delivery (source_id, commit_id, git_ref);

create table refusal (
    id bigint generated always as identity primary key,
    source_id uuid not null references source (id),
    at timestamptz not null,
    address text not null,
    reason text not null
);
create index refusal_source on refusal (source_id, id);

create table run (
    id uuid not null primary key,
    number bigint not null,
    application_id uuid not null references application (id),
    git_ref text not null,
    commit_id text not null,
    actor text not null,
    subject text not null,
    author text not null,
    committed_at timestamptz not null,
    delivery_id uuid references delivery (id),
    retry_of uuid references run (id),
    fresh boolean not null,
    version_number bigint,
    state text not null check (state in (
        'queued', 'planning', 'building', 'packaging', 'cancelling', 'done', 'skipped', 'failed', 'timed_out',
        'superseded', 'cancelled')),
    state_json jsonb not null,
    generation bigint not null,
    created_at timestamptz not null,
    started_at timestamptz,
    finished_at timestamptz,
    unique (application_id, number)
);
create unique index run_commit on run (application_id, git_ref, commit_id) where retry_of is null;
create index run_ref on run (application_id, git_ref, number);
create index run_application on run (application_id, id);
create index run_state on run (state, id);

create table build (
    id uuid not null primary key,
    run_id uuid not null references run (id),
    application_id uuid not null references application (id),
    component text collate "C" not null,
    kit text not null,
    position bigint not null,
    backend text,
    backend_why text,
    plan jsonb not null,
    image_fingerprint text,
    state text not null check (state in (
        'queued', 'building', 'pushing', 'pushed', 'reused', 'failed', 'timed_out', 'cancelling', 'cancelled')),
    state_json jsonb not null,
    attempt bigint not null,
    stages_ms jsonb not null,
    generation bigint not null,
    created_at timestamptz not null,
    started_at timestamptz,
    finished_at timestamptz,
    unique (run_id, component)
);

create table build_result (
    application_id uuid not null references application (id),
    component text not null,
    fingerprint text not null,
    build_id uuid not null references build (id),
    images jsonb not null,
    built_at timestamptz not null,
    primary key (application_id, component, fingerprint)
);

create table log_chunk (
    log uuid not null,
    start bigint not null,
    length bigint not null check (length > 0),
    digest text not null,
    primary key (log, start)
);

create table branch_number (
    application_id uuid not null references application (id),
    branch text not null,
    last bigint not null,
    primary key (application_id, branch)
);

create table version (
    id uuid not null primary key,
    application_id uuid not null references application (id),
    -- Empty for a bundle, so that it takes part in the unique index.
    component text not null,
    version text not null,
    -- Its byte order is SemVer precedence.
    sort_key text collate "C" not null,
    digest text not null,
    size bigint not null,
    built_as text not null,
    run_id uuid not null references run (id),
    git_ref text not null,
    commit_id text not null,
    fingerprint text not null,
    detail jsonb not null,
    created_at timestamptz not null,
    unique (application_id, component, version)
);
create unique index version_application on version (application_id, id);
create index version_precedence on version (application_id, component, sort_key);
create index version_fingerprint on version (application_id, component, fingerprint)
    where version = built_as;
create index version_digest on version (digest, id);

-- Every distinct `key=value` once; the versions that have it are in a posting table, newest first.
create table label_pair (
    id bigint generated always as identity primary key,
    key text collate "C" not null,
    value text collate "C" not null,
    unique (key, value),
    unique (id, key)
);

create table version_label (
    pair_id bigint not null,
    version_id uuid not null references version (id),
    key text collate "C" not null,
    primary key (pair_id, version_id),
    foreign key (pair_id, key) references label_pair (id, key)
);
create unique index version_label_key on version_label (version_id, key);

create table label_history (
    id bigint generated always as identity primary key,
    version_id uuid not null references version (id),
    key text not null,
    old_value text,
    new_value text,
    changed_at timestamptz not null,
    changed_by text not null,
    reason text
);
create index label_history_version on label_history (version_id, id);

create table channel (
    application_id uuid not null references application (id),
    name text collate "C" not null,
    version_id uuid not null,
    moved_at timestamptz not null,
    moved_by text not null,
    primary key (application_id, name),
    foreign key (application_id, version_id) references version (application_id, id)
);

create table channel_history (
    id bigint generated always as identity primary key,
    application_id uuid not null references application (id),
    name text not null,
    from_version_id uuid references version (id),
    to_version_id uuid not null references version (id),
    moved_at timestamptz not null,
    moved_by text not null,
    reason text
);
create index channel_history_channel on channel_history (application_id, name, id);

create table blob_link (
    repository text collate "C" not null,
    digest text not null,
    size bigint not null,
    -- Repository of another registry that holds the bytes; unset: they are kept here.
    origin text,
    primary key (repository, digest)
);

create table manifest (
    repository text collate "C" not null,
    digest text collate "C" not null,
    media_type text not null,
    artifact_type text,
    subject text,
    size bigint not null,
    annotations jsonb not null,
    created_at timestamptz not null,
    primary key (repository, digest)
);
create index manifest_subject on manifest (repository, subject, digest) where subject is not null;

create table tag (
    repository text collate "C" not null,
    name text collate "C" not null,
    digest text collate "C" not null,
    primary key (repository, name),
    foreign key (repository, digest) references manifest (repository, digest) on delete cascade
);
create index tag_digest on tag (repository, digest);

create table secret (
    name text collate "C" not null primary key,
    version bigint not null,
    -- Unset once removed; the version goes on.
    sealed_key bytea,
    sealed_value bytea check ((sealed_key is null) = (sealed_value is null)),
    set_by text not null,
    set_at timestamptz not null
);

create table token (
    id uuid not null primary key,
    name text collate "C" not null,
    hash text not null unique,
    role text check (role in ('reader', 'developer', 'admin')),
    application_id uuid references application (id),
    grants jsonb not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
create unique index token_name on token (name) where revoked_at is null;

create table job (
    id uuid not null primary key,
    kind text not null,
    payload jsonb not null,
    dedupe_key text not null,
    application_id uuid,
    -- Whose turn it takes: the application, or nobody's.
    turn uuid not null
        generated always as (coalesce(application_id, '00000000-0000-0000-0000-000000000000'::uuid)) stored,
    state text not null check (state in ('ready', 'leased', 'done', 'dead')),
    run_at timestamptz not null,
    attempt bigint not null default 0,
    attempts_max bigint not null,
    losses bigint not null default 0,
    token bigint not null default 0,
    lease_owner text,
    lease_until timestamptz check ((state = 'leased') = (lease_until is not null)),
    last_error text,
    created_at timestamptz not null,
    finished_at timestamptz check ((state in ('done', 'dead')) = (finished_at is not null))
-- Its rows change and go all the time: vacuum it long before the default fifth of it is dead.
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
create unique index job_dedupe on job (dedupe_key) where state = 'ready';
-- What has one key never runs twice at once.
create unique index job_running on job (dedupe_key) where state = 'leased';
create index job_turn on job (turn, kind, run_at, id) where state = 'ready';
create index job_due on job (kind, run_at) where state = 'ready';
create index job_lease on job (lease_until) where state = 'leased';
create index job_open on job (state, kind, run_at) where state <> 'done';
create index job_dead on job (id) where state = 'dead';
create index job_done on job (finished_at) where state = 'done';

-- `served` rises with every claim: the lowest has waited longest for its turn.
create sequence queue_served;
create table queue_turn (
    turn uuid not null primary key,
    served bigint not null
);
create index queue_turn_served on queue_turn (served, turn);
