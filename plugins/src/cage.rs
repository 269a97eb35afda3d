//! What the child gives up before it reads a line of a plug-in.
//!
//! Nothing is asked of the parent but an empty environment: the child closes what it was not
//! meant to inherit, can open nothing more, start nothing, write no file and grow no further than
//! the kernel lets it; of the system calls it keeps those that memory and its pipes need. There is no parent-death signal on purpose: it follows the *thread* that
//! started the child, and a runtime ends threads as it likes. A child whose parent is gone reads
//! the end of its input, and one that computes meanwhile runs into its CPU time.

use std::io;
use std::time::Duration;

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::set_no_new_privs;
use rustix::time::{ClockId, clock_gettime};

mod filter;

/// Standard input, output and error.
const KEPT_DESCRIPTORS: i32 = 3;

/// Gives up what takes no options: to be called first of all.
pub(crate) fn shut() -> io::Result<()> {
    close_inherited()?;
    set_no_new_privs(true)?;
    for resource in [Resource::Core, Resource::Fsize] {
        limit(resource, 0)?;
    }
    Ok(())
}

/// Bounds memory and gives up files and processes: to be called when the last thread has started.
pub(crate) fn lock(max_memory_bytes: u64) -> io::Result<()> {
    // Taken on top of what is mapped already, for how much that is depends on the program.
    limit(Resource::As, mapped_bytes()?.saturating_add(max_memory_bytes))?;
    limit(Resource::Nproc, 0)?;
    limit(Resource::Nofile, KEPT_DESCRIPTORS.unsigned_abs().into())?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    filter::apply()
}

/// Lets the process use `max_cpu_ms` more of the CPU, rounded up to the kernel's whole seconds.
pub(crate) fn allow_cpu(max_cpu_ms: u64) -> io::Result<()> {
    let used = clock_gettime(ClockId::ProcessCPUTime).tv_sec.unsigned_abs();
    let current = Some(used + max_cpu_ms.div_ceil(1_000) + 1);
    let maximum = getrlimit(Resource::Cpu).maximum;
    Ok(setrlimit(Resource::Cpu, Rlimit { current, maximum })?)
}

/// CPU time this thread has used.
pub(crate) fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

fn limit(resource: Resource, value: u64) -> io::Result<()> {
    let allowed = getrlimit(resource).maximum.map_or(value, |most| most.min(value));
    Ok(setrlimit(resource, Rlimit { current: Some(allowed), maximum: Some(allowed) })?)
}

fn close_inherited() -> io::Result<()> {
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        open.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    for descriptor in open.into_iter().filter(|descriptor| *descriptor >= KEPT_DESCRIPTORS) {
        // The directory's own descriptor is closed by now.
        match nix::unistd::close(descriptor) {
            Ok(()) | Err(nix::errno::Errno::EBADF) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn mapped_bytes() -> io::Result<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    let pages = pages.split(' ').next().and_then(|word| word.parse::<u64>().ok());
    let pages = pages.ok_or_else(|| io::Error::other("/proc/self/statm does not begin with a number"))?;
    Ok(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::ErrorKind;
    use std::net::{TcpListener, UdpSocket};
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};

    use super::*;

    const INSIDE: &str = "INSIDE_THE_CAGE";

    /// Runs in a process of its own, for there is no way out of the cage.
    #[test]
    fn nothing_can_be_opened_started_or_reached() {
        if std::env::var_os(INSIDE).is_none() {
            let test = "cage::tests::nothing_can_be_opened_started_or_reached";
            let caged = Command::new(std::env::current_exe().expect("a test has a path"))
                .args(["--exact", test, "--nocapture"])
                .env(INSIDE, "1")
                .stdin(Stdio::null())
                .output()
                .expect("a test can be started");
            let said = String::from_utf8_lossy(&caged.stdout);
            assert!(caged.status.success(), "{said}{}", String::from_utf8_lossy(&caged.stderr));
            assert!(said.contains("nothing came out"), "{said}");
            return;
        }
        shut().expect("the cage shuts");
        let before = File::open("/proc/self/status").expect("the first part still reads files");
        drop(before);
        lock(64 << 20).expect("the cage locks");
        let kind = |result: io::Result<()>| result.map_err(|error| error.kind());
        let denied = Err(ErrorKind::PermissionDenied);
        assert_eq!(kind(File::open("/etc/hostname").map(drop)), denied);
        assert_eq!(kind(File::create("out-of-the-cage").map(drop)), denied);
        assert_eq!(kind(std::fs::remove_file("out-of-the-cage")), denied);
        assert_eq!(kind(TcpListener::bind("127.0.0.1:0").map(drop)), denied);
        assert_eq!(kind(UdpSocket::bind("127.0.0.1:0").map(drop)), denied);
        assert_eq!(kind(UnixStream::connect("/run/docker.sock").map(drop)), denied);
        assert_eq!(kind(Command::new("/bin/true").status().map(drop)), denied);
        assert_eq!(kind(std::thread::Builder::new().spawn(|| ()).map(drop)), denied);
        let itself = rustix::process::getpid();
        assert!(rustix::process::kill_process(itself, rustix::process::Signal::TERM).is_err());
        assert!(Vec::<u8>::new().try_reserve(256 << 20).is_err());
        assert!(Vec::<u8>::new().try_reserve(16 << 20).is_ok());
        allow_cpu(1_000).expect("CPU time can be allowed from inside");
        println!("nothing came out");
    }
}
