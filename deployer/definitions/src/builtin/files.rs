//! Every file below `builtin/`, compiled in. A test holds this list to what is there.

macro_rules! files {
    ($($path:literal,)*) => {
        &[$(($path, include_str!(concat!("../../builtin/", $path))),)*]
    };
}

/// Path below `builtin/` → text.
pub(super) const ALL: &[(&str, &str)] = files![];
