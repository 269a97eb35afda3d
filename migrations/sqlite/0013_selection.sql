-- What bundles are selected by. Triggers keep it true whoever writes.

-- Every distinct thing that bundles of an application are selected by, once: a label (`label`, its key
-- and value), having a key at all (`key`), their branch, those who wrote or pushed the commit (`author`),
-- and being no pre-release (`release`).
create table facet (
    id integer primary key,
    application_id text not null references application (id),
    kind text not null check (kind in ('label', 'key', 'branch', 'author', 'release')),
    name text not null,
    value text not null,
    unique (application_id, kind, name, value)
) strict;

-- The bundles of each, the highest version first.
create table bundle_facet (
    facet_id integer not null references facet (id),
    sort_key text not null,
    version_id text not null,
    created_at integer not null,
    primary key (facet_id, sort_key desc, version_id)
) strict, without rowid;

-- Ways to walk the bundles of an application without reading their rows.
create index bundle_precedence on version (application_id, sort_key desc, id, created_at) where component = '';
create index bundle_newest on version (application_id, id desc, sort_key, created_at) where component = '';
create index bundle_commit on version (application_id, commit_id, sort_key, id, created_at)
    where component = '';

-- What a bundle is from its publication on. Authors are compared without the case of A to Z.
create view bundle_birth (version_id, application_id, sort_key, created_at, kind, value) as
select v.id, v.application_id, v.sort_key, v.created_at, 'branch', substr(v.git_ref, 12)
from version v where v.component = '' and v.git_ref like 'refs/heads/%'
union all
select v.id, v.application_id, v.sort_key, v.created_at, 'release', ''
from version v where v.component = '' and v.sort_key like '%~'
union all
select v.id, v.application_id, v.sort_key, v.created_at, 'author', lower(trim(r.actor))
from version v join run r on r.id = v.run_id where v.component = ''
union all
select v.id, v.application_id, v.sort_key, v.created_at, 'author', lower(trim(r.author))
from version v join run r on r.id = v.run_id where v.component = ''
union all
-- `Name <address>` is found by either part.
select v.id, v.application_id, v.sort_key, v.created_at, 'author',
    lower(trim(substr(r.author, 1, instr(r.author, '<') - 1)))
from version v join run r on r.id = v.run_id where v.component = '' and instr(r.author, '<') > 0
union all
select v.id, v.application_id, v.sort_key, v.created_at, 'author',
    lower(ltrim(rtrim(substr(r.author, instr(r.author, '<') + 1), '> ')))
from version v join run r on r.id = v.run_id where v.component = '' and instr(r.author, '<') > 0;

create trigger bundle_insert after insert on version when new.component = ''
begin
    insert into facet (application_id, kind, name, value)
    select b.application_id, b.kind, '', b.value from bundle_birth b where b.version_id = new.id
    on conflict (application_id, kind, name, value) do nothing;
    insert into bundle_facet (facet_id, sort_key, version_id, created_at)
    select distinct f.id, b.sort_key, b.version_id, b.created_at from bundle_birth b
    join facet f on f.application_id = b.application_id and f.kind = b.kind and f.name = '' and f.value = b.value
    where b.version_id = new.id;
end;
create trigger bundle_delete before delete on version when old.component = ''
begin
    delete from bundle_facet
    where version_id = old.id and sort_key = old.sort_key and facet_id in (
        select f.id from bundle_birth b
        join facet f on f.application_id = b.application_id and f.kind = b.kind and f.name = ''
            and f.value = b.value
        where b.version_id = old.id);
end;

-- What its labels say of it now.
create view bundle_label (version_id, application_id, sort_key, created_at, pair_id, kind, name, value) as
select v.id, v.application_id, v.sort_key, v.created_at, p.id, 'label', p.key, p.value
from version_label l join version v on v.id = l.version_id join label_pair p on p.id = l.pair_id
where v.component = ''
union all
select v.id, v.application_id, v.sort_key, v.created_at, l.pair_id, 'key', l.key, ''
from version_label l join version v on v.id = l.version_id where v.component = '';

create trigger bundle_label_insert after insert on version_label
begin
    insert into facet (application_id, kind, name, value)
    select b.application_id, b.kind, b.name, b.value from bundle_label b
    where b.version_id = new.version_id and b.pair_id = new.pair_id
    on conflict (application_id, kind, name, value) do nothing;
    insert into bundle_facet (facet_id, sort_key, version_id, created_at)
    select f.id, b.sort_key, b.version_id, b.created_at from bundle_label b
    join facet f on f.application_id = b.application_id and f.kind = b.kind and f.name = b.name
        and f.value = b.value
    where b.version_id = new.version_id and b.pair_id = new.pair_id;
end;
create trigger bundle_label_delete before delete on version_label
begin
    delete from bundle_facet
    where version_id = old.version_id
    and sort_key = (select v.sort_key from version v where v.id = old.version_id) and facet_id in (
        select f.id from bundle_label b
        join facet f on f.application_id = b.application_id and f.kind = b.kind and f.name = b.name
            and f.value = b.value
        where b.version_id = old.version_id and b.pair_id = old.pair_id);
end;

insert into facet (application_id, kind, name, value)
select b.application_id, b.kind, '', b.value from bundle_birth b
union
select b.application_id, b.kind, b.name, b.value from bundle_label b;
insert into bundle_facet (facet_id, sort_key, version_id, created_at)
select distinct f.id, b.sort_key, b.version_id, b.created_at from bundle_birth b
join facet f on f.application_id = b.application_id and f.kind = b.kind and f.name = '' and f.value = b.value
union all
select f.id, b.sort_key, b.version_id, b.created_at from bundle_label b
join facet f on f.application_id = b.application_id and f.kind = b.kind and f.name = b.name and f.value = b.value;

-- Which bundle an environment runs, and ran.
create table deployed (
    id integer primary key autoincrement,
    environment text not null,
    application_id text not null references application (id),
    version_id text not null,
    since integer not null,
    -- Unset: it runs now.
    until integer,
    foreign key (application_id, version_id) references version (application_id, id)
) strict;
create unique index deployed_now on deployed (application_id, environment) where until is null;
create index deployed_version on deployed (version_id, environment);
