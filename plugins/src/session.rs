//! One child and the calls made to it.

use std::io;
use std::sync::Arc;

use serde_json::Value;

use crate::child::{Child, Exchange};
use crate::error::{Limit, PluginError};
use crate::frame::{self, Call, Source};
use crate::host::Settings;
use crate::program::Program;

/// A child process that serves calls, one at a time. It is replaced when it ends, and dies with
/// the session.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    child: Option<Child>,
    talk: Vec<String>,
}

impl Session {
    pub(crate) async fn start(settings: Arc<Settings>) -> Result<Self, PluginError> {
        let child = Child::start(&settings).await?;
        Ok(Self { settings, child: Some(child), talk: Vec::new() })
    }

    /// Calls `function` of `program`'s entry with `input`: an object becomes a struct of its
    /// top-level keys.
    ///
    /// A child that breaks a limit of the kernel or the wall clock is killed, and the next call
    /// gets a new one. So is the child of a call that is dropped before it ends.
    pub async fn call(
        &mut self,
        program: &Program,
        function: &str,
        input: &Value,
    ) -> Result<Value, PluginError> {
        self.talk.clear();
        let given = self.check(program, input)?;
        // Whatever ends this call early, the child goes with it: it is put back only when it has
        // answered in full.
        let mut child = match self.child.take() {
            Some(child) if self.fits(&child, program) => child,
            _ => Child::start(&self.settings).await?,
        };
        let frames = request(&child, program, function, &given)?;
        match child.exchange(&frames, &self.settings.options).await? {
            Exchange::Answered(answer, value) => {
                if answer.known {
                    child.remember(program.digest());
                }
                self.child = Some(child);
                self.talk = answer.talk;
                match (answer.fault, value) {
                    (Some(fault), _) => Err(fault.into_error(program)),
                    (None, Some(value)) => Ok(value),
                    (None, None) => Err(io::Error::other("an answer without a value").into()),
                }
            }
            Exchange::Ended(fault) => Err(fault.into_error(program)),
        }
    }

    /// What the last call printed, one entry a line, cut at `max_talk_bytes`.
    pub fn talk(&self) -> &[String] {
        &self.talk
    }

    /// The process id of the child, if one is alive.
    pub fn process_id(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::process_id)
    }

    fn fits(&self, child: &Child, program: &Program) -> bool {
        child.knows(program.digest()) || child.known_programs() < self.settings.options.max_programs
    }

    /// The input as JSON, if it and the program are small enough to be sent.
    fn check(&self, program: &Program, input: &Value) -> Result<Vec<u8>, PluginError> {
        let options = &self.settings.options;
        let over =
            |which, limit| PluginError::Limit { program: program.title().to_owned(), which, limit, at: None };
        if program.size_bytes() > options.max_program_bytes {
            return Err(over(Limit::ProgramSize, options.max_program_bytes));
        }
        if is_deeper(input, options.max_depth) {
            return Err(over(Limit::Depth, options.max_depth));
        }
        let mut given = Bounded { bytes: Vec::new(), max_bytes: options.max_input_bytes };
        serde_json::to_writer(&mut given, input)
            .map_err(|_| over(Limit::InputSize, options.max_input_bytes))?;
        Ok(given.bytes)
    }
}

fn request(child: &Child, program: &Program, function: &str, given: &[u8]) -> io::Result<Vec<u8>> {
    let source = (!child.knows(program.digest()))
        .then(|| Source { modules: program.modules().clone(), entry: program.entry().to_owned() });
    let mut frames = Vec::with_capacity(given.len() + 256);
    let call = Call { program: program.digest(), source, function: function.to_owned() };
    frame::append_json(&mut frames, &call)?;
    frame::append(&mut frames, given)?;
    Ok(frames)
}

fn is_deeper(value: &Value, most: u64) -> bool {
    match (value, most) {
        (Value::Array(_) | Value::Object(_), 0) => true,
        (Value::Array(items), most) => items.iter().any(|item| is_deeper(item, most - 1)),
        (Value::Object(fields), most) => fields.values().any(|field| is_deeper(field, most - 1)),
        _ => false,
    }
}

/// Takes no more than it may, so that an input too large is never held whole.
struct Bounded {
    bytes: Vec<u8>,
    max_bytes: u64,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.bytes.len() + bytes.len()) as u64 > self.max_bytes {
            return Err(io::Error::other("too large"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
