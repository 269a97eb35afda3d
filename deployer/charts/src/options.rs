//! Where the programs are, and the limits of what they may do.

use std::path::PathBuf;

use serde::Deserialize;

/// Where the programs are, and the limits of one rendering.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChartOptions {
    /// `helm`, 3.8 or newer: a path, or a name to look up in `PATH`.
    pub helm_program: PathBuf,
    /// `kustomize` or `kubectl`: a path, or a name to look up in `PATH`.
    pub kustomize_program: PathBuf,
    /// The longest time that a program may run, in milliseconds.
    pub timeout_ms: u64,
    /// The most memory that a program may take, in bytes.
    pub max_memory_bytes: u64,
    /// The most that a program may print, in bytes.
    pub max_output_bytes: usize,
    /// The largest chart or kustomization, archives in it unpacked, in bytes.
    pub max_chart_bytes: usize,
    /// The most files of a chart or kustomization, those of archives in it included.
    pub max_files: usize,
    /// The longest values of a release, in bytes of JSON.
    pub max_values_bytes: usize,
    /// The most objects that may come of one component.
    pub max_objects: usize,
    /// The most values and keys of all these objects together.
    pub max_nodes: usize,
    /// The most API versions that a target may have.
    pub max_apis: usize,
    /// The most violations, and the most notes, that are told of one rendering.
    pub max_problems: usize,
}

impl Default for ChartOptions {
    fn default() -> Self {
        Self {
            helm_program: PathBuf::from("helm"),
            kustomize_program: PathBuf::from("kustomize"),
            timeout_ms: 30_000,
            max_memory_bytes: 1 << 30,
            max_output_bytes: 16 << 20,
            max_chart_bytes: 64 << 20,
            max_files: 5_000,
            max_values_bytes: 1 << 20,
            max_objects: 2_000,
            max_nodes: 500_000,
            max_apis: 5_000,
            max_problems: 50,
        }
    }
}
