-- By which tokens the nodes of an environment pull an application, and may do nothing else. Their role stays that of a
-- reader of the application: the release before, which may run beside this one, knows them as that and goes on.

alter table token add column pull_environment_id uuid references environment (id);
create index token_pulling on token (pull_environment_id, application_id)
    where pull_environment_id is not null and revoked_at is null;

-- Those that were made before are known by the name, environment and application, that Slipway gave them.
update token set pull_environment_id = (
    select e.id from environment e join application a on a.id = token.application_id
    where token.name = 'pull ' || e.name || ' ' || replace(a.name, '/', ' ')
    order by e.removed_at desc nulls first limit 1)
where role = 'reader' and revoked_at is null and expires_at is null and person is null and not break_glass
    and name like 'pull %';

-- What they pulled for may be gone. Stages of one namespace share the pull secret, so that of an environment that was removed
-- stays where the application is still somewhere.
update token set revoked_at = now()
where pull_environment_id is not null and revoked_at is null
    and (exists (select 1 from application a where a.id = token.application_id and a.deleted_at is not null)
        or (exists (select 1 from environment e where e.id = token.pull_environment_id and e.removed_at is not null)
            and not exists (select 1 from deployment d where d.application_id = token.application_id
                and d.state not in ('rejected', 'broken', 'declined', 'expired', 'withdrawn', 'superseded', 'deleted'))));
