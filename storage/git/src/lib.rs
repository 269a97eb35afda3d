//! Git objects: received packs, refs, mirrors, trees.
