//! What a plug-in can say beyond standard Starlark: the verbs, `struct` fields of their
//! namespaces, and `refuse`. Each constructor checks what it is given and returns a plain dict.

use slipway_types::SecretReference;
use starlark::collections::SmallMap;
use starlark::environment::GlobalsBuilder;
use starlark::starlark_module;
use starlark::values::dict::{AllocDict, DictRef};
use starlark::values::list::UnpackList;
use starlark::values::none::NoneOr;
use starlark::values::{Heap, Value};

use super::fault::{Misuse, Thrown};
use crate::error::Refusal;

/// Adds the verbs to what every module sees.
pub(super) fn register(builder: &mut GlobalsBuilder) {
    endings(builder);
    builder.namespace("object", object);
    builder.namespace("job", job);
    builder.namespace("container", container);
    builder.namespace("http", http);
    builder.namespace("output", output);
    builder.namespace("secret", secret);
    builder.namespace("chart", chart);
    builder.namespace("kustomize", kustomize);
    builder.namespace("files", files);
}

#[starlark_module]
fn endings(builder: &mut GlobalsBuilder) {
    fn refuse<'v>(
        path: &str,
        message: &str,
        #[starlark(default = NoneOr::None)] hint: NoneOr<&str>,
    ) -> starlark::Result<Value<'v>> {
        let hint = hint.into_option().map(str::to_owned);
        let refusal = Refusal { path: path.to_owned(), message: message.to_owned(), hint };
        Err(starlark::Error::new_native(Thrown(refusal)))
    }

    fn wait<'v>(
        #[starlark(require = named)] object: Value<'v>,
        #[starlark(require = named)] until: &str,
        heap: Heap<'v>,
    ) -> starlark::Result<Value<'v>> {
        reference("wait", object)?;
        if until.trim().is_empty() {
            return Err(misuse(
                "wait: `until` is empty; write a CEL condition over the object, e.g. `object.status.ready == true`",
            ));
        }
        Ok(verb(heap, "wait", [("object", object), ("until", heap.alloc(until))]))
    }
}

#[starlark_module]
fn object(builder: &mut GlobalsBuilder) {
    fn apply<'v>(
        #[starlark(require = pos)] object: Value<'v>,
        heap: Heap<'v>,
    ) -> starlark::Result<Value<'v>> {
        whole_object("object.apply", object)?;
        Ok(verb(heap, "object.apply", [("object", object)]))
    }
}

#[starlark_module]
fn job(builder: &mut GlobalsBuilder) {
    fn run<'v>(#[starlark(require = pos)] object: Value<'v>, heap: Heap<'v>) -> starlark::Result<Value<'v>> {
        whole_object("job.run", object)?;
        let (version, kind) = (text_field(object, "apiVersion"), text_field(object, "kind"));
        if (version, kind) != (Some("batch/v1"), Some("Job")) {
            let (version, kind) = (version.unwrap_or_default(), kind.unwrap_or_default());
            return Err(misuse(format!("job.run takes a `batch/v1` `Job`, not a `{version}` `{kind}`")));
        }
        Ok(verb(heap, "job.run", [("object", object)]))
    }
}

/// What `container.run` takes beside the run's name.
const RUN_FIELDS: [&str; 16] = [
    "again",
    "args",
    "command",
    "deadline_seconds",
    "env",
    "files",
    "image",
    "outputs",
    "pull_secrets",
    "resources",
    "retries",
    "service_account",
    "user",
    "work_size",
    "workdir",
    "writable_root",
];

