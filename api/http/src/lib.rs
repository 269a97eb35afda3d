//! How the world reaches Slipway over HTTP: hooks, git, REST, the registry.
