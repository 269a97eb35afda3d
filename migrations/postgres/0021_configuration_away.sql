-- Since when and why a followed source cannot be asked, and when it is asked again; null while it answers.
alter table configuration_source add column away jsonb;
