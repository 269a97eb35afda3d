//! What an image holds, and what is refused.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use slipway_types::Digest;

use super::*;
use crate::dockerfile::{Dockerfile, Parameters};

mod writing;

/// Blobs in memory, by digest.
#[derive(Default, Clone)]
struct MemorySink(Arc<Mutex<HashMap<Digest, Vec<u8>>>>);

struct MemoryWriter(MemorySink, Vec<u8>);

impl LayerSink for MemorySink {
    fn create(&self) -> io::Result<Box<dyn LayerWriter>> {
        Ok(Box::new(MemoryWriter(self.clone(), Vec::new())))
    }
}

impl Write for MemoryWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LayerWriter for MemoryWriter {
    fn finish(self: Box<Self>, digest: Digest, size: u64) -> io::Result<()> {
        assert_eq!((Digest::of(&self.1), self.1.len() as u64), (digest, size));
        self.0.0.lock().unwrap().insert(digest, self.1);
        Ok(())
    }
}

/// Files in memory; a name that ends with `/` is a directory, `a -> b` a link, `a*` executable.
#[derive(Default)]
struct MemoryContext {
    files: Vec<(String, Vec<u8>)>,
    reversed: bool,
}

impl MemoryContext {
    fn new(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
        Self { files: files.collect(), reversed: false }
    }

    fn with(mut self, name: &str, bytes: Vec<u8>) -> Self {
        self.files.push((name.to_owned(), bytes));
        self
    }
}

impl ContextFiles for MemoryContext {
    fn entries(&self) -> io::Result<Vec<ContextEntry>> {
        let entry = |(name, bytes): &(String, Vec<u8>)| {
            if let Some((path, target)) = name.split_once(" -> ") {
                let kind = ContextKind::Symlink { target: target.to_owned() };
                return ContextEntry { path: path.to_owned(), kind };
            }
            if let Some(path) = name.strip_suffix('/') {
                return ContextEntry { path: path.to_owned(), kind: ContextKind::Directory };
            }
            let executable = name.ends_with('*');
            let kind = ContextKind::File { executable, size: bytes.len() as u64 };
            ContextEntry { path: name.trim_end_matches('*').to_owned(), kind }
        };
        let mut entries: Vec<_> = self.files.iter().map(entry).collect();
        if self.reversed {
            entries.reverse();
        }
        Ok(entries)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send>> {
        let found = self.files.iter().find(|(name, _)| name.trim_end_matches('*') == path);
        let (_, bytes) = found.ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(io::Cursor::new(bytes.clone())))
    }
}

