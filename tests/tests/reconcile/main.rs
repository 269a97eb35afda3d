//! The built-in reconcile core on a real cluster: what it makes, keeps, waits for, sees and takes away.

mod autoscaled;
mod cluster;
mod demo;
mod drift;
mod flow;
mod foreign;
mod ground;
mod ingress;
mod inventory;
mod kills;
mod life;
mod line;
mod ordered;
mod overtaken;
mod pair;
mod rollback;
mod same_objects;
mod waits;
