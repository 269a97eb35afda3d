//! The codes of the violations that definitions lead to.

/// A definition's own files are wrong.
pub const INVALID_DEFINITION: &str = "invalid_definition";
/// A definition asks for another level of the plug-in API.
pub const UNSUPPORTED_API_LEVEL: &str = "unsupported_api_level";
/// A definition's name or version belongs to another.
pub const NAME_TAKEN: &str = "definition_name_taken";
/// What a definition does is not what its examples say.
pub const EXAMPLE_FAILED: &str = "example_failed";
/// No definition has the name.
pub const UNKNOWN_DEFINITION: &str = "unknown_definition";
/// A property is not what its schema or its definition wants.
pub const INVALID_PROPERTY: &str = "invalid_property";
/// No schema knows the property.
pub const UNKNOWN_FIELD: &str = "unknown_field";
/// A definition returned what it may not.
pub const BAD_RESULT: &str = "bad_definition_result";
/// A definition broke off.
pub const DEFINITION_FAILED: &str = "definition_failed";
/// A definition wanted more than it may have.
pub const DEFINITION_LIMIT: &str = "definition_limit";
/// A component type needs an image and there is none.
pub const IMAGE_MISSING: &str = "image_missing";
/// A component type needs a package and there is none.
pub const PACKAGE_NOT_FOUND: &str = "package_not_found";
/// A component's package holds something else than its type takes.
pub const PACKAGE_MISMATCH: &str = "package_mismatch";
/// A package's chart or manifests render what is no object.
pub const INVALID_OBJECT: &str = "invalid_object";
/// An object belongs to the whole cluster, and its definition does not say so.
pub const CLUSTER_SCOPED_OBJECT: &str = "cluster_scoped_object";
/// An object names a namespace that is not the environment's.
pub const UNREGISTERED_ENVIRONMENT: &str = "unregistered_environment";
/// Two components render one object.
pub const DUPLICATE_OBJECT: &str = "duplicate_object";
/// An output is set twice.
pub const DUPLICATE_OUTPUT: &str = "duplicate_output";
/// A component has one trait twice.
pub const DUPLICATE_NAME: &str = "duplicate_name";
/// A trait does not apply to a component.
pub const TRAIT_NOT_APPLICABLE: &str = "trait_not_applicable";
/// A trait could apply to several objects of a package.
pub const AMBIGUOUS_WORKLOAD: &str = "ambiguous_workload";
/// Two traits declare that they do not go together.
pub const TRAIT_CONFLICT: &str = "trait_conflict";
/// Two definitions write one field.
pub const FIELD_CONFLICT: &str = "field_conflict";
/// Somebody writes a field that a controller writes at run time.
pub const RUNTIME_OWNED_FIELD: &str = "runtime_owned_field";
/// The cluster does not serve a kind.
pub const REQUIREMENT_MISSING: &str = "requirement_missing";
