//! Which rules of policies hold for which objects.

use slipway_definitions::directive::{CollectRule, CollectStrategy, OamType, Selector};
use slipway_definitions::{Directive, ObjectKey, RenderedObject};
use slipway_handoff::{Collect, Object, Pointer, Ready};

use super::staging;

/// An object with what selectors look at.
pub(super) struct Candidate<'a> {
    pub(super) component: &'a str,
    pub(super) component_type: &'a str,
    pub(super) rendered: &'a RenderedObject,
    /// What names end with in the stage.
    pub(super) suffix: &'a str,
}

impl Candidate<'_> {
    fn is_meant(&self, selector: &Selector) -> bool {
        let one_of = |list: &[String], value: &str| list.is_empty() || list.iter().any(|item| item == value);
        let key = ObjectKey::of(&self.rendered.object);
        let (kind, name) = key.map(|key| (key.kind, key.name)).unwrap_or_default();
        let is_called = |in_file: &String| staging::is_called(&name, in_file, self.suffix);
        let by_trait = self.rendered.by != self.component_type;
        let oam_type = if by_trait { OamType::Trait } else { OamType::Component };
        one_of(&selector.component_names, self.component)
            && one_of(&selector.component_types, self.component_type)
            && (selector.oam_types.is_empty() || selector.oam_types.contains(&oam_type))
            && (selector.trait_types.is_empty()
                || (by_trait && one_of(&selector.trait_types, &self.rendered.by)))
            && one_of(&selector.resource_types, &kind)
            && (selector.resource_names.is_empty() || selector.resource_names.iter().any(is_called))
    }
}

/// Writes into `object` what the policies say of it.
pub(super) fn apply(directives: &[(String, Directive)], candidate: &Candidate<'_>, object: &mut Object) {
    for (_, directive) in directives {
        match directive {
            Directive::ApplyOnce(rules) => {
                for rule in rules.iter().filter(|rule| candidate.is_meant(&rule.selector)) {
                    object.once.extend(rule.paths.iter().filter_map(|path| pointer(path)));
                }
            }
            Directive::Collect(rules) => {
                let rule = rules.iter().find(|rule| candidate.is_meant(&rule.selector));
                object.collect = rule.map_or(object.collect, collect);
            }
            Directive::Health(rules) => {
                let rule = rules.iter().find(|rule| candidate.is_meant(&rule.selector));
                if let Some(rule) = rule {
                    object.ready = Ready::Cel(rule.cel.clone());
                }
            }
            Directive::Shared(rules) => {
                object.shared |= rules.iter().any(|rule| candidate.is_meant(&rule.selector));
            }
            Directive::Targets(_) | Directive::Overrides(_) | Directive::Replicate(_) => {}
        }
    }
    object.once.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    object.once.dedup();
}

fn collect(rule: &CollectRule) -> Collect {
    match rule.strategy {
        CollectStrategy::OnAppUpdate => Collect::OnUpdate,
        CollectStrategy::OnAppDelete => Collect::OnDelete,
        CollectStrategy::Never => Collect::Never,
    }
}

fn pointer(path: &str) -> Option<Pointer> {
    if path == "*" { Pointer::from_dotted("").ok() } else { Pointer::from_dotted(path).ok() }
}
