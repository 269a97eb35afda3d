//! What Helm says when it refuses, as violations in people's words. Helm 3 and 4 say it differently.

use slipway_types::{Place, Violation};

use crate::rendered::Note;
use crate::request::Request;

/// The longest message made of a complaint, in characters.
const MAX_MESSAGE_CHARS: usize = 600;

/// The violations of the chart named `chart` that `complaint`, secrets masked, tells of.
pub(crate) fn translate(complaint: &str, chart: &str, request: &Request<'_>) -> Vec<Violation> {
    let text = core(complaint);
    let schema = schema_problems(text, chart, request);
    if !schema.is_empty() {
        return schema;
    }
    let violation = kubernetes_version(text, request)
        .or_else(|| called_off(text, request))
        .or_else(|| not_yaml(text, request))
        .or_else(|| not_parsed(text, request))
        .or_else(|| failed_line(text, request))
        .unwrap_or_else(|| {
            request
                .whole("chart_failed", format!("helm cannot render the chart: {}", cut(text)))
                .hint("try it with `helm template`")
        });
    vec![violation]
}

/// Hooks that Helm skips and says so only in passing.
pub(crate) fn unknown_hooks(said: &str, request: &Request<'_>) -> Vec<Violation> {
    let skipped = said.lines().filter_map(|line| line.split_once("skipping unknown hook"));
    let kinds = skipped.filter_map(|(_, rest)| rest.split_once(['=', ':']));
    kinds
        .map(|(_, kind)| {
            let kind = cut(kind.trim().trim_matches('"'));
            let message = format!("helm leaves out a hook of an unknown kind: `{kind}`");
            request
                .whole("invalid_hook", message)
                .hint("known are pre- and post- install, upgrade, delete and rollback, and test")
        })
        .collect()
}

/// What Helm warns of and renders all the same, such as values that it leaves out.
pub(crate) fn warnings(said: &str) -> Vec<Note> {
    let is_warning = |line: &&str| ["warning:", "WARN "].iter().any(|word| line.contains(word));
    let lines = said.lines().filter(is_warning);
    // Before it stands the time, or the line of Helm's own source.
    let plain = lines.map(|line| {
        let after = ["warning:", "WARN "].iter().find_map(|word| line.split_once(word));
        after.map_or(line, |(_, rest)| rest).trim()
    });
    plain
        .map(|line| Note {
            at: None,
            code: "helm_warning".to_owned(),
            message: format!("helm warns: {}", cut(line)),
        })
        .collect()
}

/// What follows the last `Error: ` that begins a line: warnings stand before it.
fn core(complaint: &str) -> &str {
    let start = complaint.rfind("\nError: ").map(|at| at + 1);
    let start = start.or_else(|| complaint.starts_with("Error: ").then_some(0));
    let text = start.map_or(complaint, |at| &complaint[at + "Error: ".len()..]);
    text.trim().trim_end_matches("Use --debug flag to render out invalid YAML").trim()
}

fn cut(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= MAX_MESSAGE_CHARS {
        return line;
    }
    line.chars().take(MAX_MESSAGE_CHARS).chain(['…']).collect()
}

fn kubernetes_version(text: &str, request: &Request<'_>) -> Option<Violation> {
    let (_, rest) = text.split_once("chart requires kubeVersion: ")?;
    let (wants, has) = rest.split_once(" which is incompatible with Kubernetes ")?;
    let message = format!("the chart is for Kubernetes {wants}, the cluster has {}", cut(has));
    let hint = "take a version of the chart for this cluster, or another environment";
    Some(request.whole("kubernetes_version", message).hint(hint))
}

/// `execution error at (FILE:LINE:COLUMN): …`, what `fail` and `required` say.
fn called_off(text: &str, request: &Request<'_>) -> Option<Violation> {
    let (_, rest) = text.split_once("execution error at (")?;
    let (at, message) = rest.split_once("): ")?;
    let place = place(at)?;
    let message = format!("the chart refuses its values: {}", cut(message));
    let hint = "set what it asks for in the component's values";
    Some(request.property("chart_failed", "values", message).at(Some(place)).hint(hint))
}

