//! The process at the other end: questions in, answers out, one JSON object a line.
//!
//! Nothing it does stops the run. It may answer in any order, die, hang, print what is no answer, or never end a line:
//! every question gets an [`Answer`] all the same, in bounded time and memory. Questions are asked many at a time; when
//! something goes wrong, those that were open are asked again one by one of a new process, so that the guilty one is
//! found.

use super::case::{Answer, short};
use crate::process::stop_flag;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bounds of a conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// How long nothing may come while something is owed.
    pub(crate) patience: Duration,
    /// Longest line, in bytes.
    pub(crate) line: usize,
    /// Most questions open at once.
    pub(crate) open: usize,
    /// Lines that are no answer, of one process, before it is given up.
    pub(crate) strays: usize,
    /// Most processes started.
    pub(crate) lives: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { patience: Duration::from_secs(5), line: 1 << 20, open: 32, strays: 256, lives: 64 }
    }
}

/// Processes that answer nothing before the run ends, if none has answered anything yet.
const DUMB_LIVES: usize = 3;
/// What is kept of its standard error, in bytes.
const STDERR: usize = 2048;
/// How often an interruption is looked for.
const SLICE: Duration = Duration::from_millis(200);

/// How the adapter behaved beside its answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Behaviour {
    /// Lines that answered no open question, and the first of them.
    pub(crate) strays: usize,
    pub(crate) first_stray: String,
    /// Processes that had to be given up.
    pub(crate) given_up: usize,
    /// Whether the last one ended by itself when its input did.
    pub(crate) ended: bool,
}

/// An answer and what it took.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) answer: Answer,
    pub(crate) took: Duration,
    /// The line, for reports.
    pub(crate) line: String,
}

/// Why there is no more to come of a process.
type Trouble = String;

/// Asks every question and tells each answer. An error says why the run ended before all were told.
pub(crate) fn ask(
    command: &str,
    questions: &[Value],
    bounds: Bounds,
    tell: &mut dyn FnMut(usize, Told),
) -> Result<Behaviour, String> {
    let stop = stop_flag()?;
    let mut behaviour = Behaviour::default();
    let mut left: VecDeque<usize> = (0..questions.len()).collect();
    let mut suspects: VecDeque<usize> = VecDeque::new();
    let mut ever_answered = false;
    for number in 1..=bounds.lives {
        let mut life = Life::start(command, bounds)?;
        let ended = life.serve(questions, &mut left, &mut suspects, &mut behaviour, &stop, tell);
        let trouble = match ended {
            Ok(()) => {
                behaviour.ended = life.end(bounds.patience);
                return Ok(behaviour);
            }
            Err(trouble) => trouble,
        };
        if stop.load(Ordering::Relaxed) {
            return Err("interrupted".into());
        }
        behaviour.given_up += 1;
        let trouble = life.explain(trouble);
        let mut open: Vec<(usize, Instant)> = std::mem::take(&mut life.open).into_iter().collect();
        if let [(guilty, since)] = open[..] {
            tell(
                guilty,
                Told { answer: Answer::Nothing(trouble.clone()), took: since.elapsed(), line: String::new() },
            );
            open.clear();
        }
        open.iter().rev().for_each(|(question, _)| suspects.push_front(*question));
        ever_answered |= life.answered;
        if !ever_answered && number >= DUMB_LIVES {
            return Err(format!("it was started {number} times and answered nothing: {trouble}"));
        }
    }
    Err(format!("it was started {} times and given up each time", bounds.lives))
}

/// One process.
struct Life {
    child: Child,
    bounds: Bounds,
    to: Option<Sender<String>>,
    from: Receiver<Result<String, Trouble>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    /// Disconnected when nothing more comes from standard error.
    silent: Receiver<()>,
    open: BTreeMap<usize, Instant>,
    answered: bool,
    /// The one open question is a suspect.
    alone: bool,
    strays: usize,
    /// It has ended and been waited for.
    gone: bool,
}

