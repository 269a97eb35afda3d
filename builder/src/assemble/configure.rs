//! Instructions that change nothing but the configuration.

use crate::dockerfile::expand::Expander;
use crate::dockerfile::{CommandLine, Instruction, Pair};

use super::config::{is_signal, ports, quoted};
use super::stage::State;

/// Instructions that change the configuration only.
pub(super) fn configure(state: &mut State, instruction: &Instruction, escape: char) -> Result<(), String> {
    let expander = Expander::new(escape);
    match instruction {
        Instruction::Env(pairs) => {
            let pairs = expanded(pairs, state, expander)?;
            for Pair { name, value } in &pairs {
                state.variables.insert(name.clone(), value.clone());
                state.config.config.set_env(name, value);
            }
            state.config.record(format!("ENV {}", joined(&pairs)), false);
        }
        Instruction::Label(pairs) => {
            let pairs = expanded(pairs, state, expander)?;
            state.config.record(format!("LABEL {}", joined(&pairs)), false);
            let labels = pairs.into_iter().map(|pair| (pair.name, pair.value));
            state.config.config.labels.extend(labels);
        }
        Instruction::Cmd(line) => set_command(state, line),
        Instruction::Entrypoint(line) => {
            let words = state.config.words(line);
            state.config.record(format!("ENTRYPOINT {}", quoted(&words)), false);
            state.config.config.entrypoint = words;
            if !state.has_command {
                state.config.config.cmd.clear();
            }
        }
        Instruction::Expose(written) => {
            let mut exposed = Vec::new();
            for text in written {
                for word in expander.words(text, &state.variables)? {
                    exposed.extend(ports(&word)?);
                }
            }
            state.config.record(format!("EXPOSE [{}]", exposed.join(" ")), false);
            state.config.config.exposed_ports.extend(exposed);
        }
        Instruction::Healthcheck(check) => state.config.set_healthcheck(check),
        Instruction::Maintainer(name) => {
            state.config.author.clone_from(name);
            state.config.record(format!("MAINTAINER {name}"), false);
        }
        Instruction::Onbuild(onbuild) => state.config.config.on_build.push(onbuild.text.clone()),
        Instruction::Shell(words) => {
            state.config.record(format!("SHELL [{}]", words.join(" ")), false);
            state.config.config.shell.clone_from(words);
        }
        Instruction::StopSignal(text) => {
            let signal = expander.word(text, &state.variables)?;
            if !is_signal(&signal) {
                return Err(format!("invalid signal: {signal}"));
            }
            state.config.record(format!("STOPSIGNAL {signal}"), false);
            state.config.config.stop_signal = signal;
        }
        Instruction::User(text) => {
            let user = expander.word(text, &state.variables)?;
            state.config.record(format!("USER {user}"), false);
            state.config.config.user = user;
        }
        Instruction::Volume(written) => set_volumes(state, written, expander)?,
        Instruction::Add(_)
        | Instruction::Arg(_)
        | Instruction::Copy(_)
        | Instruction::Run(_)
        | Instruction::Workdir(_) => unreachable!("the builder carries these out itself"),
    }
    Ok(())
}

fn set_command(state: &mut State, line: &CommandLine) {
    let words = state.config.words(line);
    state.config.record(format!("CMD {}", quoted(&words)), false);
    state.config.config.cmd = words;
    state.has_command = true;
}

fn set_volumes(state: &mut State, written: &[String], expander: Expander) -> Result<(), String> {
    let mut volumes = Vec::new();
    for text in written {
        let volume = expander.word(text, &state.variables)?;
        if volume.is_empty() {
            return Err("VOLUME specified can not be an empty string".to_owned());
        }
        volumes.push(volume);
    }
    state.config.record(format!("VOLUME [{}]", volumes.join(" ")), false);
    state.config.config.volumes.extend(volumes);
    Ok(())
}

fn expanded(pairs: &[Pair], state: &State, expander: Expander) -> Result<Vec<Pair>, String> {
    let expand = |text: &str| expander.word(text, &state.variables);
    pairs.iter().map(|pair| Ok(Pair { name: expand(&pair.name)?, value: expand(&pair.value)? })).collect()
}

fn joined(pairs: &[Pair]) -> String {
    pairs.iter().map(|pair| format!("{}={}", pair.name, pair.value)).collect::<Vec<_>>().join(" ")
}
