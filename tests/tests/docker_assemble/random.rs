//! Small Dockerfiles by chance: sources, destinations, links and instructions in any order.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::bases::archive;
use crate::case::{Builder, Case, Entry};

const FILES: [&str; 8] =
    ["a.txt", "b.txt", "run.sh", "dir/one", "dir/sub/two", "dir/sub/a.txt", ".hidden", "x/y/z/deep.txt"];
const LINKS: [(&str, &str); 5] =
    [("dir/link", "one"), ("to-dir", "dir"), ("x/up", "../dir/sub"), ("x/abs", "/dir"), ("broken", "none")];
const SOURCES: [&str; 18] = [
    ".",
    "a.txt",
    "*.txt",
    "dir",
    "dir/",
    "dir/*",
    "to-dir",
    "to-dir/sub",
    "x/up",
    "x/abs/one",
    "d*",
    "x/*/z",
    "dir/link",
    "run.sh",
    "[ab].txt",
    "none*",
    "x",
    "./dir/../a.txt",
];
const DESTINATIONS: [&str; 22] = [
    "/",
    ".",
    "./",
    "/bin",
    "/bin/",
    "/bin/tool",
    "/srv/current",
    "/srv/current/",
    "/srv/current/new/",
    "/srv/absolute/x",
    "/srv/chain/",
    "/srv/dangling",
    "/srv/dangling/",
    "/srv/outside/new",
    "/srv/file-link",
    "/var/run/x/",
    "/new",
    "/new/deep/",
    "../up",
    "rel/to/",
    "/opt/$V/",
    "/loop/x",
];
const DIRECTORIES: [&str; 9] =
    ["/w", "w", "../w", "/srv/current/w", "sub/dir/", "/bin/w", "$V", "/srv/dangling", "/"];
const OWNERS: [&str; 6] = ["7", "7:8", "app", "app:staff", "root", "0:web"];
/// Owners that need no file of accounts: BuildKit takes unknown names for root, `assemble` refuses them.
const NUMBERS: [&str; 3] = ["7", "7:8", "0:3000000"];
const BASES: [&str; 4] = ["scratch", "merged", "merged", "layered"];

/// The seed: `SLIPWAY_TEST_SEED` or the clock.
pub(crate) fn seed() -> u64 {
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    std::env::var("SLIPWAY_TEST_SEED").map_or_else(|_| clock(), |text| text.parse().unwrap())
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// The case of this seed.
pub(crate) fn case(seed: u64) -> Case {
    let mut chance = Chance(seed);
    let mut files = Vec::new();
    for name in FILES {
        // Without it `dir/link` is broken, and BuildKit refuses a wildcard over a directory with such a link.
        if name == "dir/one" || !chance.one_in(8) {
            let file = Entry::File { bytes: name.into(), executable: name == "run.sh" };
            files.push((name.to_owned(), file));
        }
    }
    let parents: BTreeSet<String> = files.iter().map(|(name, _)| name.clone()).collect();
    for (name, target) in LINKS {
        if !parents.contains(name) {
            files.push((name.to_owned(), Entry::Link(target.to_owned())));
        }
    }
    files.push(("p.tar".to_owned(), Entry::File { bytes: packed(&mut chance), executable: false }));
    let dockerfile = dockerfile(&mut chance).into_bytes();
    files.push(("Dockerfile".to_owned(), Entry::File { bytes: dockerfile, executable: false }));
    Case {
        name: format!("seed {seed}"),
        builders: vec![Builder::Buildkit],
        either: true,
        files,
        ..Case::default()
    }
}

fn dockerfile(chance: &mut Chance) -> String {
    let mut base = chance.of(&BASES);
    let mut lines = vec![format!("FROM {base} AS first"), "ENV V=value".to_owned()];
    for _ in 0..chance.below(3) {
        lines.push(instruction(chance, owners(base)));
    }
    if chance.one_in(3) {
        let next = chance.of(&["first", "merged", "scratch"]);
        base = if next == "first" { base } else { next };
        // From a stage without any layer BuildKit copies the destination's own root.
        lines.push("COPY Dockerfile /of-first".to_owned());
        lines.push(format!("FROM {next}"));
        lines.push("ARG V=v2".to_owned());
        lines.push("COPY --from=first / /first/".to_owned());
    }
    for _ in 0..=chance.below(4) {
        lines.push(instruction(chance, owners(base)));
    }
    // An engine cannot save an image without layers.
    lines.push("COPY Dockerfile /end".to_owned());
    lines.join("\n") + "\n"
}

fn owners(base: &str) -> &'static [&'static str] {
    if base == "merged" { &OWNERS } else { &NUMBERS }
}

fn instruction(chance: &mut Chance, owners: &[&str]) -> String {
    match chance.below(10) {
        0 | 1 => format!("WORKDIR {}", chance.of(&DIRECTORIES)),
        2 => format!("ADD p.tar {}", chance.of(&DESTINATIONS)),
        3 => format!("USER {}", chance.of(owners)),
        4 => format!("ENV V=${{V:-none}}{}", chance.below(10)),
        5 => format!("LABEL l{}=\"$V \\\"q\\\"\"", chance.below(3)),
        _ => {
            let owner =
                if chance.one_in(3) { format!("--chown={} ", chance.of(owners)) } else { String::new() };
            let mode = if chance.one_in(5) { chance.of(&["--chmod=600 ", "--chmod=4755 "]) } else { "" };
            let second = if chance.one_in(4) { chance.of(&SOURCES) } else { "" };
            format!("COPY {owner}{mode}{} {second} {}", chance.of(&SOURCES), chance.of(&DESTINATIONS))
        }
    }
}

/// An archive whose members meet what the destination holds.
fn packed(chance: &mut Chance) -> Vec<u8> {
    let members = [
        "d 755 9:9 bin/",
        "f 755 9:9 bin/packed = p",
        "d 700 9:9 srv/",
        "f 644 9:9 srv/current/packed = p",
        "l 777 9:9 current -> packed",
        "f 4711 9:9 suid = s",
        "f 644 9:9 new/implied/file = i",
        "h 644 9:9 hard -> suid",
        "d 755 9:9 empty/",
        "l 777 9:9 new/away -> /etc",
    ];
    let mut lines = Vec::new();
    for member in members {
        // A hard link needs what it links to.
        if !chance.one_in(4) && (!member.starts_with('h') || lines.contains(&"f 4711 9:9 suid = s")) {
            lines.push(member);
        }
    }
    archive(&lines.join("\n"))
}
