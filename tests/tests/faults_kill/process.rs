//! A server that is going to be killed.

use std::cell::RefCell;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use slipway_tests::server::{Server, binary};

use crate::Moment;

/// One boot of the server, stopping at a point if it is to.
pub(crate) struct Victim {
    child: RefCell<Child>,
    log: PathBuf,
    marker: PathBuf,
}

impl Victim {
    /// Starts the binary on the stopped server's data and address.
    pub(crate) fn start(server: &Server, moment: Moment) -> Self {
        let (log, marker) = (server.scratch().join("victim.log"), server.scratch().join("stopped"));
        drop(fs::remove_file(&marker));
        let written = File::create(&log).expect("a log file");
        let mut command = Command::new(binary());
        command
            .args(["serve", "--listen", server.address(), "--data"])
            .arg(server.data())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", server.scratch().join("home"))
            .stdin(Stdio::null())
            .stdout(written.try_clone().expect("a log file"))
            .stderr(written);
        if let Moment::Point(point, count) = moment {
            command.env("SLIPWAY_TEST_STOP_AT", format!("{point}:{count}"));
            command.env("SLIPWAY_TEST_STOP_MARKER", &marker);
        }
        let child = RefCell::new(command.spawn().expect("the server can be started"));
        Self { child, log, marker }
    }

    /// The point it has stopped at.
    pub(crate) fn stopped_at(&self) -> Option<String> {
        fs::read_to_string(&self.marker).ok().filter(|point| !point.is_empty())
    }

    pub(crate) fn listens(&self) -> bool {
        self.log().contains("listens on ")
    }

    pub(crate) fn runs(&self) -> bool {
        matches!(self.child.borrow_mut().try_wait(), Ok(None))
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGKILL.
    pub(crate) fn kill(self) {
        let mut child = self.child.into_inner();
        child.kill().expect("the server can be killed");
        child.wait().expect("the server can be waited for");
    }
}