fn not_yaml(text: &str, request: &Request<'_>) -> Option<Violation> {
    let (_, rest) = text.split_once("YAML parse error on ")?;
    let (file, reason) = rest.split_once(": ")?;
    let reason = reason.trim_start_matches("error converting YAML to JSON: ").trim_start_matches("yaml: ");
    let message = format!("what {file} renders is not valid YAML: {}", cut(reason));
    let hint = "look at indentation (`nindent`) and quotes (`quote`) there; lines count in what it renders";
    Some(request.whole("invalid_output", message).at(Some(top_of(file))).hint(hint))
}

/// `parse error at (FILE:LINE): …`
fn not_parsed(text: &str, request: &Request<'_>) -> Option<Violation> {
    let (_, rest) = text.split_once("parse error at (")?;
    let (at, message) = rest.split_once("): ")?;
    let message = format!("the template cannot be read: {}", cut(message));
    Some(request.whole("invalid_chart", message).at(place(at)))
}

/// A line of a template that failed; of several that called each other, the last, for there it happened.
fn failed_line(text: &str, request: &Request<'_>) -> Option<Violation> {
    let (at, expression, reason) = old_trace(text).or_else(|| new_trace(text))?;
    let reason = explained(&reason);
    let message = match expression {
        Some(expression) => format!("`{}` fails: {reason}", cut(&expression)),
        None => reason,
    };
    Some(
        request
            .whole("chart_failed", message)
            .at(Some(at))
            .hint("look at the template there, and at the values it reads"),
    )
}

/// `template: FILE:LINE:COLUMN: executing "NAME" at <EXPRESSION>: REASON`, the reason being another such.
fn old_trace(text: &str) -> Option<(Place, Option<String>, String)> {
    // `tpl` runs text that is in no file.
    let frames: Vec<&str> =
        text.split("template: ").skip(1).filter(|frame| !frame.starts_with("gotpl:")).collect();
    let (at, rest) = frames.last()?.split_once(": ")?;
    let place = place(at)?;
    let expression = rest.split_once(" at <").and_then(|(_, rest)| rest.split_once(">: "));
    let reason = text.rsplit_once(">: ").map_or(rest, |(_, reason)| reason);
    Some((place, expression.map(|(expression, _)| expression.to_owned()), reason.to_owned()))
}

/// `FILE:LINE:COLUMN`, below it `executing "NAME" at <EXPRESSION>:`, below all the reason.
fn new_trace(text: &str) -> Option<(Place, Option<String>, String)> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let (index, at) = lines.iter().enumerate().rev().find_map(|(index, line)| Some((index, place(line)?)))?;
    let expression = lines
        .get(index + 1)
        .and_then(|line| line.split_once(" at <"))
        .and_then(|(_, rest)| rest.strip_suffix(">:"));
    Some((at, expression.map(str::to_owned), (*lines.last()?).to_owned()))
}

fn explained(reason: &str) -> String {
    let reason = reason.trim_start_matches("error calling include: ");
    if let Some((_, rest)) = reason.split_once("has a nested reference name: ") {
        let name = rest.split(':').next().unwrap_or_default();
        return format!("the template `{name}` includes itself without end");
    }
    if let Some((_, field)) = reason.rsplit_once("nil pointer evaluating interface {}.") {
        return format!("nothing is set that could have `{}`", cut(field));
    }
    if let Some((_, rest)) = reason.split_once("no template \"") {
        let name = rest.split('"').next().unwrap_or_default();
        return format!("there is no template `{}`", cut(name));
    }
    cut(reason)
}

