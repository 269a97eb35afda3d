-- Who reports a check first does not close it to others: each person has one report of it.

alter table bundle_check alter column reported_by type text collate "C";
alter table bundle_check drop constraint bundle_check_pkey;
alter table bundle_check add primary key (version_id, name, reported_by);
