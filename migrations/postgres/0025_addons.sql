-- Instances of add-ons, and which applications are bound to them.
create table addon_instance (
    id uuid not null primary key,
    name text collate "C" not null,
    environment_id uuid not null references environment (id),
    detail jsonb not null,
    is_released boolean not null,
    row_version bigint not null
);
create unique index addon_instance_name on addon_instance (name) where not is_released;

create table addon_binding (
    id uuid not null primary key,
    addon_id uuid not null references addon_instance (id),
    application_id uuid not null references application (id),
    environment_id uuid not null references environment (id),
    account text not null,
    prefix text,
    generation bigint not null,
    created_at timestamptz not null,
    created_by text not null,
    ended_at timestamptz,
    ended_by text
);
create unique index addon_binding_live on addon_binding (application_id, environment_id, addon_id)
    where ended_at is null;
create index addon_binding_addon on addon_binding (addon_id);

-- Definitions may be of add-ons too.
alter table definition drop constraint definition_kind_check;
alter table definition add constraint definition_kind_check
    check (kind in ('component', 'trait', 'policy', 'step', 'addon'));
