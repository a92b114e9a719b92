//! What a case is, and how it can end.

use super::bench::Bench;
use super::server::Server;
use std::marker::PhantomData;

/// How much a clause asks (RFC 2119).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Must,
    Should,
    /// Nothing is asked; what is seen is told.
    May,
}

impl Level {
    /// The level of this name.
    pub(crate) fn of(name: &str) -> Option<Level> {
        [Level::Must, Level::Should, Level::May].into_iter().find(|level| level.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Level::Must => "MUST",
            Level::Should => "SHOULD",
            Level::May => "MAY",
        }
    }

    /// The verdict of what a case of this level returned.
    pub(crate) fn judge(self, outcome: Outcome) -> Verdict {
        match (outcome, self) {
            (Ok(Grade::Strict), _) => Verdict::Ok,
            (Ok(Grade::Allowed(text)), _) => Verdict::NonStrict(text),
            (Ok(Grade::Seen(text)), _) => Verdict::Informational(text),
            (Ok(Grade::Lacking(text)), _) => Verdict::Unimplemented(text),
            (Err(text), Level::Must) => Verdict::Failed(text),
            (Err(text), Level::Should) => Verdict::NonStrict(text),
            (Err(text), Level::May) => Verdict::Informational(text),
        }
    }
}

/// What a report says of a case, whatever it is tried on.
#[derive(Clone, Debug)]
pub(crate) struct Heading {
    /// The part before the first `/` is the section.
    pub(crate) id: String,
    pub(crate) clause: &'static str,
    pub(crate) level: Level,
    pub(crate) text: String,
}

impl Heading {
    /// The section, which is the first part of the id.
    pub(crate) fn section(&self) -> &str {
        self.id.split('/').next().unwrap_or_default()
    }
}

/// How a case ended. It comes from what was on the wire or the local socket, never from a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As the clause says.
    Ok,
    /// Not as a SHOULD says; or as allowed, but not as best.
    NonStrict(String),
    /// Nothing is asked: this is what it does.
    Informational(String),
    /// It says that it does not have this.
    Unimplemented(String),
    /// Not tried, and why.
    NotRun(String),
    /// Not as a MUST says, or it stopped serving others.
    Failed(String),
}

impl Verdict {
    /// The verdict of this word.
    pub(crate) fn of(word: &str, text: String) -> Option<Verdict> {
        Some(match word {
            "OK" => Verdict::Ok,
            "NON-STRICT" => Verdict::NonStrict(text),
            "INFORMATIONAL" => Verdict::Informational(text),
            "UNIMPLEMENTED" => Verdict::Unimplemented(text),
            "NOT-RUN" => Verdict::NotRun(text),
            "FAILED" => Verdict::Failed(text),
            _ => return None,
        })
    }

    pub(crate) fn word(&self) -> &'static str {
        match self {
            Verdict::Ok => "OK",
            Verdict::NonStrict(_) => "NON-STRICT",
            Verdict::Informational(_) => "INFORMATIONAL",
            Verdict::Unimplemented(_) => "UNIMPLEMENTED",
            Verdict::NotRun(_) => "NOT-RUN",
            Verdict::Failed(_) => "FAILED",
        }
    }

    pub(crate) fn text(&self) -> &str {
        match self {
            Verdict::Ok => "",
            Verdict::NonStrict(text)
            | Verdict::Informational(text)
            | Verdict::Unimplemented(text)
            | Verdict::NotRun(text)
            | Verdict::Failed(text) => text,
        }
    }
}

/// What a case says when it did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Grade {
    Strict,
    Allowed(String),
    Seen(String),
    Lacking(String),
}

/// An error is what was not as required.
pub(crate) type Outcome = Result<Grade, String>;

/// What a case needs of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setup {
    /// A daemon everybody may talk to.
    Public,
    /// A daemon as it is by default.
    Private,
    /// A rendezvous: registry and beacon.
    Rendezvous,
}

/// What to do, on the bench that is around the target.
pub(crate) enum Body {
    Daemon(Box<dyn Fn(&mut Bench<'_>) -> Outcome>),
    Rendezvous(Box<dyn Fn(&mut Server<'_>) -> Outcome>),
}

/// The kind of program a section is about.
pub(crate) trait Subject {
    type Bench<'s>;

    fn body(body: impl Fn(&mut Self::Bench<'_>) -> Outcome + 'static) -> Body;
}

pub(crate) struct OfDaemon;

impl Subject for OfDaemon {
    type Bench<'s> = Bench<'s>;

    fn body(body: impl Fn(&mut Bench<'_>) -> Outcome + 'static) -> Body {
        Body::Daemon(Box::new(body))
    }
}

pub(crate) struct OfRendezvous;

impl Subject for OfRendezvous {
    type Bench<'s> = Server<'s>;

    fn body(body: impl Fn(&mut Server<'_>) -> Outcome + 'static) -> Body {
        Body::Rendezvous(Box::new(body))
    }
}

/// One requirement, tried once.
pub(crate) struct Case {
    /// Written by hand or made of a vector's name; never given to another case.
    pub(crate) id: String,
    /// The clause it is about.
    pub(crate) clause: &'static str,
    pub(crate) level: Level,
    /// What is required.
    pub(crate) text: String,
    pub(crate) setup: Setup,
    pub(crate) body: Body,
}

/// The cases of a section, in the order they are written.
pub(crate) struct Cases<S = OfDaemon> {
    section: &'static str,
    setup: Setup,
    pub(crate) all: Vec<Case>,
    subject: PhantomData<S>,
}

impl Cases {
    pub(crate) fn new(section: &'static str, setup: Setup) -> Cases {
        Cases { section, setup, all: Vec::new(), subject: PhantomData }
    }
}

impl Cases<OfRendezvous> {
    pub(crate) fn of_rendezvous(section: &'static str) -> Cases<OfRendezvous> {
        Cases { section, setup: Setup::Rendezvous, all: Vec::new(), subject: PhantomData }
    }
}

impl<S: Subject> Cases<S> {
    pub(crate) fn must(
        &mut self,
        id: &str,
        clause: &'static str,
        text: &str,
        body: impl Fn(&mut S::Bench<'_>) -> Result<(), String> + 'static,
    ) {
        self.graded(Level::Must, id, clause, text, move |bench| body(bench).map(|()| Grade::Strict));
    }

    pub(crate) fn should(
        &mut self,
        id: &str,
        clause: &'static str,
        text: &str,
        body: impl Fn(&mut S::Bench<'_>) -> Result<(), String> + 'static,
    ) {
        self.graded(Level::Should, id, clause, text, move |bench| body(bench).map(|()| Grade::Strict));
    }

    /// A case that grades itself.
    pub(crate) fn graded(
        &mut self,
        level: Level,
        id: &str,
        clause: &'static str,
        text: &str,
        body: impl Fn(&mut S::Bench<'_>) -> Outcome + 'static,
    ) {
        let id = format!("{}/{id}", self.section);
        self.all.push(Case { id, clause, level, text: text.into(), setup: self.setup, body: S::body(body) });
    }
}

impl Case {
    pub(crate) fn heading(&self) -> Heading {
        Heading { id: self.id.clone(), clause: self.clause, level: self.level, text: self.text.clone() }
    }
}
