use proptest::prelude::*;
use slipway_types::Platform;

use super::*;

fn parse(text: &str) -> Dockerfile {
    Dockerfile::parse(text.as_bytes()).unwrap()
}

fn instructions(text: &str) -> Vec<Instruction> {
    let mut file = parse(&format!("FROM scratch\n{text}"));
    file.stages.remove(0).instructions.into_iter().map(|located| located.instruction).collect()
}

fn error(text: &str) -> String {
    Dockerfile::parse(text.as_bytes()).unwrap_err().to_string()
}

fn copy(text: &str) -> Copy {
    match instructions(text).remove(0) {
        Instruction::Copy(copy) | Instruction::Add(copy) => copy,
        other => panic!("{other:?}"),
    }
}

#[test]
fn continuations_join_over_comments_and_blank_lines() {
    let file = parse(
        "\u{feff}# a comment\r\nFROM scratch\r\nENV a=1 \\\r\n# not this\r\n\r\n    b=2 \\  \r\n c=\"x y\"\r\nUSER me\r\n",
    );
    let stage = &file.stages[0];
    assert_eq!((stage.line, stage.instructions[0].line, stage.instructions[1].line), (2, 3, 8));
    let Instruction::Env(pairs) = &stage.instructions[0].instruction else { panic!() };
    let names: Vec<_> = pairs.iter().map(|pair| (pair.name.as_str(), pair.value.as_str())).collect();
    assert_eq!(names, [("a", "1"), ("b", "2"), ("c", "\"x y\"")]);
}

#[test]
fn the_escape_directive_changes_continuations() {
    let file = parse("# escape=`\n# syntax=docker/dockerfile:1.7\nFROM scratch\nCMD a `\nb\nWORKDIR c:\\\n");
    assert_eq!(file.escape, '`');
    assert_eq!(file.stages[0].instructions.len(), 2);
    assert_eq!(file.syntax.unwrap().image, "docker/dockerfile:1.7");
    assert!(error("# escape=x\nFROM scratch").starts_with("line 1: invalid escape"));
    assert!(error("# escape=`\n# escape=`\nFROM scratch").starts_with("line 2: only one escape"));
    assert_eq!(parse("FROM scratch\n# escape=`\n").escape, '\\');
}

#[test]
fn exec_and_shell_forms_are_told_apart() {
    assert_eq!(
        instructions("CMD [\"a\", \"b c\"]\nCMD [a]\nCMD echo $x\nENTRYPOINT []"),
        [
            Instruction::Cmd(CommandLine::Exec(vec!["a".into(), "b c".into()])),
            Instruction::Cmd(CommandLine::Shell("[a]".into())),
            Instruction::Cmd(CommandLine::Shell("echo $x".into())),
            Instruction::Entrypoint(CommandLine::Exec(vec![])),
        ]
    );
    assert!(error("FROM scratch\nCMD [1]").starts_with("line 2: when using JSON"));
    assert!(error("FROM scratch\nSHELL sh -c").contains("JSON form"));
}

#[test]
fn copies_carry_flags_heredocs_and_json_paths() {
    let read = copy("COPY --chown=a:b --chmod=755 --from=x one two/ dest/\n");
    assert_eq!(read.chown.as_deref(), Some("a:b"));
    assert_eq!(read.from.as_deref(), Some("x"));
    assert_eq!((read.sources, read.destination), (vec!["one".into(), "two/".into()], "dest/".into()));
    let read = copy("COPY [\"a b\", \"c d/\"]");
    assert_eq!((read.sources, read.destination), (vec!["a b".into()], "c d/".into()));
    let read = copy("COPY <<a <<-\"b\" file /x/\none $y\na\n\ttwo $y\n\tb\n");
    assert_eq!(read.sources, ["file"]);
    assert_eq!(read.documents[0], Document { name: "a".into(), content: "one $y\n".into(), expand: true });
    assert_eq!(read.documents[1], Document { name: "b".into(), content: "two $y\n".into(), expand: false });
    assert_eq!(copy("COPY --link a b").buildkit_flag.as_deref(), Some("--link"));
    assert_eq!(copy("COPY --link=false a b").buildkit_flag, None);
    assert_eq!(copy("ADD --checksum=sha256:1 a b").buildkit_flag.as_deref(), Some("--checksum"));
}