impl Life {
    fn start(command: &str, bounds: Bounds) -> Result<Life, String> {
        let mut child = Command::new("sh")
            .args(["-c", command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|e| format!("{command:?}: {e}"))?;
        let (to, lines) = channel::<String>();
        // Bounded, so that a flood waits in the pipe and not in our memory.
        let (tell, from) = sync_channel(16);
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let (silence, silent) = channel();
        if let Some(input) = child.stdin.take() {
            std::thread::spawn(move || write_lines(input, &lines));
        }
        if let Some(output) = child.stdout.take() {
            std::thread::spawn(move || read_lines(output, bounds.line, &tell));
        }
        if let Some(errors) = child.stderr.take() {
            let kept = Arc::clone(&stderr);
            std::thread::spawn(move || {
                keep_end(errors, &kept);
                // Whoever waits sees the other end of the channel go.
                drop(silence);
            });
        }
        let open = BTreeMap::new();
        Ok(Life {
            child,
            bounds,
            to: Some(to),
            from,
            stderr,
            silent,
            open,
            answered: false,
            alone: false,
            strays: 0,
            gone: false,
        })
    }

    /// Asks until nothing is left or this process is of no use any more.
    fn serve(
        &mut self,
        questions: &[Value],
        left: &mut VecDeque<usize>,
        suspects: &mut VecDeque<usize>,
        behaviour: &mut Behaviour,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(usize, Told),
    ) -> Result<(), Trouble> {
        loop {
            self.alone &= !self.open.is_empty();
            // Suspects come first, each of them alone.
            if self.open.is_empty()
                && let Some(suspect) = suspects.pop_front()
            {
                self.ask(suspect, &questions[suspect]);
                self.alone = true;
            }
            while !self.alone && self.open.len() < self.bounds.open {
                let Some(next) = left.pop_front() else { break };
                self.ask(next, &questions[next]);
            }
            if self.open.is_empty() {
                return Ok(());
            }
            let line = self.line(stop)?;
            match parse(&line).and_then(|(id, answer)| Some((id, self.open.remove(&id)?, answer))) {
                Some((id, since, answer)) => {
                    self.answered = true;
                    tell(id, Told { answer, took: since.elapsed(), line });
                }
                None => {
                    self.strays += 1;
                    if behaviour.strays == 0 {
                        behaviour.first_stray = short(&line);
                    }
                    behaviour.strays += 1;
                    if self.strays > self.bounds.strays {
                        return Err(format!("{} lines that answer no open question", self.strays));
                    }
                }
            }
        }
    }

    fn ask(&mut self, id: usize, question: &Value) {
        let mut request: Map<String, Value> = question.as_object().cloned().unwrap_or_default();
        request.insert("id".into(), id.into());
        self.open.insert(id, Instant::now());
        if let Some(to) = &self.to {
            // A writer that is gone is noticed by the silence.
            let _ = to.send(format!("{}\n", Value::from(request)));
        }
    }

    /// The next line, within the patience.
    fn line(&mut self, stop: &AtomicBool) -> Result<String, Trouble> {
        let end = Instant::now() + self.bounds.patience;
        loop {
            if stop.load(Ordering::Relaxed) {
                return Err("interrupted".into());
            }
            let wait = end.saturating_duration_since(Instant::now()).min(SLICE);
            match self.from.recv_timeout(wait) {
                Ok(line) => return line,
                Err(RecvTimeoutError::Timeout) if Instant::now() < end => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("no answer within {:.1} s", self.bounds.patience.as_secs_f64()));
                }
                Err(RecvTimeoutError::Disconnected) => return Err("it closed its output".into()),
            }
        }
    }

    /// The trouble, with what the process and its standard error say about it. Ends the process.
    fn explain(&mut self, trouble: Trouble) -> String {
        // One that closed its output is most often about to end by itself, and its status says why.
        let by_itself = trouble.starts_with("it closed") && self.wait(SLICE);
        self.kill();
        self.gone = true;
        let status = match self.child.wait() {
            Ok(status) if by_itself => format!(", {status}"),
            _ => String::new(),
        };
        // Something it started may live on and hold its standard error: then what came so far is all.
        let _ = self.silent.recv_timeout(SLICE);
        let said = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        let said = String::from_utf8_lossy(&said);
        let last = said.trim().lines().last().map(|line| format!("; standard error: {line}"));
        format!("{trouble}{status}{}", last.unwrap_or_default())
    }

    /// Closes its input; whether it ends within `patience`.
    fn end(&mut self, patience: Duration) -> bool {
        self.to = None;
        self.gone = self.wait(patience);
        self.gone
    }

    fn wait(&mut self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        let mut pause = Duration::from_millis(1);
        loop {
            match self.child.try_wait() {
                Ok(Some(_)) => return true,
                Ok(None) if Instant::now() < end => std::thread::sleep(pause),
                _ => return false,
            }
            pause = (2 * pause).min(Duration::from_millis(50));
        }
    }

    /// Ends the process and all it started.
    fn kill(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if !self.gone {
            self.kill();
            let _ = self.child.wait();
        }
    }
}

