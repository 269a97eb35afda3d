-- What was published from a commit is found by its first digits: packages that were released without a bundle, too.

create index version_commit on version (application_id, commit_id);
