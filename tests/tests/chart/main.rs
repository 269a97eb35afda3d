//! The Helm chart: what it renders, what it watches, and the Slipway that it installs on a real cluster.

mod helm;
mod image;
mod installed;
mod monitoring;
mod rendered;
