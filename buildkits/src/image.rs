//! `image`: an image that exists already, pinned to its digest; the package holds no files.

use serde::Deserialize;
use slipway_types::image::{ImageReference, Platform};

use crate::kit::{KitError, Planning};
use crate::verb::Verb;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    image: String,
    #[serde(default)]
    platforms: Vec<Platform>,
}

pub(crate) fn plan(planning: &Planning<'_>) -> Result<Vec<Verb>, KitError> {
    let With { image, mut platforms } = planning.with()?;
    let reference: ImageReference =
        image.parse().map_err(|error| KitError::with("/image", format!("{error}")))?;
    if platforms.is_empty() {
        platforms.clone_from(&planning.declaration.platforms);
    }
    platforms.sort();
    platforms.dedup();
    Ok(vec![Verb::ImagePin { name: planning.declaration.name.clone(), reference, platforms }])
}
