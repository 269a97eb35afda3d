-- Ids are UUIDv7 and digests `sha256:<hex>`, both as text so that people can read them; times are
-- milliseconds since 1970 in UTC; a state is its word, with the whole of it as JSON beside it.

create table source (
    id text not null primary key,
    name text not null unique,
    kind text not null check (kind in ('builtin', 'https')),
    url text check ((kind = 'https') = (url is not null)),
    credential text,
    poll_interval_s integer not null,
    swept_at integer,
    last_error text,
    created_at integer not null,
    git_revision integer not null default 0,
    refusals integer not null default 0
) strict;

create table application (
    id text not null primary key,
    name text not null unique,
    source_id text not null references source (id),
    path text not null,
    created_at integer not null,
    -- Hidden, not gone: versions stay pullable and the numbers go on when it is made again.
    deleted_at integer
) strict;
create index application_source on application (source_id);

create table git_pack (
    source_id text not null references source (id),
    seq integer not null,
    digest text not null,
    size integer not null,
    primary key (source_id, seq),
    unique (source_id, digest)
) strict, without rowid;

create table git_ref (
    source_id text not null references source (id),
    name text not null,
    object_id text not null,
    commit_id text not null,
    primary key (source_id, name)
) strict, without rowid;

create table delivery (
    id text not null primary key,
    source_id text not null references source (id),
    origin text not null,
    external_id text,
    event text not null,
    git_ref text,
    commit_id text,
    actor text not null,
    fresh integer not null,
    state text not null check (state in ('received', 'planned', 'ignored', 'failed')),
    state_json text not null,
    received_at integer not null
) strict;
create unique index delivery_external on delivery (source_id, origin, external_id)
    where external_id is not null;
create index delivery_source on delivery (source_id, id);
create index delivery_commit on delivery (source_id, commit_id, git_ref);

create table refusal (
    id integer primary key autoincrement,
    source_id text not null references source (id),
    at integer not null,
    address text not null,
    reason text not null
) strict;
create index refusal_source on refusal (source_id, id);

create table run (
    id text not null primary key,
    number integer not null,
    application_id text not null references application (id),
    git_ref text not null,
    commit_id text not null,
    actor text not null,
    subject text not null,
    author text not null,
    committed_at integer not null,
    delivery_id text references delivery (id),
    retry_of text references run (id),
    fresh integer not null,
    version_number integer,
    state text not null check (state in (
        'queued', 'planning', 'building', 'packaging', 'cancelling', 'done', 'skipped', 'failed', 'timed_out',
        'superseded', 'cancelled')),
    state_json text not null,
    generation integer not null,
    created_at integer not null,
    started_at integer,
    finished_at integer,
    unique (application_id, number)
) strict;
create unique index run_commit on run (application_id, git_ref, commit_id) where retry_of is null;
create index run_ref on run (application_id, git_ref, number);
create index run_application on run (application_id, id);
create index run_state on run (state, id);

create table build (
    id text not null primary key,
    run_id text not null references run (id),
    application_id text not null references application (id),
    component text not null,
    kit text not null,
    position integer not null,
    backend text,
    backend_why text,
    plan text not null,
    image_fingerprint text,
    state text not null check (state in (
        'queued', 'building', 'pushing', 'pushed', 'reused', 'failed', 'timed_out', 'cancelling', 'cancelled')),
    state_json text not null,
    attempt integer not null,
    stages_ms text not null,
    generation integer not null,
    created_at integer not null,
    started_at integer,
    finished_at integer,
    unique (run_id, component)
) strict;

create table build_result (
    application_id text not null references application (id),
    component text not null,
    fingerprint text not null,
    build_id text not null references build (id),
    images text not null,
    built_at integer not null,
    primary key (application_id, component, fingerprint)
) strict, without rowid;

create table log_chunk (
    log text not null,
    start integer not null,
    length integer not null check (length > 0),
    digest text not null,
    primary key (log, start)
) strict, without rowid;

create table branch_number (
    application_id text not null references application (id),
    branch text not null,
    last integer not null,
    primary key (application_id, branch)
) strict, without rowid;

create table version (
    id text not null primary key,
    application_id text not null references application (id),
    -- Empty for a bundle, so that it takes part in the unique index.
    component text not null,
    version text not null,
    -- Its byte order is SemVer precedence.
    sort_key text not null,
    digest text not null,
    size integer not null,
    built_as text not null,
    run_id text not null references run (id),
    git_ref text not null,
    commit_id text not null,
    fingerprint text not null,
    detail text not null,
    created_at integer not null,
    unique (application_id, component, version)
) strict;
create unique index version_application on version (application_id, id);
create index version_precedence on version (application_id, component, sort_key);
create index version_fingerprint on version (application_id, component, fingerprint)
    where version = built_as;
