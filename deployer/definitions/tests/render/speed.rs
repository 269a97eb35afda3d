//! How long rendering takes; told only if asked.

use std::time::Instant;

use serde_json::json;
use slipway_definitions::{check_together, render};

use crate::world::{component, request, session, told, trait_type, web_type, writer};

const COMPONENTS: usize = 50;

#[tokio::test]
async fn fifty_components_with_two_traits_each() {
    let web = web_type();
    let grace =
        writer("grace", "", "{'spec': {'template': {'spec': {'terminationGracePeriodSeconds': 30}}}}");
    let budget = trait_type(
        "budget",
        "appliesTo: ['*']",
        "def render(ctx):\n    return [object.apply({'apiVersion': 'policy/v1', 'kind': 'PodDisruptionBudget', \
         'metadata': {'name': ctx.object_name}, 'spec': {'selector': {'matchLabels': ctx.selector}}})]\n",
    );
    let components = (0..COMPONENTS).map(|index| {
        let mut component = component(&web, json!({"port": 80}), &[&grace, &budget]);
        component.name = format!("web-{index}");
        component.path = format!("components[web-{index}]");
        component
    });
    let request = request(components.collect());
    let mut session = session().await;
    for round in ["cold", "warm"] {
        let start = Instant::now();
        let mut rendered = render(&mut session, &request).await.unwrap();
        check_together(&request, &mut rendered);
        let took = start.elapsed();
        assert!(
            rendered.iter().all(|component| component.violations.is_empty()),
            "{:?}",
            told(&rendered[0].violations)
        );
        assert_eq!(rendered.iter().map(|component| component.objects.len()).sum::<usize>(), 3 * COMPONENTS);
        if std::env::var_os("SLIPWAY_TEST_TIMINGS").is_some() {
            println!("{COMPONENTS} components with two traits, {round}: {took:?}");
        }
    }
}