/// A tar archive: `(path, type, mode, uid, content or target)`.
fn archive(members: &[(&str, char, u32, u64, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, mode, uid, text) in members {
        let mut header = tar::Header::new_ustar();
        let name = &mut header.as_ustar_mut().unwrap().name;
        name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_mode(*mode);
        header.set_uid(*uid);
        header.set_gid(*uid);
        header.set_mtime(1_700_000_000);
        let (entry_type, content) = match kind {
            'd' => (tar::EntryType::Directory, ""),
            'l' => (tar::EntryType::Symlink, ""),
            'h' => (tar::EntryType::Link, ""),
            _ => (tar::EntryType::Regular, *text),
        };
        header.set_entry_type(entry_type);
        if matches!(kind, 'l' | 'h') {
            header.set_link_name_literal(text).unwrap();
        }
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn base(layers: &[Vec<u8>], config: &str) -> BaseImage {
    let diff_ids: Vec<String> = layers.iter().map(|tar| format!("\"{}\"", Digest::of(tar))).collect();
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{config},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        diff_ids.join(",")
    );
    let layers = layers.iter().map(|tar| {
        let blob = gzip(tar);
        let media_type = "application/vnd.docker.image.rootfs.diff.tar.gzip";
        BaseLayer::new(Digest::of(&blob), blob.len() as u64, media_type, move || {
            Ok(Box::new(io::Cursor::new(blob.clone())))
        })
    });
    BaseImage::new(config.as_bytes(), layers.collect()).unwrap()
}

/// A base with a merged `/usr`, accounts, and a file that a second layer deletes.
fn debian() -> BaseImage {
    let first = archive(&[
        ("bin", 'l', 0o777, 0, "usr/bin"),
        ("etc/", 'd', 0o755, 0, ""),
        ("etc/passwd", 'f', 0o644, 0, "root:x:0:0::/:/bin/sh\napp:x:100:101::/:/bin/sh\n"),
        ("etc/group", 'f', 0o644, 0, "root:x:0:\nstaff:x:50:\n"),
        ("gone/", 'd', 0o755, 0, ""),
        ("gone/file", 'f', 0o644, 0, "x"),
        ("opaque/", 'd', 0o755, 0, ""),
        ("opaque/old", 'f', 0o644, 0, "x"),
        ("tmp/", 'd', 0o1777, 0, ""),
        ("usr/", 'd', 0o755, 0, ""),
        ("usr/bin/", 'd', 0o755, 0, ""),
        ("usr/bin/sh", 'f', 0o4755, 0, "shell"),
        ("usr/bin/ash", 'h', 0o4755, 0, "usr/bin/sh"),
        ("var/run", 'l', 0o777, 0, "/run"),
        ("run/", 'd', 0o700, 7, ""),
        ("escape", 'l', 0o777, 0, "../../../../etc"),
        ("loop", 'l', 0o777, 0, "loop"),
    ]);
    let second = archive(&[
        (".wh.gone", 'f', 0o644, 0, ""),
        ("opaque/.wh..wh..opq", 'f', 0o644, 0, ""),
        ("opaque/new", 'f', 0o600, 5, "y"),
    ]);
    base(&[first, second], r#"{"Env":["PATH=/bin","A=1"],"Cmd":["sh"],"WorkingDir":"/","OnBuild":null}"#)
}

struct Run {
    context: MemoryContext,
    bases: BTreeMap<crate::dockerfile::BaseKey, Arc<BaseImage>>,
    parameters: Parameters,
    options: Options,
}

impl Run {
    fn new(files: &[(&str, &str)]) -> Self {
        Self {
            context: MemoryContext::new(files),
            bases: BTreeMap::new(),
            parameters: Parameters::default(),
            options: Options { compress_threads: 2, ..Options::default() },
        }
    }

    fn base(mut self, text: &str, image: BaseImage) -> Self {
        let platform = self.parameters.platform.clone();
        self.bases.insert(crate::dockerfile::BaseKey { text: text.to_owned(), platform }, Arc::new(image));
        self
    }

    fn assemble(self, dockerfile: &str) -> Result<(AssembledImage, MemorySink), AssembleError> {
        let sink = MemorySink::default();
        let image = self.assemble_into(dockerfile, &sink, None)?;
        Ok((image, sink))
    }

    fn assemble_into(
        self,
        dockerfile: &str,
        sink: &MemorySink,
        cache: Option<&dyn BlockCache>,
    ) -> Result<AssembledImage, AssembleError> {
        let dockerfile = Dockerfile::parse(dockerfile.as_bytes())?;
        let input = Input {
            dockerfile: &dockerfile,
            parameters: &self.parameters,
            context: Arc::new(self.context),
            dockerignore: None,
            bases: &self.bases,
            sink,
            cache,
            cancelled: None,
        };
        super::assemble(&input, &self.options)
    }

    /// The new layers' entries, one line each: `type mode uid:gid path [-> target] [= content]`.
    fn listing(self, dockerfile: &str) -> String {
        let (image, sink) = self.assemble(dockerfile).unwrap();
        let mut text = String::new();
        for layer in image.layers.iter().filter(|layer| layer.source == LayerSource::New) {
            let blob = sink.0.lock().unwrap()[&layer.digest].clone();
            let mut tar = Vec::new();
            flate2::read::MultiGzDecoder::new(blob.as_slice()).read_to_end(&mut tar).unwrap();
            assert_eq!(Digest::of(&tar), layer.diff_id);
            list(&tar, &mut text);
        }
        text
    }

    fn config(self, dockerfile: &str) -> ImageConfig {
        serde_json::from_slice(&self.assemble(dockerfile).unwrap().0.config).unwrap()
    }

    fn error(self, dockerfile: &str) -> String {
        self.assemble(dockerfile).err().expect("it is refused").to_string()
    }
}

fn list(tar: &[u8], text: &mut String) {
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let header = entry.header();
        assert_eq!(header.mtime().unwrap(), 315_532_800);
        let kind = match header.entry_type() {
            tar::EntryType::Directory => 'd',
            tar::EntryType::Symlink => 'l',
            tar::EntryType::Link => 'h',
            _ => 'f',
        };
        let mode = header.mode().unwrap();
        let (uid, gid) = (header.uid().unwrap(), header.gid().unwrap());
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        write!(text, "{kind} {mode:o} {uid}:{gid} {path}").unwrap();
        if let Some(target) = entry.link_name_bytes() {
            write!(text, " -> {}", String::from_utf8_lossy(&target)).unwrap();
        }
        if kind == 'f' && content.len() < 40 {
            write!(text, " = {}", String::from_utf8_lossy(&content).trim_end()).unwrap();
        }
        text.push('\n');
    }
}

const FILES: &[(&str, &str)] = &[
    ("a.txt", "A"),
    ("b.txt", "B"),
    ("run.sh*", "R"),
    ("dir/one", "1"),
    ("dir/sub/two", "2"),
    ("dir/link -> one", ""),
    ("todir -> dir", ""),
];

#[test]
fn sources_land_where_docker_puts_them() {
    for (dockerfile, expected) in [
        ("COPY a.txt /", "f 644 0:0 a.txt = A\n"),
        ("COPY a.txt /x", "f 644 0:0 x = A\n"),
        ("COPY a.txt /x/", "d 755 0:0 x/\nf 644 0:0 x/a.txt = A\n"),
        ("COPY run.sh a/b/c", "d 755 0:0 a/\nd 755 0:0 a/b/\nf 755 0:0 a/b/c = R\n"),
        ("COPY *.txt /t/", "d 755 0:0 t/\nf 644 0:0 t/a.txt = A\nf 644 0:0 t/b.txt = B\n"),
        (
            "COPY dir /d",
            "d 755 0:0 d/\nl 777 0:0 d/link -> one\nf 644 0:0 d/one = 1\nd 755 0:0 d/sub/\nf 644 0:0 d/sub/two = 2\n",
        ),
        ("COPY todir/sub /d", "d 755 0:0 d/\nf 644 0:0 d/two = 2\n"),
        ("COPY d*/s* /d/", "d 755 0:0 d/\nf 644 0:0 d/two = 2\n"),
        ("COPY dir/link /l", "f 644 0:0 l = 1\n"),
        ("COPY ../../a.txt /../x", "f 644 0:0 x = A\n"),
        ("WORKDIR /w\nCOPY a.txt .", "d 755 0:0 w/\nf 644 0:0 w/a.txt = A\n"),
        ("WORKDIR /w\nWORKDIR v\nWORKDIR /w", "d 755 0:0 w/\nd 755 0:0 w/v/\n"),
        ("COPY --chown=7:8 --chmod=4711 dir/sub /s", "d 755 7:8 s/\nf 4711 7:8 s/two = 2\n"),
        (
            "COPY --chmod=0600 dir /d/",
            "d 755 0:0 d/\nl 777 0:0 d/link -> one\nf 600 0:0 d/one = 1\nd 600 0:0 d/sub/\nf 600 0:0 d/sub/two = 2\n",
        ),
        ("ARG D=q\nENV E=${D}r\nCOPY a.txt /$E", "f 644 0:0 qr = A\n"),
        (
            "ARG X=1\nCOPY <<one <<\"two\" /h/\n$X\none\n$X\ntwo",
            "d 755 0:0 h/\nf 644 0:0 h/one = 1\nf 644 0:0 h/two = $X\n",
        ),
        ("COPY no*thing /x/", ""),
    ] {
        assert_eq!(Run::new(FILES).listing(&format!("FROM scratch\n{dockerfile}")), expected, "{dockerfile}");
    }
}

#[test]
fn layers_are_written_against_the_base() {
    for (dockerfile, expected) in [
        ("COPY run.sh /bin/x", "f 755 0:0 usr/bin/x = R\n"),
        ("COPY a.txt /tmp/", "f 644 0:0 tmp/a.txt = A\n"),
        ("COPY a.txt /var/run/x/", "d 755 0:0 run/x/\nf 644 0:0 run/x/a.txt = A\n"),
        ("COPY a.txt /escape/x", "f 644 0:0 etc/x = A\n"),
        ("COPY a.txt /gone/", "d 755 0:0 gone/\nf 644 0:0 gone/a.txt = A\n"),
        ("COPY a.txt /bin", "f 644 0:0 usr/bin/a.txt = A\n"),
        ("COPY --chown=app a.txt /x", "f 644 100:101 x = A\n"),
        ("COPY --chown=app:staff a.txt /x", "f 644 100:50 x = A\n"),
        ("WORKDIR /run", ""),
        ("USER app\nWORKDIR /home/app", "d 755 100:101 home/\nd 755 100:101 home/app/\n"),
        (
            "COPY --from=debian /bin/sh /opaque/new /x/",
            "d 755 0:0 x/\nf 600 5:5 x/new = y\nf 4755 0:0 x/sh = shell\n",
        ),
        (
            "COPY --from=debian /usr/bin /x",
            "d 755 0:0 x/\nf 4755 0:0 x/ash = shell\nh 4755 0:0 x/sh -> x/ash\n",
        ),
    ] {
        let run = Run::new(FILES).base("debian", debian());
        assert_eq!(run.listing(&format!("FROM debian\n{dockerfile}")), expected, "{dockerfile}");
    }
}

#[test]
fn stages_copy_from_each_other() {
    let listing = Run::new(FILES).listing(
        "FROM scratch AS one\nWORKDIR /out\nCOPY --chown=5 a.txt b.txt ./\nFROM scratch AS unused\nCOPY none /\nFROM one AS two\nCOPY run.sh /out/\nFROM two\nCOPY --from=one /out/a.txt /\nCOPY --from=2 /out /o",
    );
    assert_eq!(
        listing,
        "d 755 0:0 out/\nf 644 5:5 out/a.txt = A\nf 644 5:5 out/b.txt = B\nf 755 0:0 out/run.sh = R\nf 644 5:5 a.txt = A\nd 755 0:0 o/\nf 644 5:5 o/a.txt = A\nf 644 5:5 o/b.txt = B\nf 755 0:0 o/run.sh = R\n"
    );
}

#[test]
fn ignored_files_are_not_there() {
    let mut files = FILES.to_vec();
    files.push((".dockerignore", "dir\n!dir/sub\n*.txt\n!b.txt\n"));
    let listing = |dockerfile: &str| Run::new(&files).listing(&format!("FROM scratch\n{dockerfile}"));
    assert_eq!(
        listing("COPY dir *.txt /d/"),
        "d 755 0:0 d/\nf 644 0:0 d/b.txt = B\nd 755 0:0 d/sub/\nf 644 0:0 d/sub/two = 2\n"
    );
    assert_eq!(
        Run::new(&files).error("FROM scratch\nCOPY a.txt /"),
        "line 2: a.txt not found in the build context (.dockerignore leaves it out by the pattern \"*.txt\")"
    );
    assert_eq!(
        Run::new(&files).error("FROM scratch\n\nCOPY nope /"),
        "line 3: nope not found in the build context"
    );
}

#[test]
fn what_cannot_be_assembled_is_refused_by_line() {
    for (dockerfile, expected) in [
        ("RUN x", "line 2: RUN runs a command, which the assemble back-end cannot do"),
        ("COPY --link a.txt /", "line 2: COPY --link needs BuildKit"),
        (
            "ADD https://x/y /",
            "line 2: https://x/y is remote, and the assemble back-end adds local files only",
        ),
        (
            "COPY --chown=nobody a.txt /",
            "line 2: unknown user \"nobody\": /etc/passwd of the image does not name it",
        ),
        (
            "COPY --chmod=u+x a.txt /",
            "line 2: invalid chmod parameter \"u+x\": it must be octal, from 0 to 07777",
        ),
        ("COPY --from=other a /", "line 2: the image other for linux/amd64 was not resolved"),
        ("COPY dir /loop/", "line 2: too many links"),
        ("COPY dir /usr/bin/sh", "line 2: cannot copy to non-directory: /usr/bin/sh"),
        ("COPY a.txt /usr/bin/sh/x", "line 2: /usr/bin/sh is not a directory"),
        ("COPY a.txt /.wh.x", "line 2: /.wh.x: names that start with .wh. mean deletions in image layers"),
        ("STOPSIGNAL X", "line 2: invalid signal: X"),
        ("USER ${u:?must be set}", "line 2: failed to process \"${u:?must be set}\": u: must be set"),
    ] {
        let run = Run::new(FILES).base("debian", debian());
        assert_eq!(run.error(&format!("FROM debian\n{dockerfile}")), expected, "{dockerfile}");
    }
    // A copied directory does not replace a link of the base.
    let run = Run::new(&[("root/bin/x", "x")]).base("debian", debian());
    assert_eq!(run.error("FROM debian\nCOPY root /"), "line 2: cannot copy to non-directory: /bin");
}

#[test]
fn archives_are_unpacked_inside_their_destination() {
    let tar = archive(&[
        ("./", 'd', 0o700, 9, ""),
        ("d/", 'd', 0o750, 9, ""),
        ("d/f", 'f', 0o640, 9, "F"),
        ("d/h", 'h', 0o640, 9, "d/f"),
        ("../../up", 'f', 0o644, 0, "U"),
        ("/abs", 'f', 0o644, 0, "X"),
        ("out", 'l', 0o777, 0, "/etc"),
        ("out/x", 'f', 0o644, 0, "O"),
        ("implied/y", 'f', 0o644, 0, "Y"),
    ]);
    let run = || Run { context: MemoryContext::default().with("a.tgz", gzip(&tar)), ..Run::new(&[]) };
    let expected = "d 755 0:0 to/\nf 644 0:0 to/abs = X\nd 750 9:9 to/d/\nf 640 9:9 to/d/f = F\nh 640 9:9 to/d/h -> to/d/f\nd 755 0:0 to/etc/\nf 644 0:0 to/etc/x = O\nd 755 0:0 to/implied/\nf 644 0:0 to/implied/y = Y\nl 777 0:0 to/out -> /etc\nf 644 0:0 to/up = U\n";
    assert_eq!(run().listing("FROM scratch\nADD a.tgz /to"), expected);
    let owned = run().listing("FROM scratch\nADD --chown=3 a.tgz /to");
    assert!(owned.starts_with("d 755 3:3 to/\n") && owned.contains("d 750 9:9 to/d/\n"), "{owned}");
    assert!(run().listing("FROM scratch\nCOPY a.tgz /to").starts_with("f 644 0:0 to"));
    let outside = archive(&[("x", 'h', 0o644, 0, "../../etc/passwd")]);
    let run = Run { context: MemoryContext::default().with("a.tar", outside), ..Run::new(&[]) };
    assert_eq!(
        run.base("debian", debian()).error("FROM debian\nADD a.tar /to/"),
        "line 2: /to/x is a hard link to /to/etc/passwd, which does not exist"
    );
    let run =
        Run { context: MemoryContext::default().with("a.txz", b"\xfd7zXZ\0...".to_vec()), ..Run::new(&[]) };
    assert_eq!(
        run.error("FROM scratch\nADD a.txz /"),
        "line 2: a.txz: xz archives cannot be unpacked, only tar and tar.gz"
    );
    assert_eq!(Run::new(FILES).listing("FROM scratch\nADD a.txt /x"), "f 644 0:0 x = A\n");
}

#[test]
fn the_configuration_is_dockers() {
    let config = Run::new(FILES).base("debian", debian()).config(
        "ARG G=global\nFROM debian\nARG G\nARG P=8080\nENV A=2 B=\"x y\" C=$G\nLABEL l=1 m=\"$A\"\nWORKDIR /w\nUSER app\nEXPOSE $P 53/udp\nVOLUME /v [\"/x\"]\nENTRYPOINT [\"/e\"]\nCMD run $A\nHEALTHCHECK --interval=30s CMD check\nSTOPSIGNAL SIGINT\nSHELL [\"/bin/bash\", \"-c\"]\nONBUILD RUN x\nMAINTAINER me",
    );
    let inner = &config.config;
    assert_eq!(inner.env, ["PATH=/bin", "A=2", "B=x y", "C=global"]);
    assert_eq!(inner.labels, BTreeMap::from([("l".into(), "1".into()), ("m".into(), "2".into())]));
    assert_eq!((inner.working_dir.as_str(), inner.user.as_str()), ("/w", "app"));
    assert_eq!(inner.exposed_ports.iter().collect::<Vec<_>>(), ["53/udp", "8080/tcp"]);
    assert_eq!(inner.entrypoint, ["/e"]);
    assert_eq!(inner.cmd, ["/bin/sh", "-c", "run $A"]);
    let check = inner.healthcheck.as_ref().unwrap();
    assert_eq!((check.test.join(" "), check.interval), ("CMD-SHELL check".into(), 30_000_000_000));
    assert_eq!((inner.stop_signal.as_str(), inner.shell.len()), ("SIGINT", 2));
    assert_eq!(inner.on_build, ["RUN x"]);
    assert_eq!((config.author.as_str(), config.created.as_deref()), ("me", Some("1980-01-01T00:00:00Z")));
    assert_eq!(config.rootfs.diff_ids.len(), 3);
    let layers = config.history.iter().filter(|step| !step.empty_layer).count();
    assert_eq!((layers, config.history[0].created_by.as_deref()), (1, Some("ARG G=global")));
}

#[test]
fn entrypoint_clears_the_command_of_the_base_only() {
    let cmd = |text: &str| {
        Run::new(&[]).base("debian", debian()).config(&format!("FROM debian\n{text}")).config.cmd
    };
    assert_eq!(cmd("USER a"), ["sh"]);
    assert!(cmd("ENTRYPOINT [\"x\"]").is_empty());
    assert_eq!(cmd("CMD [\"y\"]\nENTRYPOINT [\"x\"]"), ["y"]);
}

#[test]
fn triggers_of_the_base_are_carried_out() {
    let triggered = || base(&[], r#"{"OnBuild":["COPY a.txt /t","ENV T=1"]}"#);
    let run = || Run::new(FILES).base("parent", triggered());
    assert_eq!(run().listing("FROM parent"), "f 644 0:0 t = A\n");
    let config = run().config("FROM parent\nENV U=${T}2").config;
    assert_eq!((config.env[1..].join(" "), config.on_build.len()), ("T=1 U=12".into(), 0));
    let runs = Run::new(FILES).base("parent", base(&[], r#"{"OnBuild":["RUN x"]}"#));
    assert!(matches!(runs.assemble("# c\nFROM parent"), Err(AssembleError::NotAssemblable { line: 2, .. })));
    let listing = Run::new(FILES).listing("FROM scratch AS a\nONBUILD COPY a.txt /\nFROM a\nCOPY b.txt /");
    assert_eq!(listing, "f 644 0:0 a.txt = A\nf 644 0:0 b.txt = B\n");
}

#[test]
fn long_names_and_large_numbers_survive() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(160));
    let deep = format!("{}/{}", "d".repeat(90), "e".repeat(60));
    let target = "t".repeat(150);
    let link = format!("l -> {target}");
    let files = [(long.as_str(), "L"), (deep.as_str(), "D"), (link.as_str(), "")];
    let listing = Run::new(&files).listing("FROM scratch\nCOPY --chown=2147483647 . /");
    assert!(listing.contains(&format!(" {long} = L\n")), "{listing}");
    assert!(listing.contains(&format!(" {deep} = D\n")), "{listing}");
    assert!(listing.contains(&format!(" l -> {target}\n")), "{listing}");
}

#[test]
fn an_ignore_file_beside_the_dockerfile_wins() {
    let dockerfile = Dockerfile::parse(b"FROM scratch\nCOPY . /").unwrap();
    let sink = MemorySink::default();
    let assemble = |dockerignore, files: &[(&str, &str)]| {
        let input = Input {
            dockerfile: &dockerfile,
            parameters: &Parameters::default(),
            context: Arc::new(MemoryContext::new(files)),
            dockerignore,
            bases: &BTreeMap::new(),
            sink: &sink,
            cache: None,
            cancelled: None,
        };
        super::assemble(&input, &Options::default()).unwrap().digest
    };
    let files = [("a", "A"), ("b", "B"), (".dockerignore", "a")];
    assert_eq!(assemble(Some(b"b\n.dockerignore"), &files), assemble(None, &[("a", "A")]));
}

#[test]
fn a_directory_on_disk_is_a_context() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("d")).unwrap();
    std::fs::write(directory.path().join("d/f"), "hi").unwrap();
    let dockerfile = Dockerfile::parse(b"FROM scratch\nCOPY d /d").unwrap();
    let sink = MemorySink::default();
    let input = Input {
        dockerfile: &dockerfile,
        parameters: &Parameters::default(),
        context: Arc::new(DirectoryContext::new(directory.path())),
        dockerignore: None,
        bases: &BTreeMap::new(),
        sink: &sink,
        cache: None,
        cancelled: None,
    };
    let image = super::assemble(&input, &Options::default()).unwrap();
    let expected = Run::new(&[("d/f", "hi")]).assemble("FROM scratch\nCOPY d /d").unwrap().0;
    assert_eq!(image, expected);
}

proptest! {
    #[test]
    fn no_path_leaves_the_root(
        links in proptest::collection::vec(("[ab/]{1,4}", "[ab./]{0,8}"), 0..8),
        path in "[ab./]{0,12}",
    ) {
        use super::tree::{Kind, Node, Tree, clean};
        let mut tree = Tree::default();
        for (name, target) in links {
            let name = clean(name.as_bytes());
            if !name.is_empty() {
                tree.put(name, Node::new(Kind::Symlink(target.into_bytes()), 0o777));
            }
        }
        if let Ok(resolved) = tree.resolve_under(b"root", path.as_bytes()) {
            prop_assert!(resolved == b"root" || resolved.starts_with(b"root/"));
            prop_assert_eq!(clean(&resolved), resolved);
        }
        if let Ok(resolved) = tree.resolve(path.as_bytes()) {
            prop_assert_eq!(clean(&resolved), resolved.clone());
            prop_assert!(!matches!(tree.get(&resolved).map(|node| &node.kind), Some(Kind::Symlink(_))));
        }
    }
}
