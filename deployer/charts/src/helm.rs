//! Charts, by `helm template`.

mod archive;
mod chart;
mod complaint;
mod schema;
mod template;

use std::collections::BTreeSet;
use std::path::Path;

use crate::cage::{Cage, Stopped};
use crate::compare;
use crate::error::{Findings, RenderError};
use crate::hooks;
use crate::mask::Mask;
use crate::objects;
use crate::options::ChartOptions;
use crate::placement::repeated;
use crate::rendered::{Note, Rendered, RenderedObject};
use crate::renderer::{all_of, finish, limit_broken, settle};
use crate::request::{GeneratedSecret, HelmRequest, is_name};
use crate::secrets::{self, KeptSecrets};
use chart::Chart;

const MAX_RELEASE_CHARS: usize = 53;

pub(crate) async fn render(
    options: &ChartOptions,
    request: &HelmRequest<'_>,
    kept: &dyn KeptSecrets,
) -> Result<Rendered, RenderError> {
    let component = &request.component;
    let mut findings = Findings::new(options.max_problems);
    check(options, request, &mut findings);
    let (chart, mut notes) = read_chart(options, request, &mut findings);
    findings.check()?;

    let caller = Caller { options, request, chart: &chart };
    let (mut first, said) = caller.template().await?;
    let (mut second, _) = caller.template().await?;
    let mut findings = Findings::new(options.max_problems);
    findings.extend(complaint::unknown_hooks(&said, component));
    notes.extend(complaint::warnings(&said));
    let generated: BTreeSet<GeneratedSecret> = request.generated_secrets.iter().cloned().collect();
    let cluster_scoped = settle(&mut first, component, &mut findings);
    if findings.is_empty() {
        // What stands against the second stands against the first as well.
        settle(&mut second, component, &mut Findings::new(1));
        findings.extend(compare::differences(&first, &second, &generated, component));
    }
    drop(second);
    let mut sorted = hooks::sort(first, component);
    findings.extend(std::mem::take(&mut sorted.found));
    findings.extend(repeated(&sorted.objects, component));
    findings.check()?;

    let unseen =
        secrets::keep_generated(all_of(&mut sorted), &generated, kept).await.map_err(RenderError::Kept)?;
    for GeneratedSecret { secret, key } in unseen {
        let message = format!("generatedSecrets names {key} of {secret}, which the chart does not render");
        notes.push(Note { at: None, code: "generated_secret_unused".to_owned(), message });
    }
    finish(sorted, cluster_scoped, notes, component, options)
}

/// What can be told without reading the chart.
fn check(options: &ChartOptions, request: &HelmRequest<'_>, findings: &mut Findings) {
    let component = &request.component;
    findings.extend(component.check_target(options));
    findings.extend(component.check_files(options));
    if !is_name(request.release, MAX_RELEASE_CHARS) {
        let message = format!("{:?} is not a release name", request.release);
        let hint = format!("lower-case letters, digits and `-`, at most {MAX_RELEASE_CHARS}");
        findings.push(component.property("invalid_property", "release", message).hint(hint));
    }
    if !request.values.is_object() && !request.values.is_null() {
        findings.push(component.property("invalid_property", "values", "the values must be a mapping"));
    }
    for (index, generated) in request.generated_secrets.iter().enumerate() {
        if !is_name(&generated.secret, 253) || generated.key.is_empty() || generated.key.len() > 253 {
            let path = format!("generatedSecrets[{index}]");
            findings.push(component.property("invalid_property", &path, "this names no key of a Secret"));
        }
    }
}

/// The chart, and what its templates and schemas tell before they run.
fn read_chart(
    options: &ChartOptions,
    request: &HelmRequest<'_>,
    findings: &mut Findings,
) -> (Chart, Vec<Note>) {
    let component = &request.component;
    let (chart, found) = Chart::read(component);
    findings.extend(found);
    let files = match archive::unpacked(component, options) {
        Ok(files) => files,
        Err(found) => {
            findings.extend(found);
            return (chart, Vec::new());
        }
    };
    findings.extend(chart.check_dependencies(&files, component));
    let mut notes = chart.notes();
    for (path, bytes) in &files {
        let shown = format!("{}/{path}", chart.name);
        if path.ends_with("values.schema.json") {
            findings.extend(schema::check(&shown, bytes, component));
        } else if template::is_template(path) {
            let text = String::from_utf8_lossy(bytes);
            notes.extend(template::notes(&shown, &text));
        }
    }
    (chart, notes)
}

/// One chart and all that `helm` is told of it.
struct Caller<'a> {
    options: &'a ChartOptions,
    request: &'a HelmRequest<'a>,
    chart: &'a Chart,
}

impl Caller<'_> {
    /// What Helm renders, and what it says besides.
    async fn template(&self) -> Result<(Vec<RenderedObject>, String), RenderError> {
        let (options, component) = (self.options, &self.request.component);
        let values = match self.request.values {
            serde_json::Value::Null => b"{}".to_vec(),
            values => values.to_string().into_bytes(),
        };
        if values.len() > options.max_values_bytes {
            let (is, limit) = (values.len(), options.max_values_bytes);
            let message = format!("the values have {is} bytes, `max_values_bytes` is {limit}");
            return Err(RenderError::Refused(vec![component.property(
                "invalid_property",
                "values",
                message,
            )]));
        }
        let cage = Cage::new(options)?;
        for (path, bytes) in component.files {
            cage.write(&Path::new("chart").join(path), bytes).await?;
        }
        // Values go by standard input: they may hold secrets.
        let ran = cage.run(&options.helm_program, "deploy.helm", &self.args(), Some(values)).await;
        let finished = match ran {
            Ok(finished) => finished,
            Err(Stopped::Failed(error)) => return Err(error),
            Err(Stopped::Limit(limit)) => {
                return Err(RenderError::Refused(vec![limit_broken(component, options, limit)]));
            }
        };
        drop(cage);
        let complaint = Mask::new(component.secrets).apply(&finished.stderr);
        if !finished.success {
            return Err(RenderError::Refused(complaint::translate(&complaint, &self.chart.name, component)));
        }
        let objects = objects::read(&finished.stdout, component, options).map_err(RenderError::Refused)?;
        Ok((objects, complaint))
    }

    fn args(&self) -> Vec<String> {
        let Self { request: HelmRequest { component, release, .. }, .. } = self;
        let mut args: Vec<String> = [
            "template",
            release,
            "./chart",
            "--namespace",
            component.namespace,
            "--values",
            "-",
            "--include-crds",
            "--kube-version",
            &component.target.version,
        ]
        .map(str::to_owned)
        .into();
        for api in &component.target.apis {
            args.extend(["--api-versions".to_owned(), api.clone()]);
        }
        args
    }
}
