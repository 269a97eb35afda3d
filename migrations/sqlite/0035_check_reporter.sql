-- Who reports a check first does not close it to others: each person has one report of it.

create table bundle_check_of (
    version_id text not null references version (id),
    name text not null,
    state text not null check (state in ('pending', 'passed', 'failed')),
    detail text,
    url text,
    reported_by text not null,
    reported_at integer not null,
    primary key (version_id, name, reported_by)
) strict, without rowid;
insert into bundle_check_of (version_id, name, state, detail, url, reported_by, reported_at)
select version_id, name, state, detail, url, reported_by, reported_at from bundle_check;
drop table bundle_check;
alter table bundle_check_of rename to bundle_check;
