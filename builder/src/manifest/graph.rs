//! `needs`: only what exists, and in no circle.

use std::collections::BTreeMap;

use slipway_buildkits::suggestion::nearest;

use super::Component;
use super::decode::Decoder;

/// Reports every need that does not exist and every circle once.
pub(super) fn check(decoder: &mut Decoder<'_>, components: &[Component]) {
    let index: BTreeMap<&str, usize> =
        components.iter().enumerate().map(|(index, c)| (c.name.value.as_str(), index)).collect();
    for need in components.iter().flat_map(|component| &component.needs) {
        let name = need.value.as_str();
        if !index.contains_key(name) {
            let hint = nearest(name, index.keys().copied()).map(|word| format!("did you mean `{word}`?"));
            decoder.problem(need.at, &need.path, format!("there is no component `{name}`")).hint = hint;
        }
    }
    let mut search =
        Search { decoder, components, index, marks: vec![Mark::Unseen; components.len()], way: Vec::new() };
    for start in 0..components.len() {
        search.visit(start);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Unseen,
    OnTheWay,
    Done,
}

/// Depth first; as deep as there are components, which are limited.
struct Search<'s, 'd, 'c> {
    decoder: &'s mut Decoder<'d>,
    components: &'c [Component],
    index: BTreeMap<&'c str, usize>,
    marks: Vec<Mark>,
    way: Vec<usize>,
}

impl Search<'_, '_, '_> {
    fn visit(&mut self, at: usize) {
        if self.marks[at] != Mark::Unseen {
            return;
        }
        self.marks[at] = Mark::OnTheWay;
        self.way.push(at);
        for need in &self.components[at].needs {
            let Some(&next) = self.index.get(need.value.as_str()) else { continue };
            if self.marks[next] == Mark::OnTheWay {
                let cycle = self.cycle(next);
                self.decoder.problem(need.at, &need.path, format!("needs in a circle: {cycle}"));
            }
            self.visit(next);
        }
        self.way.pop();
        self.marks[at] = Mark::Done;
    }

    /// The way from `first` back to `first`.
    fn cycle(&self, first: usize) -> String {
        let name = |&index: &usize| self.components[index].name.value.as_str();
        let from = self.way.iter().position(|&index| index == first).unwrap_or_default();
        let mut names: Vec<&str> = self.way[from..].iter().map(name).collect();
        names.push(self.components[first].name.value.as_str());
        names.join(" → ")
    }
}
