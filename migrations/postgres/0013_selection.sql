-- What bundles are selected by. Triggers keep it true whoever writes.

-- Every distinct thing that bundles of an application are selected by, once: a label (`label`, its key
-- and value), having a key at all (`key`), their branch, those who wrote or pushed the commit (`author`),
-- and being no pre-release (`release`).
create table facet (
    id bigint generated always as identity primary key,
    application_id uuid not null references application (id),
    kind text not null check (kind in ('label', 'key', 'branch', 'author', 'release')),
    name text collate "C" not null,
    value text collate "C" not null,
    unique (application_id, kind, name, value)
);

-- One short row for each bundle with all its facets: an index of them answers any combination.
create table bundle_card (
    version_id uuid not null primary key references version (id) on delete cascade,
    application_id uuid not null,
    sort_key text collate "C" not null,
    commit_id text collate "C" not null,
    created_at timestamptz not null,
    facets bigint[] not null
);

-- What a bundle is from its publication on. Authors are compared without the case of A to Z, and found
-- by `Name <address>` or either part of it.
create function bundle_birth(git_ref text, sort_key text, run uuid)
returns table (kind text, value text) language sql stable as $$
    select 'branch', substr(git_ref, 12) where git_ref like 'refs/heads/%'
    union
    select 'release', '' where sort_key like '%~'
    union
    select 'author', lower(trim(a.name) collate "C") from run r cross join lateral (
        select r.actor
        union all
        select r.author
        union all
        select substr(r.author, 1, strpos(r.author, '<') - 1) where strpos(r.author, '<') > 0
        union all
        select rtrim(substr(r.author, strpos(r.author, '<') + 1), '> ') where strpos(r.author, '<') > 0
    ) a (name) where r.id = run
$$;

create function bundle_insert() returns trigger language plpgsql as $$
begin
    insert into facet (application_id, kind, name, value)
    select new.application_id, b.kind, '', b.value from bundle_birth(new.git_ref, new.sort_key, new.run_id) b
    where not exists (select from facet f where f.application_id = new.application_id and f.kind = b.kind
        and f.name = '' and f.value = b.value)
    order by b.kind, b.value collate "C" on conflict do nothing;
    insert into bundle_card (version_id, application_id, sort_key, commit_id, created_at, facets)
    values (new.id, new.application_id, new.sort_key, new.commit_id, new.created_at, array(
        select f.id from bundle_birth(new.git_ref, new.sort_key, new.run_id) b
        join facet f on f.application_id = new.application_id and f.kind = b.kind and f.name = ''
            and f.value = b.value));
    return null;
end $$;
create trigger bundle_insert after insert on version
    for each row when (new.component = '') execute function bundle_insert();

create function bundle_label_insert() returns trigger language plpgsql as $$
begin
    insert into facet (application_id, kind, name, value)
    select distinct v.application_id, b.kind, a.key, b.value from added a
    join version v on v.id = a.version_id and v.component = '' join label_pair p on p.id = a.pair_id
    cross join lateral (values ('label', p.value), ('key', '')) b (kind, value)
    where not exists (select from facet f where f.application_id = v.application_id and f.kind = b.kind
        and f.name = a.key and f.value = b.value)
    order by v.application_id, b.kind, a.key, b.value on conflict do nothing;
    update bundle_card c set facets = c.facets || n.facets from (
        select a.version_id, array_agg(f.id) as facets from added a
        join version v on v.id = a.version_id and v.component = '' join label_pair p on p.id = a.pair_id
        cross join lateral (values ('label', p.value), ('key', '')) b (kind, value)
        join facet f on f.application_id = v.application_id and f.kind = b.kind and f.name = a.key
            and f.value = b.value
        group by a.version_id
    ) n where c.version_id = n.version_id;
    return null;
end $$;
create trigger bundle_label_insert after insert on version_label
    referencing new table as added for each statement execute function bundle_label_insert();

create function bundle_label_delete() returns trigger language plpgsql as $$
begin
    update bundle_card c set facets = array(
        select unnest(c.facets) except select unnest(o.facets)
    ) from (
        select g.version_id, array_agg(f.id) as facets from gone g
        join version v on v.id = g.version_id and v.component = '' join label_pair p on p.id = g.pair_id
        cross join lateral (values ('label', p.value), ('key', '')) b (kind, value)
        join facet f on f.application_id = v.application_id and f.kind = b.kind and f.name = g.key
            and f.value = b.value
        group by g.version_id
    ) o where c.version_id = o.version_id;
    return null;
end $$;
create trigger bundle_label_delete after delete on version_label
    referencing old table as gone for each statement execute function bundle_label_delete();

insert into facet (application_id, kind, name, value)
select distinct v.application_id, b.kind, '', b.value from version v
cross join lateral bundle_birth(v.git_ref, v.sort_key, v.run_id) b where v.component = ''
union
select v.application_id, b.kind, l.key, b.value from version_label l
join version v on v.id = l.version_id and v.component = '' join label_pair p on p.id = l.pair_id
cross join lateral (values ('label', p.value), ('key', '')) b (kind, value);
insert into bundle_card (version_id, application_id, sort_key, commit_id, created_at, facets)
select v.id, v.application_id, v.sort_key, v.commit_id, v.created_at, array(
    select f.id from bundle_birth(v.git_ref, v.sort_key, v.run_id) b
    join facet f on f.application_id = v.application_id and f.kind = b.kind and f.name = '' and f.value = b.value
    union all
    select f.id from version_label l join label_pair p on p.id = l.pair_id
    cross join lateral (values ('label', p.value), ('key', '')) b (kind, value)
    join facet f on f.application_id = v.application_id and f.kind = b.kind and f.name = l.key
        and f.value = b.value
    where l.version_id = v.id)
from version v where v.component = '';

-- Without a list of pending entries, through which every selection would have to read.
create index bundle_card_facets on bundle_card using gin (facets) with (fastupdate = off);
create index bundle_card_precedence on bundle_card (application_id, sort_key desc, version_id desc);
create index bundle_card_newest on bundle_card (application_id, version_id desc);
create index bundle_card_commit on bundle_card (application_id, commit_id);

-- Which bundle an environment runs, and ran.
create table deployed (
    id bigint generated always as identity primary key,
    environment text collate "C" not null,
    application_id uuid not null references application (id),
    version_id uuid not null,
    since timestamptz not null,
    -- Unset: it runs now.
    until timestamptz,
    foreign key (application_id, version_id) references version (application_id, id)
);
create unique index deployed_now on deployed (application_id, environment) where until is null;
create index deployed_version on deployed (version_id, environment);
