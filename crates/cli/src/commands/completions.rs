//! `holdfast completions`: what a shell needs to complete our commands.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::error::CliError;
use crate::invocation::Invocation;

/// Print completions for a shell, to be kept where it looks for them
#[derive(Debug, Args)]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

pub fn run(arguments: &Arguments, invocation: &mut Invocation) -> Result<(), CliError> {
    let mut script = Vec::new();
    let mut command = crate::arguments::Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "holdfast", &mut script);
    invocation.output.bytes(&script)
}
