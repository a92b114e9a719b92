//! The files a run can be written to, each of them or none.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufWriter},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use pilot_keylog::{HEAD, KeyLog};

use crate::{
    capture::Capture,
    chronicle::Chronicle,
    journal::Journal,
    page::page,
    scenario::{Report, Scenario, Watch},
    watch::Observer,
};

/// Where to write what a run looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// Everything that happens, as lines of JSON.
    pub trace: Option<PathBuf>,
    /// All datagrams, as pcapng.
    pub pcap: Option<PathBuf>,
    /// The keys of all sessions, to read the datagrams with.
    pub keys: Option<PathBuf>,
    /// A report with drawings, as one HTML file.
    pub report: Option<PathBuf>,
}

impl Outputs {
    /// Runs a scenario and writes the files; `title` is what the report calls it.
    ///
    /// # Errors
    /// A file that cannot be written, and why.
    pub fn run(&self, title: &str, scenario: &Scenario) -> io::Result<Report> {
        let mut watch = Watch::default();
        if let Some(path) = &self.trace {
            watch.observers.push(Box::new(Journal::new(create(path)?)));
        }
        if let Some(path) = &self.pcap {
            watch.observers.push(Box::new(Capture::new(create(path)?)));
        }
        let keys = Arc::new(Mutex::new(BTreeSet::new()));
        if self.keys.is_some() {
            let lines = keys.clone();
            watch.keys = Some(KeyLog::new(move |line| {
                lines.lock().unwrap_or_else(PoisonError::into_inner).insert(line.to_owned());
            }));
        }
        let chronicle = self.report.is_some().then(Chronicle::default);
        watch.observers.extend(chronicle.clone().map(|chronicle| Box::new(chronicle) as Box<dyn Observer>));
        let report = scenario.run(Some(watch));
        if let Some(path) = &self.keys {
            let lines = keys.lock().unwrap_or_else(PoisonError::into_inner);
            write(path, &lines.iter().fold(HEAD.to_owned(), |text, line| text + line))?;
        }
        if let (Some(path), Some(chronicle)) = (&self.report, chronicle) {
            write(path, &page(title, scenario, &report, &chronicle))?;
        }
        Ok(report)
    }
}

fn create(path: &Path) -> io::Result<BufWriter<File>> {
    File::create(path).map(BufWriter::new).map_err(|e| named(path, &e))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text).map_err(|e| named(path, &e))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
