//! The codes of the violations that this crate finds.

/// The file is no YAML, or uses anchors, aliases or tags.
pub const INVALID_YAML: &str = "invalid_yaml";
/// A limit of [`crate::OamOptions`] is exceeded; the message names it.
pub const LIMIT_EXCEEDED: &str = "limit_exceeded";
/// No format that is read here.
pub const UNSUPPORTED_API_VERSION: &str = "unsupported_api_version";
/// A document of another kind, or one application too many.
pub const NOT_AN_APPLICATION: &str = "not_an_application";
/// A key that the format does not have.
pub const UNKNOWN_FIELD: &str = "unknown_field";
/// A key that must be given.
pub const MISSING_FIELD: &str = "missing_field";
/// A value of another type than the format wants.
pub const WRONG_TYPE: &str = "wrong_type";
/// A text that is none of those possible.
pub const INVALID_VALUE: &str = "invalid_value";
/// A name that breaks the rule of its kind.
pub const INVALID_NAME: &str = "invalid_name";
/// A `timeout` that is no duration, or too long.
pub const INVALID_TIMEOUT: &str = "invalid_timeout";
/// A `retry` whose limit is no number or too high.
pub const INVALID_RETRY: &str = "invalid_retry";
/// An `if` that cannot be read.
pub const INVALID_CONDITION: &str = "invalid_condition";
/// A `parameterKey` or `valueFrom` that cannot be read or names no hole.
pub const INVALID_PROPERTY: &str = "invalid_property";
/// Two of a kind with one name.
pub const DUPLICATE_NAME: &str = "duplicate_name";
/// `dependsOn` names nothing.
pub const UNKNOWN_DEPENDENCY: &str = "unknown_dependency";
/// Things that wait for one another.
pub const DEPENDENCY_CYCLE: &str = "dependency_cycle";
/// An input from an output that nobody declares.
pub const UNKNOWN_OUTPUT: &str = "unknown_output";
/// Two outputs of one name.
pub const DUPLICATE_OUTPUT: &str = "duplicate_output";
/// A step names a policy that does not exist.
pub const UNKNOWN_POLICY: &str = "unknown_policy";
/// A type that Slipway has no definition for.
pub const UNKNOWN_DEFINITION: &str = "unknown_definition";
/// Two writers of one field.
pub const FIELD_CONFLICT: &str = "field_conflict";
/// An operator sets what the developers did not declare overridable.
pub const OVERRIDE_NOT_DECLARED: &str = "override_not_declared";
/// A component without a package.
pub const PACKAGE_NOT_FOUND: &str = "package_not_found";
