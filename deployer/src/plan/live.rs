//! What is in the cluster already of the objects that a revision names.

use std::borrow::Cow;
use std::collections::BTreeMap;

use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::Value;
use slipway_kubernetes::{CallError, Cluster, Listed, ObjectKey};

use super::against_cluster::AT_ONCE;

/// From so many objects of a kind in a namespace on, one list is asked for in place of each of them.
const LIST_FROM: usize = 4;
/// So many times the objects that are looked for are listed at most: the rest of a crowded namespace is not
/// worth its bytes.
const CROWD: usize = 8;

/// Objects of the cluster, listed where that spares requests.
pub(super) struct Live {
    listed: BTreeMap<Place, Listed>,
}

/// Version, kind and namespace.
type Place = (String, String, String);

fn place(key: &ObjectKey) -> Place {
    (key.api_version.clone(), key.kind.clone(), key.namespace.clone())
}

async fn list(cluster: &Cluster, place: Place, keys: Vec<&ObjectKey>) -> Result<(Place, Listed), CallError> {
    let limit = u32::try_from(keys.len() * CROWD).unwrap_or(u32::MAX);
    match cluster.list(keys[0], limit).await {
        Ok(listed) => Ok((place, listed)),
        // The right to get need not come with the right to list.
        Err(CallError::Refused(_)) => Ok((place, Listed::default())),
        Err(error) => Err(error),
    }
}

impl Live {
    /// Lists what many of `keys` are of.
    pub(super) async fn look(cluster: &Cluster, keys: &[ObjectKey]) -> Result<Self, CallError> {
        let mut places: BTreeMap<_, Vec<&ObjectKey>> = BTreeMap::new();
        // A list of Secrets would bring the values of others.
        for key in keys.iter().filter(|key| key.kind != "Secret") {
            places.entry(place(key)).or_default().push(key);
        }
        places.retain(|_, keys| keys.len() >= LIST_FROM);
        let mut lists: Vec<BoxFuture<'_, _>> = Vec::with_capacity(places.len());
        for (place, keys) in places {
            lists.push(Box::pin(list(cluster, place, keys)));
        }
        let listed = stream::iter(lists).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(Self { listed })
    }

    /// The object as it is; `None` if it is not there.
    pub(super) async fn get(
        &self,
        cluster: &Cluster,
        key: &ObjectKey,
    ) -> Result<Option<Cow<'_, Value>>, CallError> {
        let Some(listed) = self.listed.get(&place(key)) else {
            return Ok(cluster.get(key).await?.map(Cow::Owned));
        };
        match listed.objects.get(&key.name) {
            Some(object) => Ok(Some(Cow::Borrowed(object))),
            None if listed.all => Ok(None),
            None => Ok(cluster.get(key).await?.map(Cow::Owned)),
        }
    }
}
