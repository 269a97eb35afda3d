//! Limits of reading an operator's file.

/// Limits of one file. A broken limit is named in its violation.
#[derive(Debug, Clone)]
pub struct OamOptions {
    /// The longest file, in bytes.
    pub max_file_bytes: usize,
    /// The deepest nesting.
    pub max_depth: usize,
    /// The most values and keys together.
    pub max_values: usize,
    /// The most documents in one file.
    pub max_documents: usize,
    /// The most components of an application.
    pub max_components: usize,
    /// The most traits of a component.
    pub max_traits: usize,
    /// The most policies of an application.
    pub max_policies: usize,
    /// The most steps of a workflow, sub-steps included.
    pub max_steps: usize,
    /// How deep groups of steps may stand in each other; 1: a group holds no group.
    pub max_group_depth: usize,
    /// The most items of any other list: dependencies, inputs, outputs, labels, scopes.
    pub max_items: usize,
    /// The longest `timeout`, in milliseconds.
    pub max_timeout_ms: u64,
    /// The most violations reported at once.
    pub max_violations: usize,
}

impl Default for OamOptions {
    fn default() -> Self {
        Self {
            max_file_bytes: 1 << 20,
            max_depth: 64,
            max_values: 100_000,
            max_documents: 64,
            max_components: 500,
            max_traits: 50,
            max_policies: 200,
            max_steps: 500,
            max_group_depth: 8,
            max_items: 200,
            max_timeout_ms: 7 * 24 * 3_600_000,
            max_violations: 100,
        }
    }
}
