-- The same rows, looked up from the label alone. From figures of a database that was small the planner would look
-- through all bundles for each label that is given: `cross join` keeps the order, `+` the index of all bundles out.
drop view bundle_label;
create view bundle_label (version_id, application_id, sort_key, created_at, pair_id, kind, name, value) as
select l.version_id, v.application_id, v.sort_key, v.created_at, l.pair_id, 'label', p.key, p.value
from version_label l cross join version v on v.id = l.version_id cross join label_pair p on p.id = l.pair_id
where +v.component = ''
union all
select l.version_id, v.application_id, v.sort_key, v.created_at, l.pair_id, 'key', l.key, ''
from version_label l cross join version v on v.id = l.version_id where +v.component = '';
