//! Flags as the existing server programs have them: `-flag v`, `-flag=v`, one dash or two, `-public` or
//! `-public=false`, and a JSON file that sets what the command line does not.
//!
//! A wrong value, on the command line or in the file, is an error that names it; nothing falls back to a zero value.

use std::{ffi::OsString, fs, process::ExitCode, time::Duration};

use clap::{
    ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, error::ErrorKind, parser::ValueSource,
};
use serde_json::Value;

use crate::log;

/// Exit status for a wrong command line.
const USAGE: u8 = 2;
/// Exit status for a file that cannot be used.
const FAILED: u8 = 1;

/// Flags that every program has.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// JSON file with values of flags that are not given
    #[arg(long, value_name = "FILE")]
    config: Option<String>,
    /// debug, info, warn or error
    #[arg(long, default_value = "info")]
    log_level: String,
    /// text or json
    #[arg(long, default_value = "text")]
    log_format: String,
    /// Print the version and exit
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", value_parser = boolean)]
    version: bool,
}

/// The flags of one program.
pub(crate) trait Flags: CommandFactory + FromArgMatches {
    /// Those that every program has.
    fn common(&self) -> &Common;
}

/// Runs a program: reads its flags, sets up its log, and turns what `run` says into an exit status.
pub(crate) fn program<F: Flags>(
    args: impl IntoIterator<Item = OsString>,
    run: impl FnOnce(&F) -> Result<u8, String>,
) -> ExitCode {
    let flags: F = match parse(args) {
        Ok(flags) => flags,
        Err(code) => return code,
    };
    let common = flags.common();
    if common.version {
        println!("{}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    log::init(log::level_named(&common.log_level), log::Format::named(&common.log_format));
    match run(&flags) {
        Ok(code) => code.into(),
        Err(words) => {
            log::fatal(&words);
            ExitCode::FAILURE
        }
    }
}

/// Reads the command line (without the program's name) and the file it names. On `-help` and on errors everything is
/// said, and what is left is to exit.
fn parse<F: Flags>(args: impl IntoIterator<Item = OsString>) -> Result<F, ExitCode> {
    let args: Vec<OsString> = args.into_iter().map(two_dashes).collect();
    let (flags, matches) = read::<F>(&args)?;
    let named = flags.common().config.clone();
    let Some(path) = named.filter(|path| !path.is_empty()) else { return Ok(flags) };
    let failed = |words: String| {
        eprintln!(
            "load config: {words}\nhint: the file is one JSON object of flags and values; -help lists the flags"
        );
        ExitCode::from(FAILED)
    };
    let text = fs::read_to_string(&path).map_err(|e| failed(format!("{path}: {e}")))?;
    let from_file = file_args::<F>(&text, &matches).map_err(|words| failed(format!("{path}: {words}")))?;
    // What the command line says was left out, so the order does not matter.
    let all: Vec<OsString> = from_file.into_iter().map(OsString::from).chain(args).collect();
    match try_read::<F>(&all) {
        Ok((flags, _)) => Ok(flags),
        Err(e) => Err(failed(format!("{path}: {}", sentence(&e).trim_start_matches("error: ")))),
    }
}

fn read<F: Flags>(args: &[OsString]) -> Result<(F, ArgMatches), ExitCode> {
    try_read::<F>(args).map_err(|e| match e.kind() {
        ErrorKind::DisplayHelp => {
            eprint!("{e}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{}\nhint: -help lists the flags", sentence(&e));
            ExitCode::from(USAGE)
        }
    })
}

fn try_read<F: Flags>(args: &[OsString]) -> Result<(F, ArgMatches), clap::Error> {
    let command = F::command().no_binary_name(true).args_override_self(true).disable_version_flag(true);
    let matches = command.try_get_matches_from(args)?;
    Ok((F::from_arg_matches(&matches)?, matches))
}

/// The first paragraph of clap's complaint, in one line.
fn sentence(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    first.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `-flag` as clap knows it.
fn two_dashes(arg: OsString) -> OsString {
    match arg.to_str() {
        Some("-h" | "--h") => "--help".into(),
        Some(text) if text.len() > 1 && text.starts_with('-') && !text.starts_with("--") => {
            format!("-{text}").into()
        }
        _ => arg,
    }
}

/// What the file says about flags the command line does not mention, as arguments.
fn file_args<F: Flags>(text: &str, matches: &ArgMatches) -> Result<Vec<String>, String> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let object = match values.next() {
        Some(Ok(Value::Object(object))) => object,
        Some(Ok(Value::Null)) => return Ok(Vec::new()),
        Some(Ok(_)) => return Err("expected a JSON object, {\"flag\": value}".into()),
        Some(Err(e)) => return Err(format!("no JSON: {e}")),
        None => return Err("the file is empty, expected a JSON object".into()),
    };
    let mut args = Vec::new();
    for flag in F::command().get_arguments() {
        let Some(name) = flag.get_long() else { continue };
        if matches.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine) {
            continue;
        }
        match object.get(name).or_else(|| object.get(&name.replace('-', "_"))) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => args.push(format!("--{name}={text}")),
            Some(value @ (Value::Bool(_) | Value::Number(_))) => args.push(format!("--{name}={value}")),
            Some(other) => return Err(format!("{name} must be one value, not {other}")),
        }
    }
    Ok(args)
}

