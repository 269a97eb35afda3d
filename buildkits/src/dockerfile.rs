//! `dockerfile`: an image from a Dockerfile; the package holds the Dockerfile and its ignore file.

use std::collections::BTreeMap;

use serde::Deserialize;
use slipway_types::image::Platform;

use crate::context::has_file;
use crate::kit::{KitError, Planning};
use crate::path;
use crate::verb::Verb;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    #[serde(default = "default_dockerfile")]
    dockerfile: String,
    target: Option<String>,
    #[serde(default)]
    args: BTreeMap<String, String>,
    #[serde(default)]
    platforms: Vec<Platform>,
}

fn default_dockerfile() -> String {
    "Dockerfile".to_owned()
}

pub(crate) fn plan(planning: &Planning<'_>) -> Result<Vec<Verb>, KitError> {
    let with: With = planning.with()?;
    let dockerfile = path::resolve("", &with.dockerfile)
        .map_err(|why| KitError::with("/dockerfile", format!("`{}` {why}", with.dockerfile)))?;
    if !has_file(planning.files, &dockerfile) {
        let missing = planning.missing(&dockerfile);
        return Err(KitError::with("/dockerfile", missing.message)
            .hint("name it by `with.dockerfile`, from the context's top"));
    }
    check_references(planning, &with.args)?;
    let mut packed = vec![dockerfile.clone()];
    packed.extend(ignore_file(planning, &dockerfile));
    let declaration = planning.declaration;
    let image = Verb::ImageBuild {
        name: declaration.name.clone(),
        dockerfile,
        target: with.target,
        args: with.args,
        platforms: platforms(with.platforms, &declaration.platforms),
        secrets: declaration.secrets.clone(),
    };
    Ok(vec![image, planning.pack(packed, None)?])
}

fn platforms(own: Vec<Platform>, of_application: &[Platform]) -> Vec<Platform> {
    let mut chosen = if own.is_empty() { of_application.to_vec() } else { own };
    if chosen.is_empty() {
        chosen.push(Platform::default());
    }
    chosen.sort();
    chosen.dedup();
    chosen
}

/// The ignore file in force: one named after the Dockerfile wins over `.dockerignore`.
fn ignore_file(planning: &Planning<'_>, dockerfile: &str) -> Option<String> {
    [format!("{dockerfile}.dockerignore"), ".dockerignore".to_owned()]
        .into_iter()
        .find(|path| has_file(planning.files, path))
}

/// `${NAME.image}` may name only what is built before.
fn check_references(planning: &Planning<'_>, args: &BTreeMap<String, String>) -> Result<(), KitError> {
    for (key, value) in args {
        for after in value.split("${").skip(1) {
            let Some((name, _)) = after.split_once('}').and_then(|(inside, _)| inside.split_once(".image"))
            else {
                continue;
            };
            if !planning.declaration.needs.iter().any(|need| need == name) {
                let pointer = format!("/args/{}", key.replace('~', "~0").replace('/', "~1"));
                return Err(KitError::with(pointer, format!("`${{{name}.image}}` is not built before this"))
                    .hint(format!("add `{name}` to `needs`")));
            }
        }
    }
    Ok(())
}
