//! `kubectl proxy`: the API server without TLS.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::namespace::Namespace;
use crate::services;

/// A running one, on a loopback port; it ends when dropped.
#[derive(Debug)]
pub struct PlainApi {
    process: Child,
    address: String,
}

impl PlainApi {
    /// One for the cluster of a namespace, as the administrator.
    pub fn start(namespace: &Namespace) -> Self {
        let mut command = Command::new(services::tool("kubectl"));
        command.arg("--kubeconfig").arg(&namespace.cluster.kubeconfig).args(["proxy", "--port", "0"]);
        let mut process = command.stdout(Stdio::piped()).spawn().expect("kubectl");
        let mut line = String::new();
        let said = process.stdout.as_mut().expect("its output");
        BufReader::new(said).read_line(&mut line).expect("a line");
        let (_, address) = line.trim_end().rsplit_once(' ').unwrap_or_else(|| panic!("no address: {line}"));
        let address = address.to_owned();
        Self { process, address }
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for PlainApi {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
