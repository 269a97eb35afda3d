-- What people are told of: applications that are not as wanted, deployments that wait for approvals, gates
-- that somebody went past.

create table incident (
    id uuid not null primary key,
    application_id uuid not null references application (id),
    environment_id uuid not null references environment (id),
    -- trouble, approval or gates_broken
    topic text not null,
    -- Of what there is one open at a time in its place: `trouble`, else `TOPIC/DEPLOYMENT`.
    topic_key text collate "C" not null,
    -- The deployment as it is or was when it was worst last, and how it came right again.
    about jsonb not null,
    ended jsonb,
    opened_at timestamptz not null,
    closed_at timestamptz,
    row_version bigint not null
);
create unique index incident_open on incident (environment_id, application_id, topic_key) where closed_at is null;
create index incident_application on incident (application_id, id);

create table notice_delivery (
    -- The receiver's to tell repetitions by.
    id uuid not null primary key,
    channel text collate "C" not null,
    -- `INCIDENT/opened` or `INCIDENT/recovered`: a channel is told once.
    once text collate "C" not null,
    incident_id uuid not null references incident (id),
    body jsonb not null,
    -- pending, sent or failed
    state text not null,
    -- The message that told of it together with others; kept before that is sent.
    folded_into uuid,
    attempts bigint not null,
    next_at timestamptz,
    answer text,
    created_at timestamptz not null,
    ended_at timestamptz,
    unique (channel, once)
);
create index notice_delivery_pending on notice_delivery (channel, id) where state = 'pending';
create index notice_delivery_ended on notice_delivery (channel, ended_at) where ended_at is not null;
create index notice_delivery_incident on notice_delivery (incident_id, id);
