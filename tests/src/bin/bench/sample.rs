//! Content to push, the same in every round but for what is said to change.

use slipway_tests::server::GitRepository;

/// A small application of five components, of which three become images.
pub(crate) fn five_components(name: &str) -> GitRepository {
    let repository = GitRepository::new();
    let mut yaml =
        format!("apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {{name: {name}}}\ncomponents:\n");
    for component in ["web", "assets", "docs"] {
        yaml.push_str(&format!("  - {{name: {component}, kit: dockerfile, context: {component}}}\n"));
        repository.write(&format!("{component}/Dockerfile"), "FROM scratch\nCOPY files /srv\n");
        repository.write(&format!("{component}/files/name"), component);
    }
    for component in ["config", "rules"] {
        yaml.push_str(&format!("  - {{name: {component}, kit: manifests, context: {component}}}\n"));
        let manifest = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {component}}}\n");
        repository.write(&format!("{component}/map.yaml"), manifest);
    }
    repository.write("slipway.yaml", yaml);
    repository
}

/// Bytes of which every other KiB is noise, so that they compress to about half.
pub(crate) fn half_random(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut content = Vec::with_capacity(bytes);
    while content.len() < bytes {
        if (content.len() / 1024).is_multiple_of(2) {
            state = next(state);
            content.extend_from_slice(&state.to_le_bytes());
        } else {
            content.extend_from_slice(b"slipway ");
        }
    }
    content.truncate(bytes);
    content
}

/// Fills a buffer with noise that differs for every `seed`.
pub(crate) fn random(seed: u64, buffer: &mut [u8]) {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for chunk in buffer.chunks_mut(8) {
        state = next(state);
        chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
    }
}

/// One step of xorshift64.
fn next(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
}
