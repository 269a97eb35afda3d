//! The built-in reconcile core on a real cluster: what it makes, keeps, waits for, sees and takes away.

mod addon_runs;
mod addons;
mod adopt;
mod autoscaled;
mod cluster;
mod demo;
mod drift;
mod failures;
mod flow;
mod foreign;
mod ground;
mod hundred;
mod ingress;
mod inventory;
mod kills;
mod life;
mod line;
mod lost;
mod ordered;
mod overtaken;
mod pair;
mod polled;
mod rollback;
mod same_objects;
mod waits;
