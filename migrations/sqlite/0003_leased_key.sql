-- A ready job is passed over while another with its key is leased.
create index job_leased_key on job (dedupe_key) where state = 'leased';
