//! Components deployed several times side by side.

use std::collections::BTreeSet;

use slipway_types::{ComponentName, Violation};

use super::Merged;
use crate::{Component, Placed, code};

impl Merged {
    /// Puts copies in the place of `components` (none named: of all), one for each key and named after it:
    /// `web-east`, as `policy` wants. Copies of one key depend on each other, others depend on all copies.
    ///
    /// # Errors
    ///
    /// A copy would have the name of another component or of another copy, or none that a component may have;
    /// it would give an output that another copy gives too; or there are copies of the component already.
    /// Nothing is changed then.
    pub fn replicate(
        &mut self,
        policy: &str,
        keys: &[String],
        components: &[String],
    ) -> Result<(), Vec<Violation>> {
        let all = &self.application.components;
        let meant = |name: &str| components.is_empty() || components.iter().any(|wanted| wanted == name);
        let mut taken: BTreeSet<String> =
            all.iter().map(|component| component.name.clone()).filter(|name| !meant(name)).collect();
        let mut violations = self.copied_already(policy, &meant);
        let mut replicated = Vec::new();
        let mut copies = Vec::new();
        for component in all {
            if !meant(&component.name) {
                replicated.push(depending_on_all(component, keys, &meant));
                continue;
            }
            let path = format!("components[{}]", component.name);
            if let Some(output) = component.outputs.first().filter(|_| keys.len() > 1) {
                let message =
                    format!("each copy of `{}` would give the output `{}`", component.name, output.name);
                violations.push(
                    Violation::new(code::DUPLICATE_OUTPUT, format!("{path}.outputs[0]"), message)
                        .at(output.at.clone())
                        .hint("leave the component out of the replication, or remove the output"),
                );
            }
            for key in keys {
                let copy = copy_of(component, key, &meant);
                if let Err(error) = copy.name.parse::<ComponentName>() {
                    let message = format!("the key `{key}` gives no name for a copy: {error}");
                    violations
                        .push(self.against(policy, code::INVALID_NAME, message).hint("choose another key"));
                }
                if !taken.insert(copy.name.clone()) {
                    let message = format!(
                        "a copy of `{}` and another component, or copy of one, are both `{}`",
                        component.name, copy.name
                    );
                    violations.push(
                        Violation::new(code::DUPLICATE_NAME, path.clone(), message)
                            .at(component.at.clone())
                            .hint("choose another key"),
                    );
                }
                copies.push((copy.name.clone(), self.original_of(&component.name).to_owned()));
                replicated.push(copy);
            }
        }
        if violations.is_empty() {
            self.application.components = replicated;
            self.copies.extend(copies);
            return Ok(());
        }
        Err(violations)
    }

    /// The components that are meant and of which another policy made copies.
    fn copied_already(&self, policy: &str, meant: &dyn Fn(&str) -> bool) -> Vec<Violation> {
        let again = self.copies.iter().filter(|(copy, original)| meant(copy) || meant(original));
        let again: BTreeSet<&str> = again.map(|(_, original)| original.as_str()).collect();
        let violation = |name: &str| {
            let message = format!("another policy makes copies of `{name}` already");
            self.against(policy, code::DUPLICATE_NAME, message)
                .hint("name all keys in one policy, or in each policy the components that it alone is for")
        };
        again.into_iter().map(violation).collect()
    }

    /// A violation of what `policy` says.
    fn against(&self, policy: &str, code: &str, message: String) -> Violation {
        let path = format!("policies[{policy}]");
        let at = self.place_of(&path).or_else(|| self.application.policy(policy)?.at.clone());
        Violation::new(code, path, message).at(at)
    }

    /// The component that `name` is a copy of; itself if it is none.
    pub fn original_of<'a>(&'a self, name: &'a str) -> &'a str {
        self.copies.get(name).map_or(name, String::as_str)
    }

    /// The components that stand for the declared one: its copies, or itself.
    pub fn copies_of(&self, name: &str) -> Vec<String> {
        let all = self.application.components.iter().map(|component| component.name.clone());
        let found: Vec<String> = all.filter(|copy| self.original_of(copy) == name).collect();
        if found.is_empty() { vec![name.to_owned()] } else { found }
    }
}

fn named(name: &str, key: &str) -> String {
    format!("{name}-{key}")
}

fn copy_of(component: &Component, key: &str, meant: &dyn Fn(&str) -> bool) -> Component {
    let mut copy = Component { name: named(&component.name, key), ..component.clone() };
    for needed in copy.depends_on.iter_mut().filter(|needed| meant(&needed.value)) {
        needed.value = named(&needed.value, key);
    }
    copy
}

