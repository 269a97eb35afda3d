//! What a plug-in may use.

use serde::{Deserialize, Serialize};

/// The limits of a plug-in's child and of each call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginOptions {
    /// Memory a child may take beyond what its program needs to start.
    pub max_memory_bytes: u64,
    /// Stack of a child: bounds how deeply a plug-in's text may nest.
    pub max_stack_bytes: u64,
    /// CPU time of one call. The kernel enforces it rounded up to whole seconds.
    pub max_cpu_ms: u64,
    /// Wall time of one call: the child is killed when it is over.
    pub call_timeout_ms: u64,
    /// Wall time a child may take until it listens.
    pub start_timeout_ms: u64,
    /// The text of all modules of one program.
    pub max_program_bytes: u64,
    /// What a call is given, as JSON.
    pub max_input_bytes: u64,
    /// What a call returns, as JSON.
    pub max_output_bytes: u64,
    /// How many values a call may return, counting those inside lists and dicts.
    pub max_output_values: u64,
    /// How deeply lists and dicts may nest, in what is given and in what is returned.
    pub max_depth: u64,
    /// How many Starlark functions may be under way inside each other.
    pub max_call_depth: u64,
    /// What a call may print.
    pub max_talk_bytes: u64,
    /// How many programs one child keeps parsed; a further one starts a new child.
    pub max_programs: u64,
}

impl Default for PluginOptions {
    fn default() -> Self {
        Self {
            max_memory_bytes: 128 << 20,
            max_stack_bytes: 16 << 20,
            max_cpu_ms: 500,
            call_timeout_ms: 800,
            start_timeout_ms: 5_000,
            max_program_bytes: 1 << 20,
            max_input_bytes: 4 << 20,
            max_output_bytes: 2 << 20,
            max_output_values: 100_000,
            max_depth: 64,
            max_call_depth: 100,
            max_talk_bytes: 16 << 10,
            max_programs: 200,
        }
    }
}
