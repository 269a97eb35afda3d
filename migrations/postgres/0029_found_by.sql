-- What pages narrow their lists by is walked newest first, and what is asked for besides stands in the same index.

drop index version_ref;
create index version_ref on version (application_id, git_ref, id, component);
create index version_component on version (application_id, component, id);
create index run_branch on run (application_id, git_ref, id, state);
create index run_standing on run (application_id, state, id);
drop index deployment_application;
create index deployment_application on deployment (application_id, id, environment_id, state);
create index deployment_environment on deployment (environment_id, id, state);
create index deployment_state on deployment (state, id);