fn depending_on_all(component: &Component, keys: &[String], meant: &dyn Fn(&str) -> bool) -> Component {
    let each = |needed: &Placed<String>| {
        let names = if meant(&needed.value) {
            keys.iter().map(|key| named(&needed.value, key)).collect()
        } else {
            vec![needed.value.clone()]
        };
        let at = needed.at.clone();
        names.into_iter().map(move |value| Placed { value, at: at.clone() }).collect::<Vec<_>>()
    };
    Component { depends_on: component.depends_on.iter().flat_map(each).collect(), ..component.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::{Level, overlay};
    use crate::{OamOptions, read};

    fn merged(components: &str) -> Merged {
        let text = format!(
            "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: a}}\nspec:\n  components:\n{components}"
        );
        let document = read(text.as_bytes(), "a.yaml", &OamOptions::default()).unwrap();
        overlay(&[], &[Level::new("all", document)], &|_| true).unwrap()
    }

    fn keys() -> Vec<String> {
        vec!["east".to_owned(), "west".to_owned()]
    }

    #[test]
    fn copies_keep_their_order_among_themselves_and_towards_others() {
        let mut merged = merged(
            "  - {name: db, type: t}\n  - {name: web, type: t, dependsOn: [db, other]}\n  - {name: other, type: t}\n  - {name: front, type: t, dependsOn: [web]}\n",
        );
        merged.replicate("copies", &keys(), &["db".to_owned(), "web".to_owned()]).unwrap();
        let shown: Vec<String> = merged
            .application()
            .components
            .iter()
            .map(|one| {
                let needs: Vec<&str> = one.depends_on.iter().map(|needed| needed.value.as_str()).collect();
                format!("{}<{}", one.name, needs.join(","))
            })
            .collect();
        assert_eq!(
            shown,
            [
                "db-east<",
                "db-west<",
                "web-east<db-east,other",
                "web-west<db-west,other",
                "other<",
                "front<web-east,web-west"
            ]
        );
        assert_eq!((merged.original_of("web-west"), merged.original_of("front")), ("web", "front"));
        assert_eq!(merged.copies_of("db"), ["db-east", "db-west"]);
        assert_eq!(merged.copies_of("front"), ["front"]);
    }

    #[test]
    fn copies_that_would_be_taken_for_others_are_refused() {
        let mut twice = merged("  - {name: web, type: t}\n  - {name: web-east, type: t}\n");
        let told = twice.replicate("copies", &keys(), &["web".to_owned()]).unwrap_err();
        assert_eq!(told[0].code, code::DUPLICATE_NAME);
        assert_eq!(twice.application().components.len(), 2);
        let both = ["1".to_owned(), "east-1".to_owned()];
        let told = twice.replicate("copies", &both, &[]).unwrap_err();
        assert_eq!((told.len(), told[0].code.as_str()), (1, code::DUPLICATE_NAME));
        assert!(told[0].message.contains("both `web-east-1`"), "{told:?}");
        let mut giving =
            merged("  - {name: web, type: t, outputs: [{name: host, valueFrom: output.status.host}]}\n");
        assert_eq!(giving.replicate("copies", &keys(), &[]).unwrap_err()[0].code, code::DUPLICATE_OUTPUT);
    }
    #[test]
    fn a_key_must_give_a_name_and_one_policy_alone_makes_copies() {
        let components =
            "  - {name: web, type: t}\n  - {name: db, type: t}\n  policies:\n  - {name: copies, type: t}\n";
        for bad in ["a--b", "an-east-side-of-a-region-that-is-far-too-long"] {
            let mut merged = merged(components);
            let told = merged.replicate("copies", &[bad.to_owned()], &["web".to_owned()]).unwrap_err();
            assert_eq!((told.len(), told[0].code.as_str()), (1, code::INVALID_NAME), "{told:?}");
            assert!(told[0].at.is_some() && told[0].hint.is_some(), "{told:?}");
        }
        for again in [vec!["web".to_owned()], vec!["web-east".to_owned()], Vec::new()] {
            let mut merged = merged(components);
            merged.replicate("others", &keys(), &["web".to_owned()]).unwrap();
            let told = merged.replicate("copies", &["far".to_owned()], &again).unwrap_err();
            assert_eq!((told.len(), told[0].code.as_str()), (1, code::DUPLICATE_NAME), "{told:?}");
            assert!(told[0].at.is_some() && told[0].path == "policies[copies]", "{told:?}");
            merged.replicate("copies", &["far".to_owned()], &["db".to_owned()]).unwrap();
        }
    }
}
