//! Sources on forges: fetched over HTTPS by `git`, then accepted the way a push is.

mod address;
mod credential;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use slipway_records::{Origin, RefMove, RefRow};
use slipway_types::id::{DeliveryId, SourceId};
use slipway_types::{CommitId, Fault, GitRef};
use tokio::process::Command;

use crate::ObjectId;
use crate::accept::{Proposal, peel, version_tag_refusal};
use crate::cache::{GitStore, blocking};
use crate::error::GitError;
use crate::quarantine::Quarantine;
use address::CheckedAddress;

pub use address::{check_url, resolve};
pub use credential::Credential;

/// How often a fetch starts over because the forge's refs moved under it.
const TRIES: u32 = 3;
/// How often the size of what was fetched so far is looked at.
const SIZE_CHECK: Duration = Duration::from_millis(500);

/// A ref as the forge has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteRef {
    /// The ref.
    pub name: GitRef,
    /// What it points to: a commit or an annotated tag object.
    pub object: ObjectId,
    /// What an annotated tag leads to; else the object itself.
    pub peeled: ObjectId,
}

/// Which refs are fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All branches and tags; refs that are gone from the forge go here too.
    All,
    /// These; those that are not on the forge go here too.
    Refs(Vec<GitRef>),
}

/// Which of the fetched refs get a delivery, and in whose name.
#[derive(Debug, Clone)]
pub enum Notify {
    /// None: whoever asked has a delivery already.
    None,
    /// Those that were created or moved.
    Moved {
        /// How the deliveries say they came.
        origin: Origin,
        /// Who they say it was.
        actor: String,
    },
}

/// What a fetch came to.
#[derive(Debug, Default)]
pub struct Fetched {
    /// The wanted refs as the forge has them.
    pub heads: Vec<RemoteRef>,
    /// Refs that moved here, with their deliveries where some were asked for.
    pub moved: Vec<(RefMove, Option<DeliveryId>)>,
    /// Refs that did not move although the forge's did, and why.
    pub refused: Vec<(GitRef, String)>,
}

impl GitStore {
    /// Fetches refs of a forge's repository: objects become blobs, then one transaction moves the
    /// refs to where the forge has them. A version tag that moved there does not move here.
    pub async fn fetch(
        &self,
        source: SourceId,
        url: &str,
        credential: Option<&Credential>,
        wanted: &Wanted,
        notify: &Notify,
    ) -> Result<Fetched, Fault> {
        let address = address::check(url, self.options()).await?;
        self.sync(source).await.map_err(|error| error.fault())?;
        for _ in 0..TRIES {
            let heads = only(wanted, self.list_remote(&address, credential).await?);
            let quarantine = self.quarantine(source).await.map_err(|error| error.fault())?;
            let rows = self.ref_rows(source).await.map_err(|error| error.fault())?;
            let news: Vec<&RemoteRef> = heads
                .iter()
                .filter(|head| rows.get(&head.name).map(|row| &row.object) != Some(&head.object))
                .collect();
            if !news.is_empty() {
                self.fetch_objects(source, &address, credential, &news, &quarantine).await?;
                let tips: Vec<&CommitId> = news.iter().map(|head| &head.object).collect();
                if !self.connected(source, &quarantine, &tips).await.map_err(|error| error.fault())? {
                    continue;
                }
            }
            let fetched = self.take_over(source, heads, rows, wanted, notify, &quarantine).await;
            return fetched.map_err(|error| error.fault());
        }
        Err(Fault::transient("refs_moving", "the refs moved on the forge during every try to fetch them"))
    }

    /// Moves the rows to where the forge's refs are.
    async fn take_over(
        &self,
        source: SourceId,
        heads: Vec<RemoteRef>,
        rows: BTreeMap<GitRef, RefRow>,
        wanted: &Wanted,
        notify: &Notify,
        quarantine: &Quarantine,
    ) -> Result<Fetched, GitError> {
        let news: Vec<(GitRef, ObjectId)> = heads
            .iter()
            .filter(|head| rows.get(&head.name).map(|row| &row.object) != Some(&head.object))
            .map(|head| (head.name.clone(), head.object.clone()))
            .collect();
        let peeled = peel(quarantine, self.repository(source), news.clone()).await?;
        let mut moves = Vec::new();
        let mut refused = Vec::new();
        for ((name, object), commit) in news.into_iter().zip(peeled) {
            let row = rows.get(&name);
            let why = commit.as_ref().err().cloned();
            match why.or_else(|| version_tag_refusal(row, commit.as_ref().ok())) {
                Some(why) => refused.push((name, why)),
                None => moves.push(RefMove {
                    name,
                    old: row.map(|row| row.object.clone()),
                    new: commit.ok().map(|commit| (object, commit)),
                }),
            }
        }
        let there: BTreeSet<&GitRef> = heads.iter().map(|head| &head.name).collect();
        for row in rows.values().filter(|row| !there.contains(&row.name) && is_wanted(wanted, &row.name)) {
            match version_tag_refusal(Some(row), None) {
                Some(why) => refused.push((row.name.clone(), why)),
                None => {
                    moves.push(RefMove { name: row.name.clone(), old: Some(row.object.clone()), new: None });
                }
            }
        }
        let (origin, actor, deliver) = match notify {
            Notify::None => (Origin::Sweep, String::new(), BTreeSet::new()),
            Notify::Moved { origin, actor } => {
                let deliver = moves.iter().filter(|c| c.new.is_some()).map(|c| c.name.clone()).collect();
                (*origin, actor.clone(), deliver)
            }
        };
        let proposal = Proposal { source, moves, atomic: false, origin, actor, deliver };
        let decision = self.accept(quarantine, proposal).await?;
        refused.extend(decision.refused);
        Ok(Fetched { heads, moved: decision.moved, refused })
    }

