//! What Slipway must be allowed in a cluster's namespace.

use futures::future::join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};

/// Group, resource, subresource, verbs. The guide and the chart list the same.
const NEEDED: &[(&str, &str, &str, &[&str])] = &[
    ("batch", "jobs", "", &["create", "get", "list", "watch", "delete"]),
    ("", "secrets", "", &["create", "get", "list", "patch", "delete"]),
    ("", "pods", "", &["get", "list", "watch"]),
    ("", "pods", "log", &["get"]),
    ("", "events", "", &["list"]),
];

/// What is missing of it, such as `create jobs`.
pub(super) async fn missing(client: &Client, namespace: &str) -> kube::Result<Vec<String>> {
    let reviews = Api::<SelfSubjectAccessReview>::all(client.clone());
    let asked = NEEDED.iter().flat_map(|(group, resource, subresource, verbs)| {
        verbs.iter().map(move |verb| (*group, *resource, *subresource, *verb))
    });
    let answers = asked.map(async |(group, resource, subresource, verb)| {
        let review = review(namespace, group, resource, subresource, verb);
        let answer = reviews.create(&PostParams::default(), &review).await?;
        let allowed = answer.status.is_some_and(|status| status.allowed);
        let part = if subresource.is_empty() { String::new() } else { format!("/{subresource}") };
        Ok((!allowed).then(|| format!("{verb} {resource}{part}")))
    });
    join_all(answers).await.into_iter().filter_map(Result::transpose).collect()
}

fn review(
    namespace: &str,
    group: &str,
    resource: &str,
    subresource: &str,
    verb: &str,
) -> SelfSubjectAccessReview {
    let text = |value: &str| Some(value.to_owned());
    let attributes = ResourceAttributes {
        namespace: text(namespace),
        group: text(group),
        resource: text(resource),
        subresource: text(subresource),
        verb: text(verb),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec {
        resource_attributes: Some(attributes),
        ..SelfSubjectAccessReviewSpec::default()
    };
    SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() }
}
