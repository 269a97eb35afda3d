//! The published JSON Schemas of the formats that are read, for editors and other programs.

/// `core.oam.dev/v1beta1` Application, with Slipway's additions.
pub const APPLICATION_V1BETA1: &str = include_str!("schema/application.v1beta1.json");

/// `core.oam.dev/v1alpha2` ApplicationConfiguration in AppManager's form.
pub const APPLICATION_CONFIGURATION_V1ALPHA2: &str =
    include_str!("schema/application-configuration.v1alpha2.json");