/// A Go duration: `1h2m`, `1.5s`, `-3ms`, or `0`. Negative ones are refused: no flag means anything by them.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a duration such as 30s, 1h2m or 1.5s, not {text:?}");
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    let seconds = if unsigned == "0" { Some(0.0) } else { seconds_of_units(unsigned) };
    Duration::try_from_secs_f64(seconds.ok_or_else(wrong)?).map_err(|_| wrong())
}

/// Seconds of a Go duration without its sign: one or more numbers, each with its unit, such as `1h2m` or `1.5s`.
pub fn seconds_of_units(mut text: &str) -> Option<f64> {
    let mut seconds = None;
    while !text.is_empty() {
        let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, rest) = text.split_at(digits);
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(unit);
        let scale = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds = Some(seconds.unwrap_or(0.0) + number.parse::<f64>().ok()? * scale);
        text = rest;
    }
    seconds
}

/// The spellings of a truth value the existing programs take.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err(format!("expected true or false, not {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Sample {
        #[command(flatten)]
        common: Common,
        #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true,
            default_missing_value = "true", value_parser = boolean)]
        encrypt: bool,
        #[arg(long, value_parser = duration, default_value = "0")]
        keepalive: Duration,
        #[arg(long, default_value_t = 4096)]
        max_conns_total: u32,
        #[arg(long, default_value = "")]
        networks: String,
    }

    impl Flags for Sample {
        fn common(&self) -> &Common {
            &self.common
        }
    }

    fn sample(args: &[&str]) -> Result<Sample, ExitCode> {
        parse(args.iter().map(OsString::from))
    }

    #[test]
    fn one_dash_or_two_blank_or_equals() {
        let flags = sample(&["-keepalive", "1m30s", "--max-conns-total=7", "-encrypt=false"]).unwrap();
        assert_eq!(
            (flags.keepalive, flags.max_conns_total, flags.encrypt),
            (Duration::from_secs(90), 7, false)
        );
        let flags = sample(&["-encrypt=0", "-encrypt", "-networks", "1,2"]).unwrap();
        assert!(flags.encrypt, "the last one wins");
        assert_eq!(flags.networks, "1,2");
        for wrong in ["-nope", "-keepalive=3x", "-encrypt=maybe", "-max-conns-total=many"] {
            assert_eq!(sample(&[wrong]).unwrap_err(), ExitCode::from(USAGE), "{wrong}");
        }
    }

    #[test]
    fn the_file_sets_what_the_command_line_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.json");
        let path = path.to_str().unwrap();
        fs::write(path, r#"{"encrypt":false,"max_conns_total":1000000,"keepalive":"5s","unknown":[1]} rest"#)
            .unwrap();
        let flags = sample(&["-config", path, "-keepalive", "7s"]).unwrap();
        assert!(!flags.encrypt);
        assert_eq!((flags.max_conns_total, flags.keepalive), (1_000_000, Duration::from_secs(7)));
    }

    /// The reference turns encryption off for `"encrypt":"yes"`.
    #[test]
    fn hazard_11_a_wrong_type_in_the_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.json");
        for wrong in [r#"{"encrypt":"yes"}"#, r#"{"keepalive":2}"#, r#"{"networks":[1]}"#, "[]", "", "{"] {
            fs::write(&path, wrong).unwrap();
            let result = sample(&["-config", path.to_str().unwrap()]);
            assert_eq!(result.unwrap_err(), ExitCode::from(FAILED), "{wrong}");
        }
        assert_eq!(sample(&["-config=/no/such/file"]).unwrap_err(), ExitCode::from(FAILED));
    }

    #[test]
    fn durations_as_in_go() {
        assert_eq!(duration("1h2m"), Ok(Duration::from_secs(3720)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for wrong in ["", "5", "s", "1x", "-1s", "1s2", "1..2s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
