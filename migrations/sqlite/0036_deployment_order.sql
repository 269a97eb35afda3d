-- What people order of receivers: kept before the receiver hears of it, settled once it is known what came of it.

create table deployment_order (
    -- The receiver's to tell repetitions by.
    id text not null primary key,
    deployment_id text not null references deployment (id),
    word text not null,
    node text,
    person text not null,
    actor text not null,
    reason text,
    -- The number of the receiver's last word on the whole before the order.
    heard integer,
    -- pending, told, refused, overtaken or expired
    state text not null,
    why text,
    given_at integer not null,
    settled_at integer
) strict;
create index deployment_order_of on deployment_order (deployment_id, id);
