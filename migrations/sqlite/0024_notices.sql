-- What people are told of: applications that are not as wanted, deployments that wait for approvals, gates
-- that somebody went past.

create table incident (
    id text not null primary key,
    application_id text not null references application (id),
    environment_id text not null references environment (id),
    -- trouble, approval or gates_broken
    topic text not null,
    -- Of what there is one open at a time in its place: `trouble`, else `TOPIC/DEPLOYMENT`.
    topic_key text not null,
    -- The deployment as it is or was when it was worst last, and how it came right again.
    about text not null,
    ended text,
    opened_at integer not null,
    closed_at integer,
    row_version integer not null
) strict;
create unique index incident_open on incident (environment_id, application_id, topic_key) where closed_at is null;
create index incident_application on incident (application_id, id);

create table notice_delivery (
    -- The receiver's to tell repetitions by.
    id text not null primary key,
    channel text not null,
    -- `INCIDENT/opened` or `INCIDENT/recovered`: a channel is told once.
    once text not null,
    incident_id text not null references incident (id),
    body text not null,
    -- pending, sent or failed
    state text not null,
    -- The message that told of it together with others; kept before that is sent.
    folded_into text,
    attempts integer not null,
    next_at integer,
    answer text,
    created_at integer not null,
    ended_at integer,
    unique (channel, once)
) strict;
create index notice_delivery_pending on notice_delivery (channel, id) where state = 'pending';
create index notice_delivery_ended on notice_delivery (channel, ended_at) where ended_at is not null;
create index notice_delivery_incident on notice_delivery (incident_id, id);
