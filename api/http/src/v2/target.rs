//! Addresses below `/v2/`. Repository names hold slashes, so they are read from their end.

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Catalog,
    Tags { repository: String },
    Manifest { repository: String, reference: String },
    Blob { repository: String, digest: String },
    Uploads { repository: String },
    Upload { repository: String, id: String },
    Referrers { repository: String, digest: String },
}

impl Target {
    pub(super) fn parse(path: &str) -> Option<Self> {
        if path == "_catalog" {
            return Some(Self::Catalog);
        }
        if let Some(repository) = path.strip_suffix("/tags/list") {
            return Some(Self::Tags { repository: repository.to_owned() });
        }
        if let Some(repository) = path.strip_suffix("/blobs/uploads/").or(path.strip_suffix("/blobs/uploads"))
        {
            return Some(Self::Uploads { repository: repository.to_owned() });
        }
        let (rest, last) = path.rsplit_once('/')?;
        let last = last.to_owned();
        if let Some(repository) = rest.strip_suffix("/blobs/uploads") {
            return Some(Self::Upload { repository: repository.to_owned(), id: last });
        }
        let (repository, kind) = rest.rsplit_once('/')?;
        let repository = repository.to_owned();
        match kind {
            "manifests" => Some(Self::Manifest { repository, reference: last }),
            "blobs" => Some(Self::Blob { repository, digest: last }),
            "referrers" => Some(Self::Referrers { repository, digest: last }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_may_contain_the_words_of_the_api() {
        let repository = || "team/blobs/c/manifests".to_owned();
        let cases = [
            ("team/blobs/c/manifests/tags/list", Target::Tags { repository: repository() }),
            (
                "team/blobs/c/manifests/manifests/v1",
                Target::Manifest { repository: repository(), reference: "v1".into() },
            ),
            (
                "team/blobs/c/manifests/blobs/sha256:0",
                Target::Blob { repository: repository(), digest: "sha256:0".into() },
            ),
            ("team/blobs/c/manifests/blobs/uploads/", Target::Uploads { repository: repository() }),
            (
                "team/blobs/c/manifests/blobs/uploads/x",
                Target::Upload { repository: repository(), id: "x".into() },
            ),
        ];
        for (path, target) in cases {
            assert_eq!(Target::parse(path), Some(target), "{path}");
        }
        assert_eq!(Target::parse("team"), None);
        assert_eq!(Target::parse("team/app/x"), None);
    }
}
