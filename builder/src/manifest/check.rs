//! Decoding `checks`, of the application and of components.

use std::collections::BTreeMap;

use slipway_types::image::ImageReference;
use slipway_types::name::{CheckName, ComponentName};
use slipway_yaml::{Node, Position, Value};

use super::decode::{Decoder, Fields, join, shown};
use super::{Component, Positioned};

/// A check without `timeoutSeconds` may run so long.
pub const TIMEOUT_SECONDS_DEFAULT: u32 = 600;
/// The longest `timeoutSeconds`.
const TIMEOUT_SECONDS_MAX: u32 = 86_400;
/// The longest word of a command and the longest value of a variable, in bytes.
const TEXT_BYTES_MAX: usize = 32 * 1024;
/// The longest name of a variable, in bytes.
const VARIABLE_BYTES_MAX: usize = 128;

/// What a check runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckIn {
    /// The image of a component.
    Component(ComponentName),
    /// An existing image.
    Reference(ImageReference),
}

/// A declared check: a command that must end with 0 before its bundle is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// `source/NAME`; written without `source/`, unique in the file.
    pub name: Positioned<CheckName>,
    /// What it runs in.
    pub image: Positioned<CheckIn>,
    /// Program and arguments, never none.
    pub command: Vec<String>,
    /// Variables beside the image's own.
    pub env: BTreeMap<String, String>,
    /// How long it may run.
    pub timeout_seconds: u32,
    /// Components whose images `${NAME.image}` stands for.
    pub needs: Vec<Positioned<ComponentName>>,
}

/// The checks of the application and of its components, which all share one set of names.
pub(super) fn all(
    decoder: &mut Decoder<'_>,
    application: &Fields<'_>,
    components_node: &Node,
    components: &[Component],
) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some((node, path)) = application.get("checks") {
        checks.extend(list(decoder, node, &path, None, components));
    }
    let Value::List(items) = &components_node.value else { return checks };
    for (index, (item, component)) in items.iter().zip(components).enumerate() {
        if let Some(node) = item.get("checks") {
            let path = format!("components[{index}].checks");
            checks.extend(list(decoder, node, &path, Some(&component.name.value), components));
        }
    }
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for check in &checks {
        let name = check.name.value.as_str();
        if let Some(line) = seen.insert(name, check.name.at.line) {
            let name = name.trim_start_matches("source/");
            let message = format!("the check `{name}` is declared twice, first on line {line}");
            decoder.problem(check.name.at, &check.name.path, message);
        }
    }
    checks
}

fn list(
    decoder: &mut Decoder<'_>,
    node: &Node,
    path: &str,
    of: Option<&ComponentName>,
    components: &[Component],
) -> Vec<Check> {
    let items = decoder.items(node, path, decoder.options().max_items);
    items.into_iter().filter_map(|(item, path)| one(decoder, item, &path, of, components)).collect()
}

fn one(
    decoder: &mut Decoder<'_>,
    node: &Node,
    path: &str,
    of: Option<&ComponentName>,
    components: &[Component],
) -> Option<Check> {
    let known = ["name", "image", "command", "env", "timeoutSeconds", "needs"];
    let required: &[&str] = if of.is_some() { &["name", "command"] } else { &["name", "image", "command"] };
    let fields = decoder.fields(node, path, &known, required)?;
    let name = fields.get("name").and_then(|(node, path)| check_name(decoder, node, &path));
    let image = match fields.get("image") {
        Some((node, path)) => image(decoder, node, &path, components),
        None => of.map(|component| Positioned {
            value: CheckIn::Component(component.clone()),
            at: node.at,
            path: join(path, "image"),
        }),
    };
    let command = fields.get("command").and_then(|(node, path)| command(decoder, node, &path));
    let env = fields.get("env").map(|(node, path)| env(decoder, node, &path));
    let timeout = fields.get("timeoutSeconds").map(|(node, path)| seconds(decoder, node, &path));
    let needs = fields.get("needs").map(|(node, path)| needs(decoder, node, &path, components));
    Some(Check {
        name: name?,
        image: image?,
        command: command?,
        env: env.unwrap_or_default(),
        timeout_seconds: timeout.unwrap_or(Some(TIMEOUT_SECONDS_DEFAULT))?,
        needs: needs.unwrap_or_default(),
    })
}