#[starlark_module]
fn container(builder: &mut GlobalsBuilder) {
    fn run<'v>(
        #[starlark(require = pos)] name: &str,
        #[starlark(kwargs)] given: SmallMap<String, Value<'v>>,
        heap: Heap<'v>,
    ) -> starlark::Result<Value<'v>> {
        let mut fields = vec![("name", heap.alloc(name))];
        for (key, value) in given {
            let Some(field) = RUN_FIELDS.into_iter().find(|known| *known == key) else {
                return Err(misuse(format!(
                    "container.run: there is no `{key}`; it takes {}",
                    RUN_FIELDS.join(", ")
                )));
            };
            if field == "env" && !value.is_none() {
                variables(value)?;
            }
            // What is None is left out, so that properties that are not given can be passed on.
            if !value.is_none() {
                fields.push((field, value));
            }
        }
        if !fields.iter().any(|(field, _)| *field == "image") {
            return Err(misuse("container.run needs an `image`"));
        }
        Ok(verb(heap, "container.run", fields))
    }
}

#[starlark_module]
fn http(builder: &mut GlobalsBuilder) {
    fn call<'v>(
        #[starlark(require = named)] method: &str,
        #[starlark(require = named)] url: &str,
        #[starlark(require = named, default = NoneOr::None)] body: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] secret: NoneOr<&str>,
        heap: Heap<'v>,
    ) -> starlark::Result<Value<'v>> {
        if !["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].contains(&method) {
            return Err(misuse(format!(
                "http.call: the method `{method}` is none of GET, HEAD, POST, PUT, PATCH, DELETE"
            )));
        }
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(misuse(format!(
                "http.call: the url `{url}` begins with neither https:// nor http://"
            )));
        }
        let mut fields = vec![("method", heap.alloc(method)), ("url", heap.alloc(url))];
        fields.extend(body.into_option().map(|body| ("body", body)));
        fields.extend(secret.into_option().map(|secret| ("secret", heap.alloc(secret))));
        Ok(verb(heap, "http.call", fields))
    }
}

#[starlark_module]
fn output(builder: &mut GlobalsBuilder) {
    fn set<'v>(
        #[starlark(require = pos)] name: &str,
        #[starlark(require = named)] object: Option<Value<'v>>,
        #[starlark(require = named)] path: Option<&str>,
        #[starlark(require = named)] value: Option<Value<'v>>,
        heap: Heap<'v>,
    ) -> starlark::Result<Value<'v>> {
        if name.is_empty() {
            return Err(misuse("output.set: the output's name is empty"));
        }
        let name = heap.alloc(name);
        match (object, path, value) {
            (Some(object), Some(path), None) if !path.is_empty() => {
                reference("output.set", object)?;
                Ok(verb(heap, "output.set", [("name", name), ("object", object), ("path", heap.alloc(path))]))
            }
            (None, None, Some(value)) => Ok(verb(heap, "output.set", [("name", name), ("value", value)])),
            _ => Err(misuse("output.set takes a name and either `object=` with `path=`, or `value=`")),
        }
    }
}

#[starlark_module]
fn secret(builder: &mut GlobalsBuilder) {
    fn r#ref<'v>(#[starlark(require = pos)] reference: &str, heap: Heap<'v>) -> starlark::Result<Value<'v>> {
        // The text is not repeated: what is no reference may be the secret itself.
        if reference.parse::<SecretReference>().is_err() {
            return Err(misuse(
                "secret.ref takes `secret://provider/path#key`; what it was given is no such reference",
            ));
        }
        Ok(heap.alloc(AllocDict([("$secret", reference)])))
    }
}

#[starlark_module]
fn chart(builder: &mut GlobalsBuilder) {
    fn render<'v>(
        #[starlark(require = named)] values: Option<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] release: NoneOr<&str>,
        heap: Heap<'v>,
    ) -> starlark::Result<Value<'v>> {
        let values = match values {
            Some(values) => {
                dict("chart.render: `values`", values)?;
                values
            }
            None => heap.alloc(AllocDict::<[(&str, Value<'v>); 0]>([])),
        };
        let release = release.into_option().map(|release| ("release", heap.alloc(release)));
        Ok(verb(heap, "chart.render", [("values", values)].into_iter().chain(release)))
    }
}

#[starlark_module]
fn kustomize(builder: &mut GlobalsBuilder) {
    fn build<'v>(
        #[starlark(require = named, default = ".")] path: &str,
        heap: Heap<'v>,
    ) -> starlark::Result<Value<'v>> {
        inside("kustomize.build", path)?;
        Ok(verb(heap, "kustomize.build", [("path", heap.alloc(path))]))
    }
}