/// Writes what it is sent, until the other end is gone. A process that does not read stops this thread only.
fn write_lines(mut input: ChildStdin, lines: &Receiver<String>) {
    while let Ok(line) = lines.recv() {
        if input.write_all(line.as_bytes()).and_then(|()| input.flush()).is_err() {
            return;
        }
    }
}

/// Hands over each line of at most `most` bytes; a longer one is the end.
fn read_lines(output: impl Read, most: usize, tell: &SyncSender<Result<String, Trouble>>) {
    let mut reader = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        let came = reader.by_ref().take(limit).read_until(b'\n', &mut line);
        let told = match came {
            Ok(0) | Err(_) => return,
            Ok(_) if line.len() > most => Err(format!("it wrote a line of more than {most} bytes")),
            Ok(_) => Ok(String::from_utf8_lossy(&line).trim_end().to_string()),
        };
        let over = told.is_err();
        if tell.send(told).is_err() || over {
            return;
        }
    }
}

/// Keeps the end of what it reads.
fn keep_end(mut errors: impl Read, kept: &Mutex<Vec<u8>>) {
    let mut chunk = [0; 1024];
    while let Ok(count @ 1..) = errors.read(&mut chunk) {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(&chunk[..count]);
        let excess = kept.len().saturating_sub(STDERR);
        kept.drain(..excess);
    }
}

