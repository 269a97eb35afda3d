//! Which back-end builds what: as `slipway.yaml` asks, the server prefers, or the operator holds an
//! application to.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::join_all;
use slipway_records::port::{BuildPlace, BuildPlaces};
use slipway_types::ApplicationName;

use super::{ImageBackend, Requirements};

/// The word for the first back-end that can do a job.
const AUTO: &str = "auto";

/// A back-end by name, or whichever can do the job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// The first that can.
    #[default]
    Auto,
    /// In this process; no `RUN`.
    Assemble,
    /// A Docker Engine.
    Docker,
    /// Jobs on Kubernetes.
    Kaniko,
}

impl Choice {
    const ALL: [Self; 4] = [Self::Auto, Self::Assemble, Self::Docker, Self::Kaniko];

    fn word(self) -> &'static str {
        match self {
            Self::Auto => AUTO,
            Self::Assemble => "assemble",
            Self::Docker => "docker",
            Self::Kaniko => super::kaniko::NAME,
        }
    }

    /// The back-end's name, if one is named.
    fn name(self) -> Option<&'static str> {
        (self != Self::Auto).then_some(self.word())
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Text that names no back-end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no back-end: auto, assemble, docker or kaniko")]
pub struct UnknownBackend(String);

impl FromStr for Choice {
    type Err = UnknownBackend;

    fn from_str(text: &str) -> Result<Self, UnknownBackend> {
        let found = Self::ALL.into_iter().find(|choice| choice.word() == text);
        found.ok_or_else(|| UnknownBackend(text.to_owned()))
    }
}

/// The back-ends of a server in order of preference, and what the operator says of them.
#[derive(Clone, Default)]
pub struct Backends {
    /// All there are.
    pub all: Vec<Arc<dyn ImageBackend>>,
    /// What is taken where `slipway.yaml` says nothing.
    pub server: Choice,
    /// Applications that are held to one.
    pub held: BTreeMap<ApplicationName, Choice>,
}

#[async_trait]
impl BuildPlaces for Backends {
    async fn look(&self) -> Vec<BuildPlace> {
        join_all(self.all.iter().map(|backend| backend.places())).await.concat()
    }
}

impl Backends {
    /// The back-end for a job of `application`, with its reason; else every reason why not.
    pub async fn choose(
        &self,
        application: &ApplicationName,
        wanted: &Requirements,
    ) -> Result<(Arc<dyn ImageBackend>, String), Vec<String>> {
        let held = self.held.get(application).copied().unwrap_or_default();
        if let (Some(held), Some(asked)) = (held.name(), wanted.backend.name())
            && held != asked
        {
            return Err(vec![format!(
                "slipway.yaml asks for {asked}, but this server holds {application} to {held}"
            )]);
        }
        let (only, because) = match (held.name(), wanted.backend.name(), self.server.name()) {
            (Some(name), ..) => (Some(name), "this server holds the application to it; "),
            (_, Some(name), _) => (Some(name), "slipway.yaml asks for it; "),
            (.., Some(name)) => (Some(name), "the server's build.backend; "),
            _ => (None, ""),
        };
        if let Some(name) = only
            && self.get(name).is_none()
        {
            return Err(vec![format!("this server has no back-end {name}")]);
        }
        let mut refused = Vec::new();
        for backend in self.all.iter().filter(|backend| only.is_none_or(|name| name == backend.name())) {
            match backend.can(wanted).await {
                Ok(why) => return Ok((Arc::clone(backend), format!("{because}{why}"))),
                Err(why) => refused.push(format!("{}: {why}", backend.name())),
            }
        }
        Err(refused)
    }

