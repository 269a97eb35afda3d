//! From a commit to pushed images: slipway.yaml, plan, back-ends.