/// The id and the answer in a line; `None` if it is no answer.
fn parse(line: &str) -> Option<(usize, Answer)> {
    let value: Value = serde_json::from_str(line).ok()?;
    let id = usize::try_from(value.get("id")?.as_u64()?).ok()?;
    let result = value.get("result").map(|result| Answer::Result(result.clone()));
    let error = value.get("error").and_then(Value::as_str).map(|text| Answer::Refused(text.into()));
    let unsupported = (value.get("unsupported") == Some(&Value::Bool(true))).then_some(Answer::Unsupported);
    // Exactly one of the three: who says yes and no at once has not answered.
    match (result, error, unsupported) {
        (Some(answer), None, None) | (None, Some(answer), None) | (None, None, Some(answer)) => {
            Some((id, answer))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Behaviour, Bounds, Told, ask};
    use crate::vectors::case::Answer;
    use serde_json::{Value, json};
    use std::time::Duration;

    /// An adapter in the language of the shell. `body` sees the line and its id, and `answer ID` answers.
    fn shell(body: &str) -> String {
        format!(
            "answer() {{ echo \"{{\\\"id\\\":$1,\\\"result\\\":{{}}}}\"; }}\n\
             while IFS= read -r line; do id=${{line#*\\\"id\\\":}}; id=${{id%%[,\\}}]*}}; {body}\ndone"
        )
    }

    /// Asks `count` questions; what became of each, and how the adapter behaved.
    fn asked(
        command: &str,
        count: usize,
        bounds: Bounds,
    ) -> (Vec<Option<Answer>>, Result<Behaviour, String>) {
        let questions: Vec<Value> = (0..count).map(|_| json!({"op": "x"})).collect();
        let mut told = vec![None; count];
        let ended = ask(command, &questions, bounds, &mut |number, Told { answer, .. }| {
            assert!(told[number].replace(answer).is_none(), "{number} is told twice");
        });
        (told, ended)
    }

    /// Every question but `guilty` was answered, and what is said of those.
    fn only(told: &[Option<Answer>], guilty: &[usize]) -> Vec<String> {
        let mut said = Vec::new();
        for (number, answer) in told.iter().enumerate() {
            match answer {
                Some(Answer::Nothing(why)) if guilty.contains(&number) => said.push(why.clone()),
                answer => assert_eq!(*answer, Some(Answer::Result(json!({}))), "{number}"),
            }
        }
        assert_eq!(said.len(), guilty.len());
        said
    }

    fn short() -> Bounds {
        Bounds { patience: Duration::from_secs(3), ..Bounds::default() }
    }

    #[test]
    fn answers_are_told_and_the_end_is_noticed() {
        let (told, ended) = asked(&shell("answer $id"), 100, Bounds::default());
        only(&told, &[]);
        assert_eq!(ended, Ok(Behaviour { ended: true, ..Behaviour::default() }));
    }

    #[test]
    fn any_order_will_do() {
        // Two at a time, the second first.
        let adapter = shell("if [ -z \"$held\" ]; then held=$id; else answer $id; answer $held; held=; fi");
        let (told, ended) = asked(&adapter, 40, Bounds::default());
        only(&told, &[]);
        assert_eq!(ended.map(|behaviour| behaviour.strays), Ok(0));
    }

    #[test]
    fn one_that_dies_loses_only_the_question_that_killed_it() {
        let adapter = shell("case $id in 7|8|50) echo oh no >&2; exit 3;; esac; answer $id");
        let (told, ended) = asked(&adapter, 80, Bounds::default());
        for why in only(&told, &[7, 8, 50]) {
            assert!(why.contains("exit status: 3") && why.contains("oh no"), "{why}");
        }
        assert!(ended.is_ok_and(|behaviour| behaviour.given_up >= 3));
    }

    #[test]
    fn one_that_hangs_loses_only_the_question_it_hangs_on() {
        let (told, ended) = asked(&shell("[ $id = 5 ] && sleep 1000; answer $id"), 20, short());
        assert!(only(&told, &[5])[0].contains("no answer within 3.0 s"));
        assert!(ended.is_ok());
    }

    #[test]
    fn one_that_says_nothing_at_all_is_given_up_soon() {
        for adapter in ["exec 1>&-; cat >/dev/null", "exit 0", "no-such-program-anywhere"] {
            let (told, ended) = asked(adapter, 100, short());
            assert!(told.iter().flatten().count() <= 3);
            assert!(ended.is_err_and(|why| why.contains("answered nothing")));
        }
    }

    #[test]
    fn lines_that_are_no_answers_are_counted_and_answer_nothing() {
        let garbage = "echo hello; echo '{\\\"id\\\":0}'; echo '{\"id\":99999,\"result\":{}}'; echo '[]'";
        let (told, ended) =
            asked(&shell(&format!("[ $id = 0 ] && {{ {garbage}; }}; answer $id")), 10, short());
        only(&told, &[]);
        let behaviour = ended.expect("ends");
        assert_eq!((behaviour.strays, behaviour.first_stray.as_str()), (4, "hello"));
    }

    #[test]
    fn a_second_answer_is_no_answer() {
        let (told, ended) = asked(&shell("answer $id; answer $id"), 10, Bounds::default());
        only(&told, &[]);
        assert!(ended.is_ok_and(|behaviour| behaviour.strays >= 9));
    }

    #[test]
    fn an_endless_line_costs_its_question_and_no_memory() {
        let adapter = shell("if [ $id = 2 ]; then while :; do printf xxxxxxxxxxxxxxxx; done; fi; answer $id");
        let bounds = Bounds { line: 1 << 16, ..Bounds::default() };
        let (told, ended) = asked(&adapter, 6, bounds);
        assert!(only(&told, &[2])[0].contains("a line of more than 65536 bytes"));
        assert!(ended.is_ok());
    }

    #[test]
    fn a_flood_of_lines_costs_its_question() {
        let (told, ended) =
            asked(&shell("[ $id = 2 ] && while :; do echo x; done; answer $id"), 6, Bounds::default());
        assert!(only(&told, &[2])[0].contains("lines that answer no open question"));
        assert!(ended.is_ok());
    }

    #[test]
    fn one_that_does_not_read_does_not_stop_us() {
        let questions = vec![json!({"op": "x", "hex": "00".repeat(100_000)}); 40];
        let ended = ask(
            "sleep 1000",
            &questions,
            Bounds { patience: Duration::from_millis(300), ..short() },
            &mut |_, _| {},
        );
        assert!(ended.is_err_and(|why| why.contains("no answer within 0.3 s")));
    }

    #[test]
    fn one_that_stays_after_its_input_is_told() {
        let adapter = format!("{}\nsleep 1000", shell("answer $id"));
        let (told, ended) = asked(&adapter, 5, Bounds { patience: Duration::from_secs(2), ..short() });
        only(&told, &[]);
        assert_eq!(ended.map(|behaviour| behaviour.ended), Ok(false));
    }
}