    /// The back-end that runs a check of `application`, with its reason; else every reason why not. What
    /// built the image is asked first, unless the operator or `slipway.yaml` names another that can.
    pub async fn choose_runner(
        &self,
        application: &ApplicationName,
        asked: Choice,
        built_by: Option<&str>,
    ) -> Result<(Arc<dyn ImageBackend>, String), Vec<String>> {
        let held = self.held.get(application).copied().unwrap_or_default().name();
        // To build without an engine says nothing of where commands run.
        let asked = asked.name().filter(|name| *name != Choice::Assemble.word());
        if let (Some(held), Some(asked)) = (held, asked)
            && held != asked
        {
            return Err(vec![format!(
                "slipway.yaml asks for {asked}, but this server holds {application} to {held}"
            )]);
        }
        let (only, because) = match (held, asked) {
            (Some(name), _) => (Some(name), "this server holds the application to it; "),
            (_, Some(name)) => (Some(name), "slipway.yaml asks for it; "),
            _ => (None, ""),
        };
        if let Some(name) = only
            && self.get(name).is_none()
        {
            return Err(vec![format!("this server has no back-end {name}")]);
        }
        let preferred = [built_by, self.server.name()];
        let mut all: Vec<_> =
            self.all.iter().filter(|backend| only.is_none_or(|name| name == backend.name())).collect();
        all.sort_by_key(|backend| {
            preferred.iter().position(|name| *name == Some(backend.name())).unwrap_or(preferred.len())
        });
        let mut refused = Vec::new();
        for backend in all {
            match backend.can_run().await {
                Ok(why) => return Ok((Arc::clone(backend), format!("{because}{why}"))),
                Err(why) => refused.push(format!("{}: {why}", backend.name())),
            }
        }
        Err(refused)
    }

    /// The back-end of that name.
    pub fn get(&self, name: &str) -> Option<Arc<dyn ImageBackend>> {
        self.all.iter().find(|backend| backend.name() == name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use slipway_types::state::BuiltImage;

    use super::*;
    use crate::backend::{BuildError, ImageBuild};

    struct Named(&'static str);

    #[async_trait]
    impl ImageBackend for Named {
        fn name(&self) -> &'static str {
            self.0
        }

        fn recipe(&self) -> u32 {
            1
        }

        async fn can(&self, wanted: &Requirements) -> Result<String, String> {
            match (self.0, wanted.run) {
                ("assemble", Some(line)) => Err(format!("line {line} runs a command")),
                _ => Ok("can".into()),
            }
        }

        async fn places(&self) -> Vec<BuildPlace> {
            Vec::new()
        }

        async fn build(&self, _: ImageBuild<'_>) -> Result<BuiltImage, BuildError> {
            Err(BuildError::Cancelled)
        }
    }

    fn backends() -> Backends {
        let all = ["assemble", "docker", "kaniko"].map(|name| Arc::new(Named(name)) as Arc<dyn ImageBackend>);
        let held = BTreeMap::from([("safe".parse().unwrap(), Choice::Kaniko)]);
        Backends { all: all.into(), server: Choice::Auto, held }
    }

    async fn chosen(backends: &Backends, application: &str, backend: Choice) -> Result<String, String> {
        let wanted = Requirements { run: Some(2), backend, ..Requirements::default() };
        let chosen = backends.choose(&application.parse().unwrap(), &wanted).await;
        chosen
            .map(|(backend, why)| format!("{}: {why}", backend.name()))
            .map_err(|refused| refused.join("; "))
    }

    #[tokio::test]
    async fn the_operator_goes_before_the_file_and_the_file_before_the_server() {
        let mut backends = backends();
        assert_eq!(chosen(&backends, "shop", Choice::Auto).await.unwrap(), "docker: can");
        let asked = chosen(&backends, "shop", Choice::Kaniko).await.unwrap();
        assert_eq!(asked, "kaniko: slipway.yaml asks for it; can");
        let held = chosen(&backends, "safe", Choice::Auto).await.unwrap();
        assert_eq!(held, "kaniko: this server holds the application to it; can");
        let refused = chosen(&backends, "safe", Choice::Docker).await.unwrap_err();
        assert!(refused.contains("holds default/safe to kaniko") || refused.contains("holds safe to kaniko"));
        let refused = chosen(&backends, "shop", Choice::Assemble).await.unwrap_err();
        assert_eq!(refused, "assemble: line 2 runs a command");
        backends.server = Choice::Kaniko;
        let preferred = chosen(&backends, "shop", Choice::Auto).await.unwrap();
        assert_eq!(preferred, "kaniko: the server's build.backend; can");
        backends.all.pop();
        let refused = chosen(&backends, "shop", Choice::Auto).await.unwrap_err();
        assert_eq!(refused, "this server has no back-end kaniko");
    }

    #[test]
    fn back_ends_are_named_as_they_are_shown() {
        for choice in Choice::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert!("buildkit".parse::<Choice>().unwrap_err().to_string().contains("kaniko"));
    }
}
