-- What is counted, or looked for among much else, is found without reading documents.

create index notice_delivery_failed on notice_delivery (channel, id) where state = 'failed';

-- `sequence` of the document. Generated, since servers of the release before write the document alone.
alter table observation
    add column sequence bigint not null generated always as (coalesce((detail ->> 'sequence')::bigint, 0)) stored;
