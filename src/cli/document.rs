//! `windhover completions` and `windhover man`: what a shell and a package need, made from the command line itself.

use std::process::ExitCode;

use clap::Args;
use clap_complete::Shell;

use super::{CliError, say};

/// Print a completion script for a shell.
///
/// For bash: windhover completions bash > ~/.local/share/bash-completion/completions/windhover
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Print the manual page.
///
/// To read it: windhover man | man -l -
#[derive(Debug, Args)]
pub(super) struct ManArgs;

pub(super) fn completions(args: &CompletionsArgs, mut command: clap::Command) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "windhover", &mut script);
    say(&String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}

/// One page: the command, then a section for each subcommand. (The generator would refer to a page of each.)
pub(super) fn man(command: clap::Command) -> Result<ExitCode, CliError> {
    let page = render(&command).map_err(CliError::Man)?;
    say(&String::from_utf8_lossy(&page));
    Ok(ExitCode::SUCCESS)
}

fn render(command: &clap::Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let whole = clap_mangen::Man::new(command.clone());
    whole.render_title(&mut page)?;
    whole.render_name_section(&mut page)?;
    whole.render_synopsis_section(&mut page)?;
    whole.render_description_section(&mut page)?;
    whole.render_options_section(&mut page)?;
    for subcommand in command.get_subcommands().filter(|s| !s.is_hide_set()) {
        let mut part = Vec::new();
        let man = clap_mangen::Man::new(subcommand.clone());
        man.render_description_section(&mut part)?;
        man.render_options_section(&mut part)?;
        let heading = format!(".SH \"windhover {}\"", subcommand.get_name());
        let part =
            String::from_utf8_lossy(&part).replace(".SH DESCRIPTION", &heading).replace(".SH OPTIONS", ".SS Options");
        page.extend_from_slice(part.as_bytes());
    }
    whole.render_version_section(&mut page)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn every_command_has_its_section() {
        let page = String::from_utf8(super::render(&crate::cli::CommandLine::command()).unwrap()).unwrap();
        for command in ["run", "check", "probe", "status", "reload"] {
            assert!(page.contains(&format!(".SH \"windhover {command}\"")), "{command}");
        }
        assert!(page.contains("\\-\\-config"), "options are there");
        assert!(!page.contains("encoder to test"), "what is hidden stays so");
    }
}