/// `FILE:LINE:COLUMN` or `FILE:LINE`.
fn place(text: &str) -> Option<Place> {
    let mut parts = text.rsplitn(3, ':');
    let (last, before, file) = (parts.next()?.parse().ok()?, parts.next()?, parts.next());
    match (before.parse(), file) {
        (Ok(line), Some(file)) => is_file(file).then(|| Place { file: file.to_owned(), line, column: last }),
        _ => {
            let (file, _) = text.rsplit_once(':')?;
            is_file(file).then(|| Place { file: file.to_owned(), line: last, column: 1 })
        }
    }
}

fn is_file(text: &str) -> bool {
    !text.is_empty() && !text.contains([' ', '"', '<', '>'])
}

fn top_of(file: &str) -> Place {
    Place { file: file.to_owned(), line: 1, column: 1 }
}

/// What the schemas say, each with the path of the value it is about.
fn schema_problems(text: &str, chart: &str, request: &Request<'_>) -> Vec<Violation> {
    let Some((_, rest)) = text.split_once("values don't meet the specifications of the schema(s)") else {
        return Vec::new();
    };
    let mut of = String::new();
    let mut found = Vec::new();
    for line in rest.lines().skip(1).map(str::trim) {
        let problem = line.strip_prefix("- ");
        match (problem, line.strip_suffix(':')) {
            (Some(problem), _) => {
                let Some((path, message)) = schema_problem(problem) else { continue };
                let below = if of.is_empty() || of == chart { String::new() } else { format!(".{of}") };
                let property = format!("values{below}{path}");
                found.push(request.property("invalid_property", &property, message));
            }
            (None, Some(name)) => name.clone_into(&mut of),
            _ => {}
        }
    }
    found
}

/// `at '/a/b': …` of newer versions, `a.b: …` of older ones.
fn schema_problem(text: &str) -> Option<(String, String)> {
    let Some(rest) = text.strip_prefix("at '") else {
        let (path, message) = text.split_once(": ")?;
        let path = if path == "(root)" { String::new() } else { format!(".{path}") };
        return Some((path, format!("the chart's schema says: {}", cut(message))));
    };
    let (pointer, message) = rest.split_once("': ")?;
    // What is wrong is told below it.
    if message == "validation failed" || message.ends_with("failed, none matched") {
        return None;
    }
    let mut path = String::new();
    for step in pointer.split('/').skip(1) {
        if !step.is_empty() && step.bytes().all(|b| b.is_ascii_digit()) {
            path.push_str(&format!("[{step}]"));
        } else {
            path.push('.');
            path.push_str(&step.replace("~1", "/").replace("~0", "~"));
        }
    }
    let (below, message) = in_words(message);
    Some((path + &below, message))
}

/// A validator's message in words, and the property below it that it is about.
fn in_words(message: &str) -> (String, String) {
    let here = |message: String| (String::new(), message);
    if let Some((got, want)) = message.strip_prefix("got ").and_then(|rest| rest.split_once(", want ")) {
        return here(format!("must be {}, found {}", kind(want), kind(got)));
    }
    if let Some((_, pattern)) = message.split_once("does not match pattern ") {
        return here(format!("does not match the pattern {}", cut(pattern)));
    }
    if let Some(rest) = message.strip_prefix("additional properties ") {
        let names: Vec<&str> = rest.split('\'').skip(1).step_by(2).collect();
        if let [name] = names[..] {
            return (format!(".{name}"), "the chart has no such value".to_owned());
        }
        return here(format!("the chart has no such values: {}", names.join(", ")));
    }
    if let Some(rest) =
        message.strip_prefix("missing property ").or_else(|| message.strip_prefix("missing properties "))
    {
        let names: Vec<&str> = rest.split('\'').skip(1).step_by(2).collect();
        if let [name] = names[..] {
            return (format!(".{name}"), "the chart needs this value".to_owned());
        }
        return here(format!("the chart needs these values: {}", names.join(", ")));
    }
    here(format!("the chart's schema says: {}", cut(message)))
}

