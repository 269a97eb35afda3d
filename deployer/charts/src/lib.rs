//! Charts and kustomizations rendered to objects.