#[starlark_module]
fn files(builder: &mut GlobalsBuilder) {
    fn objects<'v>(
        #[starlark(require = named)] paths: UnpackList<&'v str>,
        heap: Heap<'v>,
    ) -> starlark::Result<Value<'v>> {
        for path in &paths.items {
            inside("files.objects", path)?;
        }
        let paths = heap.alloc(paths.items);
        Ok(verb(heap, "files.objects", [("paths", paths)]))
    }
}

fn verb<'v>(
    heap: Heap<'v>,
    name: &str,
    fields: impl IntoIterator<Item = (&'static str, Value<'v>)>,
) -> Value<'v> {
    let name = [("verb", heap.alloc(name))];
    heap.alloc(AllocDict(name.into_iter().chain(fields)))
}

fn misuse(message: impl Into<String>) -> starlark::Error {
    starlark::Error::new_native(Misuse(message.into()))
}

fn dict<'v>(what: &str, value: Value<'v>) -> starlark::Result<DictRef<'v>> {
    let kind = value.get_type();
    DictRef::from_value(value).ok_or_else(|| misuse(format!("{what} must be a dict, not `{kind}`")))
}

fn text_field<'v>(value: Value<'v>, key: &str) -> Option<&'v str> {
    DictRef::from_value(value)?.get_str(key)?.unpack_str().filter(|text| !text.is_empty())
}

/// Checks that `value` is variables and their values.
fn variables(value: Value) -> starlark::Result<()> {
    for (name, value) in dict("container.run: `env`", value)?.iter() {
        let is_source = || {
            DictRef::from_value(value).is_some_and(|source| {
                ["$secret", "secretKeyRef"].iter().any(|key| source.get_str(key).is_some())
            })
        };
        if value.unpack_str().is_none() && !is_source() {
            let name = name.unpack_str().unwrap_or_default();
            return Err(misuse(format!(
                "container.run: the variable `{name}` must be text, what `secret.ref(…)` returns or \
                 {{\"secretKeyRef\": {{\"name\": …, \"key\": …}}}}, not `{}`",
                value.get_type()
            )));
        }
    }
    Ok(())
}

/// Checks that `value` has what every Kubernetes object has.
fn whole_object(function: &str, value: Value) -> starlark::Result<()> {
    dict(&format!("{function}: the object"), value)?;
    for key in ["apiVersion", "kind"] {
        if text_field(value, key).is_none() {
            return Err(misuse(format!("{function}: the object has no `{key}`, which must be a string")));
        }
    }
    let metadata = DictRef::from_value(value).and_then(|object| object.get_str("metadata"));
    match metadata.and_then(|metadata| text_field(metadata, "name")) {
        Some(_) => Ok(()),
        None => Err(misuse(format!("{function}: the object has no `metadata.name`, which must be a string"))),
    }
}

/// Checks that `value` names an object.
fn reference(function: &str, value: Value) -> starlark::Result<()> {
    let fields = dict(&format!("{function}: `object`"), value)?;
    for key in ["apiVersion", "kind", "name"] {
        if text_field(value, key).is_none() {
            return Err(misuse(format!(
                "{function}: `object` has no `{key}`; write {{\"apiVersion\": …, \"kind\": …, \"name\": …}}"
            )));
        }
    }
    match fields.len() {
        3 => Ok(()),
        _ => Err(misuse(format!(
            "{function}: `object` names an object by `apiVersion`, `kind` and `name` alone"
        ))),
    }
}

/// Checks that `path` stays inside the package.
fn inside(function: &str, path: &str) -> starlark::Result<()> {
    if path.is_empty() || path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(misuse(format!(
            "{function}: the path `{path}` must be relative and stay inside the package"
        )));
    }
    Ok(())
}
