//! The kubeconfig that a newcomer has, made to stand alone, as `kubectl config view --raw --minify --flatten` does.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use slipway_kubernetes::{Kubeconfig, read_kubeconfig};

use crate::client::Usage;

/// Which file it is: the given one, else the one that `kubectl` takes.
pub(super) fn find(given: Option<&Path>) -> Result<PathBuf> {
    let (listed, home) = (std::env::var_os("KUBECONFIG"), std::env::var_os("HOME"));
    found(given, listed.as_deref(), home.as_deref())
}

fn found(given: Option<&Path>, listed: Option<&OsStr>, home: Option<&OsStr>) -> Result<PathBuf> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    let listed = listed.into_iter().flat_map(std::env::split_paths);
    let mut listed = listed.filter(|file| !file.as_os_str().is_empty());
    match (listed.next(), listed.next(), home) {
        (Some(only), None, _) => Ok(only),
        (Some(_), Some(_), _) => {
            bail!(Usage("KUBECONFIG names several files: give one with --kubeconfig FILE".into()))
        }
        (None, _, Some(home)) => Ok(Path::new(home).join(".kube/config")),
        (None, _, None) => {
            bail!(Usage("neither KUBECONFIG nor HOME is set: give a file with --kubeconfig FILE".into()))
        }
    }
}

/// Reads one context of a kubeconfig, with the content of the files that it names.
pub(super) fn read(path: &Path, context: Option<&str>) -> Result<Kubeconfig> {
    let chosen = minified(read_kubeconfig(path)?, context)?;
    flattened(chosen, path.parent().unwrap_or(Path::new(".")))
}

fn minified(mut file: Kubeconfig, context: Option<&str>) -> Result<Kubeconfig> {
    let there: Vec<String> = file.contexts.iter().map(|context| context.name.clone()).collect();
    let Some(wanted) = context.map(str::to_owned).or_else(|| file.current_context.clone()) else {
        bail!(Usage(format!("no context is current: choose one with --context: {}", there.join(", "))));
    };
    file.contexts.retain(|context| context.name == wanted);
    let Some(chosen) = file.contexts.first().and_then(|named| named.context.clone()) else {
        bail!(Usage(format!(
            "there is no context `{wanted}`: choose one with --context: {}",
            there.join(", ")
        )));
    };
    file.clusters.retain(|cluster| cluster.name == chosen.cluster);
    file.auth_infos.retain(|user| chosen.user.as_ref() == Some(&user.name));
    file.current_context = Some(wanted);
    Ok(file)
}

fn flattened(mut file: Kubeconfig, folder: &Path) -> Result<Kubeconfig> {
    for cluster in file.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        if let Some(path) = cluster.certificate_authority.take()
            && cluster.certificate_authority_data.is_none()
        {
            cluster.certificate_authority_data = Some(encoded(folder, &path)?);
        }
    }
    for user in file.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        if user.exec.is_some() || user.auth_provider.is_some() {
            bail!(
                "its user runs a program for credentials, which the server would have to run: give a kubeconfig \
                 with a token; `kubectl create token NAME` makes one for a service account"
            );
        }
        if let Some(path) = user.client_certificate.take()
            && user.client_certificate_data.is_none()
        {
            user.client_certificate_data = Some(encoded(folder, &path)?);
        }
        if let Some(path) = user.client_key.take()
            && user.client_key_data.is_none()
        {
            user.client_key_data = Some(encoded(folder, &path)?.into());
        }
        if let Some(path) = user.token_file.take()
            && user.token.is_none()
        {
            let token = String::from_utf8(content(folder, &path)?).context("its token is not text")?;
            user.token = Some(token.trim().to_owned().into());
        }
    }
    Ok(file)
}

fn encoded(folder: &Path, path: &str) -> Result<String> {
    Ok(STANDARD.encode(content(folder, path)?))
}

fn content(folder: &Path, path: &str) -> Result<Vec<u8>> {
    let path = folder.join(path);
    std::fs::read(&path).with_context(|| format!("it names {}, which cannot be read", path.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_file_is_the_one_that_kubectl_takes() {
        let at = |given: Option<&str>, listed: Option<&str>, home: Option<&str>| {
            let path = found(given.map(Path::new), listed.map(OsStr::new), home.map(OsStr::new));
            path.map(|path| path.display().to_string()).map_err(|error| error.to_string())
        };
        assert_eq!(at(Some("a"), Some("b"), Some("/h")), Ok("a".to_owned()));
        assert_eq!(at(None, Some(":b:"), Some("/h")), Ok("b".to_owned()));
        assert_eq!(at(None, Some(""), Some("/h")), Ok("/h/.kube/config".to_owned()));
        assert!(at(None, Some("a:b"), Some("/h")).unwrap_err().contains("--kubeconfig"));
        assert!(at(None, None, None).unwrap_err().contains("--kubeconfig"));
    }

    fn written(folder: &Path) -> PathBuf {
        let cluster =
            |server: &str| json!({"server": format!("https://{server}"), "certificate-authority": "ca.crt"});
        let file = json!({
            "current-context": "one",
            "contexts": [
                {"name": "one", "context": {"cluster": "a", "user": "me"}},
                {"name": "two", "context": {"cluster": "b", "user": "cloud"}},
            ],
            "clusters": [{"name": "a", "cluster": cluster("a")}, {"name": "b", "cluster": cluster("b")}],
            "users": [
                {"name": "me", "user": {"client-certificate": "me.crt", "client-key": "me.key"}},
                {"name": "cloud", "user": {"exec": {"command": "aws"}}},
            ],
        });
        for (name, content) in [("ca.crt", "authority"), ("me.crt", "certificate"), ("me.key", "key")] {
            std::fs::write(folder.join(name), content).unwrap();
        }
        let path = folder.join("config");
        std::fs::write(&path, file.to_string()).unwrap();
        path
    }

    #[test]
    fn what_is_kept_stands_alone_and_is_one_context() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let alone: Value = serde_json::to_value(read(&path, None).unwrap()).unwrap();
        assert_eq!(alone["contexts"].as_array().map(Vec::len), Some(1));
        let cluster = &alone["clusters"][0]["cluster"];
        assert_eq!(cluster["certificate-authority-data"], STANDARD.encode("authority"));
        assert_eq!(cluster["certificate-authority"], Value::Null);
        let user = &alone["users"][0]["user"];
        assert_eq!(user["client-certificate-data"], STANDARD.encode("certificate"));
        assert_eq!(user["client-key-data"], STANDARD.encode("key"));
        assert!(!alone.to_string().contains("aws"), "only what the context needs is kept");
    }

    #[test]
    fn what_cannot_be_used_is_told_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let told = |context| read(&path, Some(context)).unwrap_err().to_string();
        assert!(told("three").contains("one, two"));
        assert!(told("two").contains("kubectl create token"));
        std::fs::remove_file(folder.path().join("me.key")).unwrap();
        assert!(told("one").contains("me.key"));
    }
}