fn check_name(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<Positioned<CheckName>> {
    let name: Positioned<ComponentName> = decoder.parsed(node, path)?;
    let value = format!("source/{}", name.value).parse();
    let value = value.expect("invariant: checks are named as components are");
    Some(Positioned { value, at: name.at, path: name.path })
}

/// A component's name, else a reference: what has neither `/`, `:` nor `@` can only be a component.
fn image(
    decoder: &mut Decoder<'_>,
    node: &Node,
    path: &str,
    components: &[Component],
) -> Option<Positioned<CheckIn>> {
    let text = decoder.text(node, path)?;
    if text.contains(['/', ':', '@']) {
        let reference: Positioned<ImageReference> = decoder.parsed(node, path)?;
        return Some(Positioned {
            value: CheckIn::Reference(reference.value),
            at: node.at,
            path: path.to_owned(),
        });
    }
    match components.iter().find(|component| component.name.value.as_str() == text) {
        Some(found) => {
            let value = CheckIn::Component(found.name.value.clone());
            Some(Positioned { value, at: node.at, path: path.to_owned() })
        }
        None => {
            let message = format!("there is no component `{}`", shown(text));
            let hint = "name a component of this file, or an image with its tag or digest";
            decoder.problem(node.at, path, message).hint = Some(hint.to_owned());
            None
        }
    }
}

fn command(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<Vec<String>> {
    let items = decoder.items(node, path, decoder.options().max_items);
    let words: Vec<Option<String>> = items.iter().map(|(item, path)| bounded(decoder, item, path)).collect();
    let words: Vec<String> = words.into_iter().collect::<Option<_>>()?;
    if words.first().is_none_or(String::is_empty) {
        decoder.problem(node.at, path, "a command begins with the program to run");
        return None;
    }
    Some(words)
}

fn bounded(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<String> {
    let text = decoder.text(node, path)?;
    if text.len() > TEXT_BYTES_MAX || text.contains('\0') {
        decoder.problem(node.at, path, format!("longer than {TEXT_BYTES_MAX} bytes, or holds a NUL"));
        return None;
    }
    Some(text.to_owned())
}

fn env(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for entry in decoder.entries(node, path) {
        let path = join(path, &entry.key);
        let valid = entry.key.len() <= VARIABLE_BYTES_MAX
            && entry.key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && entry.key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !valid {
            let message =
                format!("`{}` is not a variable's name: letters, digits and `_`", shown(&entry.key));
            decoder.problem(entry.key_at, &path, message);
        }
        if let Some(value) = bounded(decoder, &entry.value, &path) {
            variables.insert(entry.key.clone(), value);
        }
    }
    variables
}

fn seconds(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<u32> {
    let number = match &node.value {
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    };
    let found = number.filter(|number| (1..=TIMEOUT_SECONDS_MAX).contains(number));
    if found.is_none() {
        decoder.problem(node.at, path, format!("expected a whole number from 1 to {TIMEOUT_SECONDS_MAX}"));
    }
    found
}

fn needs(
    decoder: &mut Decoder<'_>,
    node: &Node,
    path: &str,
    components: &[Component],
) -> Vec<Positioned<ComponentName>> {
    let needs = decoder.parsed_list::<ComponentName>(node, path);
    for need in &needs {
        if !components.iter().any(|component| component.name.value == need.value) {
            let at: Position = need.at;
            decoder.problem(at, &need.path, format!("there is no component `{}`", need.value));
        }
    }
    needs
}

#[cfg(test)]
mod tests {
    use crate::manifest::Manifest;

    const HEAD: &str = "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {name: shop}\ncomponents:\n\
                        \x20 - {name: web, kit: dockerfile, context: .}\n";

    fn report(checks: &str) -> Vec<String> {
        let problems = Manifest::parse(format!("{HEAD}{checks}").as_bytes(), "slipway.yaml").unwrap_err();
        problems.to_string().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_check_is_read_with_its_defaults() {
        let text = format!(
            "{HEAD}checks:\n  - name: unit\n    image: web\n    command: [/test, -v]\n    needs: [web]\n"
        );
        let manifest = Manifest::parse(text.as_bytes(), "slipway.yaml").unwrap();
        let check = &manifest.checks[0];
        assert_eq!((check.name.value.as_str(), check.timeout_seconds), ("source/unit", 600));
        assert_eq!(check.command, ["/test", "-v"]);
        let own = "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {name: shop}\ncomponents:\n  - name: web\n    \
                   kit: dockerfile\n    context: .\n    checks: [{name: unit, command: [/t]}]\n";
        let manifest = Manifest::parse(own.as_bytes(), "slipway.yaml").unwrap();
        let web = super::CheckIn::Component("web".parse().unwrap());
        assert_eq!(manifest.checks[0].image.value, web);
    }

    #[test]
    fn every_mistake_has_its_place() {
        let found = report("checks:\n  - {name: unit, image: api, command: [/t], mounts: [/]}\n");
        assert_eq!(found.len(), 2, "{found:#?}");
        assert!(
            found.iter().any(|line| line.contains("slipway.yaml:7:") && line.contains("mounts")),
            "{found:#?}"
        );
        assert!(found.iter().any(|line| line.contains("there is no component `api`")), "{found:#?}");
        for (checks, expected) in [
            ("checks:\n  - {name: source/x, image: web, command: [/t]}\n", "source/x"),
            ("checks:\n  - {name: x, image: web, command: []}\n", "begins with the program"),
            ("checks:\n  - {name: x, image: web, command: [/t], timeoutSeconds: 0}\n", "from 1 to 86400"),
            ("checks:\n  - {name: x, image: web, command: [/t], env: {A-B: x}}\n", "not a variable's name"),
            ("checks:\n  - {name: x, image: web, command: [/t], needs: [db]}\n", "no component `db`"),
            (
                "checks:\n  - {name: x, image: web, command: [/t]}\n  - {name: x, image: web, command: [/t]}\n",
                "twice",
            ),
            (
                "checks:\n  - {name: x, image: web, command: [/t], privileged: true}\n",
                "unknown key `privileged`",
            ),
        ] {
            let found = report(checks).join("\n");
            assert!(found.contains(expected), "{checks}: {found}");
        }
    }
}
