//! The child: cages itself, then answers calls until its input ends.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::cage;
use crate::frame::{self, Answer, Call, MAX_HEADER_BYTES};
use crate::language::{Interpreter, Outcome};
use crate::options::PluginOptions;

/// What a panic's message begins with on standard error.
pub(crate) const PANIC: &str = "plug-in host panicked: ";

/// The child's main function: cages the process and answers calls on its standard input.
///
/// It must be called before the process opens a file or starts a thread: it closes all but the
/// three standard descriptors. It ends with its input.
pub fn serve() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be left to read it; then the exit code has to do.
            drop(writeln!(io::stderr(), "{error}"));
            ExitCode::FAILURE
        }
    }
}

fn start() -> io::Result<()> {
    cage::shut()?;
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        drop(writeln!(io::stderr(), "{PANIC}{message}"));
        // The interpreter is in no state to go on; what it held goes with the process.
        std::process::abort();
    }));
    let Some(options) = frame::read_json(&mut io::stdin().lock(), MAX_HEADER_BYTES)? else { return Ok(()) };
    let options: PluginOptions = options;
    let stack = usize::try_from(options.max_stack_bytes).unwrap_or(usize::MAX);
    // A thread of its own, for the main thread's stack is whatever the parent's limits say.
    let thread = std::thread::Builder::new().name("plug-in".to_owned()).stack_size(stack);
    match thread.spawn(move || answer_calls(&options))?.join() {
        Ok(result) => result,
        Err(_) => Err(io::Error::other("the interpreter's thread panicked")),
    }
}

fn answer_calls(options: &PluginOptions) -> io::Result<()> {
    let mut interpreter = Interpreter::new(options.clone());
    cage::lock(options.max_memory_bytes)?;
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut ready = Vec::new();
    frame::append_json(&mut ready, &Answer { known: false, talk: Vec::new(), fault: None })?;
    frame::write(&mut output, &ready)?;
    let max_call_bytes = MAX_HEADER_BYTES.saturating_add(options.max_program_bytes.saturating_mul(6));
    loop {
        let Some(call) = frame::read_json::<Call>(&mut input, max_call_bytes)? else { return Ok(()) };
        let Some(given) = frame::read(&mut input, options.max_input_bytes)? else { return Ok(()) };
        cage::allow_cpu(options.max_cpu_ms)?;
        let Outcome { known, talk, value } = interpreter.answer(call, &given);
        let mut frames = Vec::new();
        match value {
            Ok(value) => {
                frame::append_json(&mut frames, &Answer { known, talk, fault: None })?;
                frame::append(&mut frames, &value)?;
            }
            Err(fault) => frame::append_json(&mut frames, &Answer { known, talk, fault: Some(fault) })?,
        }
        frame::write(&mut output, &frames)?;
    }
}