/// A type of JSON, or several, in words.
fn kind(names: &str) -> String {
    let words = names.split(" or ").map(|name| match name.trim() {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a mapping",
        "null" => "nothing",
        other => other,
    });
    words.collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{ChartFiles, Target};
    use crate::secrets::SecretScope;

    fn told(complaint: &str) -> Vec<String> {
        let scope = SecretScope { application: "shop".into(), environment: "prod".into() };
        let (files, target) = (ChartFiles::new(), Target::default());
        let request = Request {
            path: "c",
            files: &files,
            namespace: "shop",
            target: &target,
            scope: &scope,
            secrets: &[],
        };
        let found = translate(complaint, "e", &request);
        found.iter().map(|violation| format!("{} {violation}", violation.code)).collect()
    }

    #[test]
    fn traces_of_both_formats_lead_to_the_innermost_line() {
        let old = "Error: template: e/templates/a.yaml:8:3: executing \"e/templates/a.yaml\" at <include \"x\" .>: \
                   error calling include: template: e/templates/_h.tpl:2:9: executing \"x\" at <.Values.a.b>: \
                   nil pointer evaluating interface {}.b\n\nUse --debug flag to render out invalid YAML";
        let new = "level=WARN msg=x\nError: e/templates/a.yaml:8:3\n  executing \"e/templates/a.yaml\" at <include \"x\" .>:\n    \
                   error calling include:\ne/templates/_h.tpl:2:9\n  executing \"x\" at <.Values.a.b>:\n    \
                   nil pointer evaluating interface {}.b";
        let expected =
            "chart_failed e/templates/_h.tpl:2:9: c: `.Values.a.b` fails: nothing is set that could have `b`";
        assert_eq!((told(old), told(new)), (vec![expected.to_owned()], vec![expected.to_owned()]));
        let tpl = "Error: template: e/templates/a.yaml:14:3: executing \"e/templates/a.yaml\" at <tpl \"{{ .x.y }}\" .>: \
                   error calling tpl: error during tpl function execution for \"{{ .x.y }}\": template: gotpl:1:10: \
                   executing \"gotpl\" at <.x.y>: nil pointer evaluating interface {}.y";
        assert_eq!(
            told(tpl),
            [
                "chart_failed e/templates/a.yaml:14:3: c: `tpl \"{{ .x.y }}\" .` fails: nothing is set that could have `y`"
            ]
        );
    }

    #[test]
    fn schemas_of_both_formats_lead_to_the_value() {
        let new = "Error: values don't meet the specifications of the schema(s) in the following chart(s):\ne:\n\
                   - at '/port': got string, want integer\n- at '/m': validation failed\n  \
                   - at '/m/x/0': got string, want null or array\n  - at '/m': additional properties 'y' not allowed\n\
                   sub:\n- at '': missing property 'host'\n- at '/name': 'ABC' does not match pattern '^[a-z]+$'\n";
        assert_eq!(
            told(new),
            [
                "invalid_property c.properties.values.port: must be a whole number, found text",
                "invalid_property c.properties.values.m.x[0]: must be nothing or a list, found text",
                "invalid_property c.properties.values.m.y: the chart has no such value",
                "invalid_property c.properties.values.sub.host: the chart needs this value",
                "invalid_property c.properties.values.sub.name: does not match the pattern '^[a-z]+$'",
            ]
        );
        let old = "Error: values don't meet the specifications of the schema(s) in the following chart(s):\ne:\n\
                   - (root): port is required\n- m.x: Invalid type. Expected: array, given: string\n";
        assert_eq!(
            told(old),
            [
                "invalid_property c.properties.values: the chart's schema says: port is required",
                "invalid_property c.properties.values.m.x: the chart's schema says: Invalid type. Expected: array, given: string",
            ]
        );
    }

    #[test]
    fn anything_else_is_told_and_cut() {
        let long = format!("Error: {}", "x ".repeat(5000));
        assert!(told(&long)[0].len() < 800);
        assert_eq!(told("")[0], "chart_failed c: helm cannot render the chart: ");
    }
}
