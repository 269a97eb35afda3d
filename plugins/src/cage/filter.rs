//! The system calls a caged child may still make.

use std::collections::BTreeMap;
use std::io;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

/// What an interpreter that reads and writes pipes needs, its death by overflow or for want of
/// memory included.
const ALLOWED: &[i64] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
    libc::SYS_prlimit64,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Allowed where the memory is not to be run as a program; the protection is their third argument.
const ALLOWED_WITHOUT_EXECUTION: &[i64] = &[libc::SYS_mmap, libc::SYS_mprotect];

/// Makes every other system call of every thread fail, for good.
pub(super) fn apply() -> io::Result<()> {
    let refused = |error: &dyn std::fmt::Display| {
        io::Error::other(format!("the kernel's system call filter cannot be set: {error}"))
    };
    let program = program().map_err(|error| refused(&error))?;
    seccompiler::apply_filter_all_threads(&program).map_err(|error| refused(&error))
}

fn program() -> Result<BpfProgram, seccompiler::BackendError> {
    let protection = u64::from(libc::PROT_EXEC.unsigned_abs());
    let harmless = SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(protection), 0)?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    for call in ALLOWED_WITHOUT_EXECUTION {
        rules.insert(*call, vec![SeccompRule::new(vec![harmless.clone()])?]);
    }
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let denied = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, denied, SeccompAction::Allow, architecture)?.try_into()
}
