-- Instances of add-ons, and which applications are bound to them.
create table addon_instance (
    id text not null primary key,
    name text not null,
    environment_id text not null references environment (id),
    detail text not null,
    is_released integer not null,
    row_version integer not null
) strict;
create unique index addon_instance_name on addon_instance (name) where is_released = 0;

create table addon_binding (
    id text not null primary key,
    addon_id text not null references addon_instance (id),
    application_id text not null references application (id),
    environment_id text not null references environment (id),
    account text not null,
    prefix text,
    generation integer not null,
    created_at integer not null,
    created_by text not null,
    ended_at integer,
    ended_by text
) strict;
create unique index addon_binding_live on addon_binding (application_id, environment_id, addon_id)
    where ended_at is null;
create index addon_binding_addon on addon_binding (addon_id);
