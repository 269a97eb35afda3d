-- What the built-in reconcile core knows of an application in an environment, and what it told.

create table reconcile_state (
    -- The environment's address: unit/cluster/namespace/stage.
    environment text collate "C" not null,
    -- team/name
    application text collate "C" not null,
    -- Of the address.
    cluster text collate "C" not null,
    generation bigint not null,
    -- Of its last event.
    sequence bigint not null,
    -- The core's own: nobody else looks into it.
    document text not null,
    is_settled boolean not null,
    updated_at timestamptz not null,
    row_version bigint not null,
    primary key (environment, application)
);
create index reconcile_state_cluster on reconcile_state (cluster, environment, application);

create table reconcile_event (
    environment text collate "C" not null,
    application text collate "C" not null,
    sequence bigint not null,
    generation bigint not null,
    event text not null,
    at timestamptz not null,
    primary key (environment, application, sequence),
    foreign key (environment, application) references reconcile_state (environment, application)
        on delete cascade
);