    /// The branches and tags of a repository on a forge.
    async fn list_remote(
        &self,
        address: &CheckedAddress,
        credential: Option<&Credential>,
    ) -> Result<Vec<RemoteRef>, Fault> {
        let nowhere = self.dir().join("nowhere.git");
        let mut command = self.transport(&nowhere, address, credential).await?;
        command.args(["ls-remote", "--"]).arg(address.url.as_str()).args(["refs/heads/*", "refs/tags/*"]);
        let within = Duration::from_millis(self.options().fetch_timeout_ms);
        let ran = self
            .git()
            .run_within(command, "ls-remote", None, within, "fetch_timeout_ms")
            .await
            .map_err(|error| error.fault())?;
        if !ran.ok {
            return Err(transport_fault(address, &ran.stderr));
        }
        let refs = parse_ls_remote(&ran.stdout);
        if refs.len() > self.options().max_refs {
            let max = self.options().max_refs;
            let message = format!("the repository has more than {max} branches and tags (limit `max_refs`)");
            return Err(Fault::permanent("too_many_refs", message));
        }
        Ok(refs)
    }

    /// Fetches objects into the quarantine.
    async fn fetch_objects(
        &self,
        source: SourceId,
        address: &CheckedAddress,
        credential: Option<&Credential>,
        heads: &[&RemoteRef],
        quarantine: &Quarantine,
    ) -> Result<(), Fault> {
        let mut command = self.transport(&self.repository(source), address, credential).await?;
        command.env("GIT_OBJECT_DIRECTORY", quarantine.objects()).args([
            "-c",
            "fetch.unpackLimit=1",
            "-c",
            "fetch.fsckObjects=true",
            "-c",
            "fetch.fsck.badTimezone=warn",
            "-c",
            "fetch.fsck.missingSpaceBeforeDate=warn",
            "-c",
            "fetch.fsck.zeroPaddedFilemode=warn",
            "fetch",
            "--quiet",
            "--no-write-fetch-head",
            "--no-tags",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
            "--stdin",
            "--",
        ]);
        command.arg(address.url.as_str());
        let mut names = String::new();
        for head in heads {
            names.push_str(&head.name.to_string());
            names.push('\n');
        }
        let within = Duration::from_millis(self.options().fetch_timeout_ms);
        let fetching =
            self.git().run_within(command, "fetch", Some(names.into_bytes()), within, "fetch_timeout_ms");
        let packs = quarantine.objects().join("pack");
        let ran = tokio::select! {
            ran = fetching => ran.map_err(|error| error.fault())?,
            fault = self.watch_size(&packs) => return Err(fault),
        };
        if ran.ok { Ok(()) } else { Err(transport_fault(address, &ran.stderr)) }
    }

    /// Returns only once more than `max_pack_bytes` lie in `dir`.
    async fn watch_size(&self, dir: &Path) -> Fault {
        loop {
            tokio::time::sleep(SIZE_CHECK).await;
            let dir = dir.to_owned();
            let bytes: u64 = blocking(move || {
                let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
                entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
            })
            .await;
            let max = self.options().max_pack_bytes;
            if bytes > max {
                let message = format!("the fetched pack is larger than {max} bytes (limit `max_pack_bytes`)");
                return Fault::permanent("too_large", message);
            }
        }
    }

    /// A command that talks to the checked address and to no other.
    async fn transport(
        &self,
        repository: &Path,
        address: &CheckedAddress,
        credential: Option<&Credential>,
    ) -> Result<Command, Fault> {
        let mut command = self.git().command(repository);
        let idle_s = (self.options().idle_timeout_ms / 1000).max(1);
        command.args(["-c", "http.followRedirects=false", "-c", "protocol.version=2"]).args([
            "-c",
            "http.lowSpeedLimit=1",
            "-c",
            &format!("http.lowSpeedTime={idle_s}"),
        ]);
        if let Some(pinned) = &address.pinned {
            command.args(["-c", &format!("http.curloptResolve={pinned}")]);
        }
        let network = &self.options().network;
        if let Some(authorities) = network.authorities() {
            command.env("GIT_SSL_CAINFO", authorities.file());
            command.env("GIT_PROXY_SSL_CAINFO", authorities.file());
        }
        if let Some(proxy) = network.proxy_for(&address.url) {
            // In the environment, for its credential belongs into no argument list.
            for name in ["http_proxy", "https_proxy"] {
                command.env(name, proxy.full_address().expose_secret());
            }
        }
        if let Some(credential) = credential {
            let dir = self.dir().to_owned();
            let askpass = blocking(move || credential::write_askpass(&dir))
                .await
                .map_err(|source| GitError::io("write the askpass program")(source).fault())?;
            credential.give_to(&mut command, &askpass);
        }
        Ok(command)
    }
}