create index version_digest on version (digest, id);

-- Every distinct `key=value` once; the versions that have it are in a posting table, newest first.
create table label_pair (
    id integer primary key,
    key text not null,
    value text not null,
    unique (key, value),
    unique (id, key)
) strict;

create table version_label (
    pair_id integer not null,
    version_id text not null references version (id),
    key text not null,
    primary key (pair_id, version_id desc),
    foreign key (pair_id, key) references label_pair (id, key)
) strict, without rowid;
create unique index version_label_key on version_label (version_id, key);

create table label_history (
    id integer primary key autoincrement,
    version_id text not null references version (id),
    key text not null,
    old_value text,
    new_value text,
    changed_at integer not null,
    changed_by text not null,
    reason text
) strict;
create index label_history_version on label_history (version_id, id);

create table channel (
    application_id text not null references application (id),
    name text not null,
    version_id text not null,
    moved_at integer not null,
    moved_by text not null,
    primary key (application_id, name),
    foreign key (application_id, version_id) references version (application_id, id)
) strict, without rowid;

create table channel_history (
    id integer primary key autoincrement,
    application_id text not null references application (id),
    name text not null,
    from_version_id text references version (id),
    to_version_id text not null references version (id),
    moved_at integer not null,
    moved_by text not null,
    reason text
) strict;
create index channel_history_channel on channel_history (application_id, name, id);

create table blob_link (
    repository text not null,
    digest text not null,
    size integer not null,
    -- Repository of another registry that holds the bytes; unset: they are kept here.
    origin text,
    primary key (repository, digest)
) strict, without rowid;

create table manifest (
    repository text not null,
    digest text not null,
    media_type text not null,
    artifact_type text,
    subject text,
    size integer not null,
    annotations text not null,
    created_at integer not null,
    primary key (repository, digest)
) strict, without rowid;
create index manifest_subject on manifest (repository, subject, digest) where subject is not null;

create table tag (
    repository text not null,
    name text not null,
    digest text not null,
    primary key (repository, name),
    foreign key (repository, digest) references manifest (repository, digest) on delete cascade
) strict, without rowid;
create index tag_digest on tag (repository, digest);

create table secret (
    name text not null primary key,
    version integer not null,
    -- Unset once removed; the version goes on.
    sealed_key blob,
    sealed_value blob check ((sealed_key is null) = (sealed_value is null)),
    set_by text not null,
    set_at integer not null
) strict;

create table token (
    id text not null primary key,
    name text not null,
    hash text not null unique,
    role text check (role in ('reader', 'developer', 'admin')),
    application_id text references application (id),
    grants text not null,
    created_at integer not null,
    expires_at integer,
    last_used_at integer,
    revoked_at integer
) strict;
create unique index token_name on token (name) where revoked_at is null;

create table job (
    id text not null primary key,
    kind text not null,
    payload text not null,
    dedupe_key text not null,
    application_id text,
    -- Whose turn it takes: the application, or nobody's.
    turn text not null generated always as (coalesce(application_id, '')) stored,
    state text not null check (state in ('ready', 'leased', 'done', 'dead')),
    run_at integer not null,
    attempt integer not null default 0,
    attempts_max integer not null,
    losses integer not null default 0,
    token integer not null default 0,
    lease_owner text,
    lease_until integer check ((state = 'leased') = (lease_until is not null)),
    last_error text,
    created_at integer not null,
    finished_at integer check ((state in ('done', 'dead')) = (finished_at is not null))
) strict;
create unique index job_dedupe on job (dedupe_key) where state = 'ready';
create index job_turn on job (turn, kind, run_at, id) where state = 'ready';
create index job_due on job (kind, run_at) where state = 'ready';
create index job_lease on job (lease_until) where state = 'leased';
create index job_open on job (state, kind, run_at) where state <> 'done';
create index job_dead on job (id) where state = 'dead';
create index job_done on job (finished_at) where state = 'done';

-- `served` rises with every claim: the lowest has waited longest for its turn.
create table queue_turn (
    turn text not null primary key,
    served integer not null
) strict, without rowid;
create index queue_turn_served on queue_turn (served, turn);
