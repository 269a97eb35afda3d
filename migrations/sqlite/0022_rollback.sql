-- When a deployment first was where it was to be: what was live once is returned to at once.
alter table deployment add column live_at integer;
update deployment set live_at = handed_off_at
where handed_off_at is not null and json_extract(cause, '$.cause') <> 'remove'
and (state in ('delivered', 'live', 'degraded', 'unreachable')
    -- Of what was superseded while it was not as wanted nobody knows whether it ever was: it passes gates.
    or (state = 'superseded' and not exists (select 1 from observation o
        where o.deployment_id = deployment.id and json_extract(o.detail, '$.live_since') is null)));

-- The generation that a rollback returned to, if that is why it is held.
alter table hold add column rollback_to integer;
