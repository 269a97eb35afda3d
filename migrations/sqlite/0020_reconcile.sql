-- What the built-in reconcile core knows of an application in an environment, and what it told.

create table reconcile_state (
    -- The environment's address: unit/cluster/namespace/stage.
    environment text not null,
    -- team/name
    application text not null,
    -- Of the address.
    cluster text not null,
    generation integer not null,
    -- Of its last event.
    sequence integer not null,
    -- The core's own: nobody else looks into it.
    document text not null,
    is_settled integer not null,
    updated_at integer not null,
    row_version integer not null,
    primary key (environment, application)
) strict;
create index reconcile_state_cluster on reconcile_state (cluster, environment, application);

create table reconcile_event (
    environment text not null,
    application text not null,
    sequence integer not null,
    generation integer not null,
    event text not null,
    at integer not null,
    primary key (environment, application, sequence),
    foreign key (environment, application) references reconcile_state (environment, application)
        on delete cascade
) strict, without rowid;