fn is_wanted(wanted: &Wanted, name: &GitRef) -> bool {
    match wanted {
        Wanted::All => true,
        Wanted::Refs(names) => names.contains(name),
    }
}

fn only(wanted: &Wanted, heads: Vec<RemoteRef>) -> Vec<RemoteRef> {
    heads.into_iter().filter(|head| is_wanted(wanted, &head.name)).collect()
}

/// Refs with names that Slipway does not accept are left out.
fn parse_ls_remote(output: &[u8]) -> Vec<RemoteRef> {
    let output = String::from_utf8_lossy(output);
    let mut refs: Vec<RemoteRef> = Vec::new();
    for line in output.lines() {
        let Some((id, name)) = line.split_once('\t') else { continue };
        let Ok(id) = id.parse::<ObjectId>() else { continue };
        if let Some(name) = name.strip_suffix("^{}") {
            if let Some(last) = refs.last_mut().filter(|last| last.name.to_string() == name) {
                last.peeled = id;
            }
        } else if let Ok(name) = name.parse() {
            refs.push(RemoteRef { name, object: id.clone(), peeled: id });
        }
    }
    refs
}

/// What git said about a transport, as the person who set up the source needs it.
fn transport_fault(address: &CheckedAddress, stderr: &str) -> Fault {
    let url = &address.url;
    let has = |needles: &[&str]| needles.iter().any(|needle| stderr.contains(needle));
    if has(&[
        "Authentication failed",
        "could not read Username",
        "could not read Password",
        "error: 401",
        "error: 403",
    ]) {
        return Fault::permanent("auth", format!("{url} does not accept the credential")).hint(
            "check that the source's credential is `user:password` or a token that may read the repository",
        );
    }
    if has(&["Repository not found", "repository not found", "error: 404", "not found"]) {
        return Fault::permanent("not_found", format!("there is no repository at {url}"))
            .hint("check the clone address; forges also say so when the credential may not see it");
    }
    if has(&["error: 301", "error: 302", "error: 307", "error: 308"]) {
        return Fault::permanent("address_refused", format!("{url} redirects to another address"))
            .hint("use the address that it redirects to");
    }
    // Some proxies say 401 where RFC 9110 has 407.
    if has(&["tunnel failed, response 407", "tunnel failed, response 401", "error: 407"]) {
        return Fault::permanent("proxy", "the proxy does not accept the user and password, or wants some")
            .hint("set `network.proxy_user` and `network.proxy_password`");
    }
    if has(&["CONNECT tunnel failed", "resolve proxy"]) {
        return Fault::transient("proxy", format!("the proxy does not lead to {url}"))
            .hint("check `network.proxy`, or name the host in `network.no_proxy`");
    }
    if has(&["timed out", "Timeout", "too slow", "Operation too slow"]) {
        return Fault::transient(
            "timeout",
            format!("{url} does not answer in time (limit `idle_timeout_ms`)"),
        );
    }
    if has(&["SSL", "certificate"]) {
        return Fault::permanent("tls", format!("the certificate of {url} is not trusted"))
            .hint("name the certificate authority in `network.ca_bundle`");
    }
    if has(&["Could not resolve host"]) {
        return address::unresolved(url.host_str().unwrap_or_default());
    }
    if has(&["Could not resolve", "Failed to connect", "Couldn't connect", "Connection refused", "error: 5"])
    {
        return Fault::transient("unreachable", format!("{url} cannot be reached"));
    }
    let last = stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no reason given");
    let last: String = last.chars().filter(|c| !c.is_control()).take(300).collect();
    Fault::transient("fetch_failed", format!("fetching from {url} failed: {last}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_git_cannot_resolve_is_told_as_one() {
        let url = "https://git.example.test/a.git".parse().unwrap();
        let address = CheckedAddress { url, pinned: None };
        let said =
            |text: &str| transport_fault(&address, &format!("fatal: unable to access: {text}")).message;
        let unresolved = said("Could not resolve host: git.example.test");
        assert_eq!(unresolved, "the host git.example.test cannot be resolved");
        let proxy = said("Could not resolve proxy: proxy.test");
        assert_eq!(proxy, "the proxy does not lead to https://git.example.test/a.git");
        assert!(said("Failed to connect to git.example.test port 443").ends_with("cannot be reached"));
    }
}
