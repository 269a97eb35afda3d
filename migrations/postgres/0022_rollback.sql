-- When a deployment first was where it was to be: what was live once is returned to at once.
alter table deployment add column live_at timestamptz;
update deployment set live_at = handed_off_at
where handed_off_at is not null and cause ->> 'cause' <> 'remove'
and (state in ('delivered', 'live', 'degraded', 'unreachable')
    -- What a receiver was seen to have, and never live, was not: it goes through the gates again. Of what was
    -- superseded without ever being observed most went to receivers that tell nothing: it counts as delivered.
    or (state = 'superseded' and not exists (select 1 from observation o
        where o.deployment_id = deployment.id and o.detail ->> 'live_since' is null)));

-- The generation that a rollback returned to, if that is why it is held.
alter table hold add column rollback_to bigint;
