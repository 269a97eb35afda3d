-- What is counted, or looked for among much else, is found without reading documents.

create index notice_delivery_failed on notice_delivery (channel, id) where state = 'failed';

-- `sequence` of the document. By triggers, since servers of the release before write the document alone.
alter table observation add column sequence integer not null default 0;
update observation set sequence = coalesce(json_extract(detail, '$.sequence'), 0);
create trigger observation_made after insert on observation
begin
    update observation set sequence = coalesce(json_extract(new.detail, '$.sequence'), 0)
    where deployment_id = new.deployment_id;
end;
create trigger observation_changed after update of detail on observation
begin
    update observation set sequence = coalesce(json_extract(new.detail, '$.sequence'), 0)
    where deployment_id = new.deployment_id;
end;
