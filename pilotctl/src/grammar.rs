//! From arguments to a command, or to one sentence about what is wrong with them.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};

use crate::cli::{Cli, Command};
use crate::output::Failure;
use crate::values::BadArgument;

/// Exit status of a call nobody can make sense of.
const USAGE: u8 = 2;

/// What the arguments came to.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// A command to run.
    Command(Command),
    /// A command with wrong arguments.
    Wrong(Failure),
    /// All is said; end with this status.
    Exit(ExitCode),
}

/// Reads the arguments, program name first. Returns whether JSON is wanted; `--json` counts wherever it stands.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> (bool, Parsed) {
    let all: Vec<OsString> = args.collect();
    let mut words = all.clone();
    words.retain(|word| word != "--json");
    let json = words.len() != all.len();
    let parsed = match Cli::try_parse_from(words) {
        Ok(Cli { command: Some(Command::Unknown(words)), .. }) if !json => {
            eprintln!("unknown command: {}\n", words.first().map_or("", String::as_str));
            usage()
        }
        Ok(Cli { command: Some(command), .. }) => Parsed::Command(command),
        Ok(Cli { command: None, .. }) => usage(),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            let _ = error.print();
            Parsed::Exit(ExitCode::SUCCESS)
        }
        Err(error) => Parsed::Wrong(explain(&error)),
    };
    (json, parsed)
}

/// The error for a command that does not exist.
pub(crate) fn unknown_command(name: &str) -> Failure {
    Failure::invalid(format!("unknown command: {name}"))
        .hint("run 'pilotctl context' for the full command list")
}

fn usage() -> Parsed {
    eprint!("{}", Cli::command().render_help());
    Parsed::Exit(ExitCode::from(USAGE))
}

/// One sentence, and the usage where it helps.
fn explain(error: &clap::Error) -> Failure {
    let usage = usage_of(error);
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    if let Some(bad) =
        std::error::Error::source(error).and_then(|source| source.downcast_ref::<BadArgument>())
    {
        return Failure::invalid(bad);
    }
    let sentence = match error.kind() {
        ErrorKind::MissingRequiredArgument | ErrorKind::WrongNumberOfValues | ErrorKind::TooFewValues => {
            return Failure::invalid(usage);
        }
        ErrorKind::UnknownArgument => {
            let argument = context(ContextKind::InvalidArg);
            let what = if argument.starts_with('-') { "unknown flag" } else { "one argument too many" };
            format!("{what}: {argument}")
        }
        ErrorKind::InvalidValue if context(ContextKind::InvalidValue).is_empty() => {
            format!("{} needs a value", context(ContextKind::InvalidArg))
        }
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).to_string()
        }
    };
    Failure::invalid(sentence).hint(usage)
}

/// `usage: pilotctl lookup <node_id>`.
fn usage_of(error: &clap::Error) -> String {
    let text = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(text)) => text.to_string(),
        _ => "Usage: pilotctl <command>".into(),
    };
    let line = text.lines().next().unwrap_or_default();
    format!("usage: {}", line.strip_prefix("Usage: ").unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilot_roles::json::Value;

    fn parse_words(words: &[&str]) -> (bool, Parsed) {
        let words: Vec<OsString> = words.iter().map(Into::into).collect();
        parse(std::iter::once(OsString::from("pilotctl")).chain(words))
    }

    fn failure(words: &[&str]) -> Failure {
        match parse_words(words).1 {
            Parsed::Wrong(failure) => failure,
            other => panic!("{words:?}: {other:?}"),
        }
    }

    #[test]
    fn the_grammar_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn json_counts_anywhere() {
        for words in [["--json", "lookup", "1"], ["lookup", "--json", "1"], ["lookup", "1", "--json"]] {
            let (json, parsed) = parse_words(&words);
            assert!(json && matches!(parsed, Parsed::Command(Command::Lookup(args)) if args.node_id == 1));
        }
    }

    #[test]
    fn data_may_look_like_a_flag() {
        let (_, parsed) = parse_words(&["send", "2", "7", "--data", "-5"]);
        let Parsed::Command(Command::Send(args)) = parsed else { panic!() };
        assert_eq!(args.data.data.as_deref(), Some("-5"));
    }

    #[test]
    fn a_wrong_flag_gets_one_sentence_and_the_usage() {
        let failure = failure(&["ping", "2", "--cuont", "3"]);
        assert_eq!(failure.message, "unknown flag: --cuont");
        assert_eq!(
            failure.hint.unwrap(),
            "usage: pilotctl ping <address|hostname> [--count <n>] [--timeout <dur>]"
        );
    }

    /// The captured errors of the reference about missing and wrong arguments.
    #[test]
    fn usage_vectors() {
        let file: Value = serde_json::from_str(include_str!("../../spec/vectors/cli.json")).unwrap();
        let mut checked = 0;
        for vector in file["vectors"].as_array().unwrap() {
            let ours = vector["program"] == "pilotctl"
                && vector["family"] == "usage"
                && vector["stderr_json"].is_object();
            let words: Vec<&str> =
                vector["argv"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
            if !ours {
                continue;
            }
            let (true, parsed) = parse_words(&words) else { panic!("{words:?}") };
            let Parsed::Wrong(failure) = parsed else { continue };
            let wanted = &vector["stderr_json"];
            // We look at the arguments before we look for a daemon.
            if wanted["code"] == "not_running" {
                continue;
            }
            assert_eq!(wanted["code"], failure.code.name(), "{words:?}");
            let message = wanted["message"].as_str().unwrap();
            // The reference ends some messages with words of its run-time library.
            let stable = ["strconv.", "time: "]
                .iter()
                .find_map(|tail| message.find(tail))
                .map_or(message, |at| &message[..at]);
            assert!(
                failure.message.starts_with(stable),
                "{words:?}: {:?} is not {message:?}",
                failure.message
            );
            checked += 1;
        }
        assert!(checked >= 25, "{checked}");
    }
}