#[test]
fn faults_name_their_line() {
    for (text, expected) in [
        ("", "line 1: the Dockerfile has no FROM: there is no stage to build"),
        ("USER a\nFROM scratch", "line 1: no build stage in current context: USER before FROM"),
        (
            "FROM scratch\n\nCOPY a",
            "line 3: COPY requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        ("FROM scratch\nCOPY --nope a b", "line 2: unknown flag: --nope (COPY)"),
        ("FROM scratch\nCOPY --from=a --from=b a b", "line 2: duplicate flag specified: --from"),
        ("FROM scratch\nFOO", "line 2: unknown instruction: FOO"),
        ("FROM scratch\nCOPY <<a /\nx", "line 2: the heredoc <<a is not closed"),
        ("FROM a b", "line 1: FROM requires either one or three arguments"),
        (
            "FROM a AS 1b",
            "line 1: invalid name for build stage: \"1b\", name can't start with a number or contain symbols",
        ),
        ("FROM scratch\nENV a", "line 2: ENV must have two arguments"),
        (
            "FROM scratch\nLABEL a=1 b",
            "line 2: Syntax error - can't find = in \"b\". Must be of the form: name=value",
        ),
        (
            "FROM scratch\nONBUILD ONBUILD CMD a",
            "line 2: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
        ),
        (
            "FROM scratch\nHEALTHCHECK --retries=-1 CMD a",
            "line 2: --retries must be a number that is not negative: -1",
        ),
    ] {
        assert_eq!(error(text), expected, "{text:?}");
    }
    assert_eq!(Dockerfile::parse(b"FROM a\n\xff").unwrap_err().line, 2);
    assert!(Dockerfile::parse(&vec![b'#'; MAX_DOCKERFILE_BYTES + 1]).is_err());
}

#[test]
fn healthchecks_and_triggers() {
    let text =
        "HEALTHCHECK --interval=1m30s --retries=3 CMD curl x\nONBUILD COPY <<a /b\nhi\na\nHEALTHCHECK NONE";
    let read = instructions(text);
    let Instruction::Healthcheck(check) = &read[0] else { panic!() };
    assert_eq!((check.interval, check.retries), (90_000_000_000, 3));
    assert_eq!(check.test, ["CMD-SHELL", "curl x"]);
    let Instruction::Onbuild(onbuild) = &read[1] else { panic!() };
    assert_eq!(onbuild.text, "COPY <<a /b\nhi\na");
    assert_eq!(onbuild.keyword, "COPY");
}

fn parameters(args: &[(&str, &str)]) -> Parameters {
    let build_args = args.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Parameters { build_args, ..Parameters::default() }
}

#[test]
fn base_references_are_expanded_and_only_of_stages_that_are_built() {
    let file = parse(
        "ARG V=1\nFROM --platform=$BUILDPLATFORM alpine:$V AS build\nRUN x\nFROM never AS unused\nFROM ${BASE:-debian}\nCOPY --from=build a b\nCOPY --from=ghcr.io/x/y:2 a b\nCOPY --from=0 a b",
    );
    let build_platform: Platform = "linux/arm64".parse().unwrap();
    let parameters = Parameters { build_platform: build_platform.clone(), ..parameters(&[("V", "3")]) };
    let found = file.base_references(&parameters).unwrap();
    let shown: Vec<_> = found.iter().map(|r| (r.line, r.key.text.as_str())).collect();
    assert_eq!(shown, [(2, "alpine:3"), (5, "debian"), (7, "ghcr.io/x/y:2")]);
    assert_eq!(found[0].key.platform, build_platform);
    let needs = file.requirements(&parameters).unwrap();
    assert_eq!(needs.needs_run.unwrap().line, 3);
    assert_eq!(needs.needs_buildkit, None);
    let only = Parameters { target: Some("unused".into()), ..parameters };
    assert_eq!(file.requirements(&only).unwrap().needs_run, None);
}

#[test]
fn what_needs_buildkit_is_named() {
    let needs = |text: &str| parse(text).requirements(&Parameters::default()).unwrap();
    let found = needs("FROM scratch\nCOPY --parents a b").needs_buildkit.unwrap();
    assert_eq!((found.line, found.what.as_str()), (2, "COPY --parents"));
    let found = needs("FROM a\nRUN --mount=type=cache,target=/x y").needs_buildkit.unwrap();
    assert_eq!((found.line, found.what.as_str()), (2, "RUN --mount"));
    let found = needs("# syntax=x/y\nFROM scratch").needs_buildkit.unwrap();
    assert_eq!((found.line, found.what.as_str()), (1, "# syntax=x/y"));
    let found = needs("FROM scratch\nCOPY --chmod=1 a b");
    assert_eq!(found.needs_buildkit, None);
    assert_eq!(found.beyond_classic.unwrap().what, "COPY --chmod");
}

#[test]
fn stages_that_do_not_fit_together_are_refused() {
    let plan = |text: &str| parse(text).plan(&Parameters::default()).unwrap_err().to_string();
    assert!(plan("FROM scratch\nCOPY --from=$x a b").starts_with("line 2: variables are not expanded"));
    assert!(plan("FROM scratch\nCOPY --from=7 a b").starts_with("line 2: --from=7"));
    assert!(plan("FROM scratch AS a\nCOPY --from=a a b").starts_with("line 2: cannot copy from stage"));
    assert!(plan("FROM $none").starts_with("line 1: base name ($none) should not be blank"));
}

proptest! {
    #[test]
    fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        Dockerfile::parse(&bytes).ok();
    }

    #[test]
    fn parsing_of_near_dockerfiles_never_panics(
        lines in proptest::collection::vec(
            "(FROM|COPY|ADD|ENV|ARG|LABEL|CMD|ONBUILD|HEALTHCHECK|EXPOSE|RUN|#|x)?[ \\t]{0,2}(--[a-z]{0,5}=?)?[ a-z0-9<>\\-=\"'$\\{\\}:\\[\\],\\\\/%#]{0,24}",
            0..12,
        )
    ) {
        let text = format!("FROM scratch\n{}", lines.join("\n"));
        if let Ok(file) = Dockerfile::parse(text.as_bytes()) {
            file.base_references(&Parameters::default()).ok();
            file.requirements(&Parameters::default()).ok();
        }
    }
}
