//! A systemd that is only pretended, but speaks D-Bus on a socket of its own.

use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use zbus::connection::Builder;
use zbus::message::Header;
use zbus::{Connection, Guid, Message, MessageStream, ObjectPath, Variant};

const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// The unit that whoever asks belongs to, and its job, which has begun.
const OWN: (&str, u32) = ("own.service", 900);

/// What comes of the job for a unit.
#[derive(Clone, Copy, Debug)]
pub enum JobAnswer {
    /// It ends with this result.
    Ends(&'static str),
    /// The same, which is told before its number is.
    EndsEarly(&'static str),
    /// It is done once a job for this other unit is queued.
    DoneWith(&'static str),
    /// It waits for the job of this other unit, and then for ever.
    WaitsFor(&'static str),
    /// It is refused, with the name of an error and a text.
    Refused(&'static str, &'static str),
    /// There is no answer.
    Silence,
    /// The connection is closed.
    HangUp,
}

/// A systemd in a thread. A unit that it was told nothing of starts well.
pub struct FakeSystemd {
    directory: tempfile::TempDir,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    ends: bool,
    answers: Vec<(&'static str, JobAnswer)>,
    active: Vec<String>,
    /// The units that were named; the place of each is part of its path.
    units: Vec<String>,
    /// The units that had jobs; the place of each is the number of its job.
    jobs: Vec<String>,
    ended: Vec<u32>,
    requests: Vec<String>,
}

impl FakeSystemd {
    /// Starts it.
    pub fn new(answers: &[(&'static str, JobAnswer)]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let listener = UnixListener::bind(directory.path().join("private")).expect("a socket can be made");
        let state = Arc::new(Mutex::new(State { answers: answers.to_vec(), ..State::default() }));
        let serving = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime can be made");
            for stream in listener.incoming() {
                if lock(&serving).ends {
                    return;
                }
                let stream = stream.expect("a connection can be accepted");
                let end = stream.try_clone().expect("a connection can be held twice");
                // A connection that ends is no failure: it is what the test is about.
                let _ = runtime.block_on(serve(stream, &serving));
                let _ = end.shutdown(Shutdown::Both);
            }
        });
        Self { directory, state, thread: Some(thread) }
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("private")
    }

    /// What it was asked to do since the last call.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.state).requests)
    }
}

impl Drop for FakeSystemd {
    fn drop(&mut self) {
        lock(&self.state).ends = true;
        // Wakes it.
        let _ = UnixStream::connect(self.socket());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("a test has failed while it held the lock")
}

async fn serve(stream: UnixStream, state: &Mutex<State>) -> zbus::Result<()> {
    let builder = Builder::unix_stream(stream).server(Guid::generate()).p2p();
    let mut messages = builder.build_message_stream().await?;
    let connection = Connection::from(&messages);
    while let Some(message) = next(&mut messages).await {
        let message = message?;
        if !answer(&connection, &message, state).await? {
            break;
        }
    }
    Ok(())
}

async fn next(messages: &mut MessageStream) -> Option<zbus::Result<Message>> {
    use futures_core::Stream as _;
    std::future::poll_fn(|context| std::pin::Pin::new(&mut *messages).poll_next(context)).await
}

/// Answers one call. Says whether the connection goes on.
async fn answer(connection: &Connection, message: &Message, state: &Mutex<State>) -> zbus::Result<bool> {
    let (header, body) = (message.header(), message.body());
    let member = header.member().map(|member| member.as_str().to_owned()).unwrap_or_default();
    match member.as_str() {
        "Subscribe" => connection.reply(&header, &()).await?,
        "Reload" => {
            lock(state).requests.push(member);
            connection.reply(&header, &()).await?;
        }
        "GetUnitByPID" => connection.reply(&header, &unit_path(state, OWN.0)).await?,
        "LoadUnit" => {
            let (unit,): (String,) = body.deserialize()?;
            connection.reply(&header, &unit_path(state, &unit)).await?;
        }
        "Get" => {
            let (_, name): (String, String) = body.deserialize()?;
            connection.reply(&header, &property(state, &header, &name)).await?;
        }
        "ListJobs" => connection.reply(&header, &listed(state, &[])).await?,
        "GetJobBefore" => {
            let (job,): (u32,) = body.deserialize()?;
            let unit = lock(state).jobs[job as usize].clone();
            let before = match answer_for(state, &unit) {
                JobAnswer::WaitsFor(other) => listed(state, &[other]),
                _ => Vec::new(),
            };
            connection.reply(&header, &before).await?;
        }
        _ => {
            let (unit, _): (String, String) = body.deserialize()?;
            lock(state).requests.push(format!("{member} {unit}"));
            return queue(connection, &header, &unit, &member, state).await;
        }
    }
    Ok(true)
}

async fn queue(
    connection: &Connection,
    header: &Header<'_>,
    unit: &str,
    method: &str,
    state: &Mutex<State>,
) -> zbus::Result<bool> {
    let number = {
        let mut state = lock(state);
        state.jobs.push(unit.to_owned());
        state.jobs.len() as u32 - 1
    };
    match answer_for(state, unit) {
        JobAnswer::HangUp => return Ok(false),
        JobAnswer::Silence => return Ok(true),
        JobAnswer::Refused(name, text) => {
            connection.reply_error(header, name, &text).await?;
            return Ok(true);
        }
        JobAnswer::EndsEarly(result) => {
            end(connection, number, unit, method, result, state).await?;
            connection.reply(header, &job_path(number)).await?;
        }
        JobAnswer::Ends(result) => {
            connection.reply(header, &job_path(number)).await?;
            end(connection, number, unit, method, result, state).await?;
        }
        JobAnswer::DoneWith(_) | JobAnswer::WaitsFor(_) => {
            connection.reply(header, &job_path(number)).await?
        }
    }
    let jobs = lock(state).jobs.clone();
    for (number, other) in jobs.iter().enumerate() {
        if matches!(answer_for(state, other), JobAnswer::DoneWith(with) if with == unit) {
            end(connection, number as u32, other, method, "done", state).await?;
        }
    }
    Ok(true)
}

async fn end(
    connection: &Connection,
    number: u32,
    unit: &str,
    method: &str,
    result: &str,
    state: &Mutex<State>,
) -> zbus::Result<()> {
    lock(state).ended.push(number);
    if result == "done" {
        let mut state = lock(state);
        state.active.retain(|active| active != unit);
        if method != "StopUnit" {
            state.active.push(unit.to_owned());
        }
    }
    let body = (number, job_path(number), unit, result);
    connection.emit_signal(None::<&str>, PATH, MANAGER, "JobRemoved", &body).await
}

fn answer_for(state: &Mutex<State>, unit: &str) -> JobAnswer {
    let state = lock(state);
    let answer = state.answers.iter().find(|(name, _)| *name == unit);
    answer.map_or(JobAnswer::Ends("done"), |(_, answer)| *answer)
}

fn job_path(number: u32) -> ObjectPath<'static> {
    ObjectPath::try_from(format!("{PATH}/job/{number}")).expect("a number is fit for a path")
}

fn unit_path(state: &Mutex<State>, unit: &str) -> ObjectPath<'static> {
    let mut state = lock(state);
    state.units.push(unit.to_owned());
    let place = state.units.len() - 1;
    ObjectPath::try_from(format!("{PATH}/unit/{place}")).expect("a number is fit for a path")
}

fn property(state: &Mutex<State>, header: &Header<'_>, name: &str) -> Variant<'static> {
    let place = header.path().and_then(|path| Path::new(path.as_str()).file_name()?.to_str()?.parse().ok());
    let state = lock(state);
    let unit = state.units[place.unwrap_or(0_usize)].clone();
    match name {
        "Id" => Variant::new(unit),
        "ActiveState" if state.active.contains(&unit) => Variant::new("active"),
        "ActiveState" => Variant::new("inactive"),
        "InvocationID" => Variant::new(vec![0xab_u8; 16]),
        "ExecMainStatus" => Variant::new(3_i32),
        _ => Variant::new("exit-code"),
    }
}

type Listed = Vec<(u32, String, &'static str, &'static str, ObjectPath<'static>, ObjectPath<'static>)>;

/// The jobs that there are, all or those of these units.
fn listed(state: &Mutex<State>, only: &[&str]) -> Listed {
    let State { jobs, ended, .. } = &*lock(state);
    let waiting = jobs.iter().enumerate().map(|(number, unit)| (number as u32, unit.clone(), "waiting"));
    let waiting = waiting.filter(|(number, ..)| !ended.contains(number));
    let jobs = waiting.chain([(OWN.1, OWN.0.to_owned(), "running")]);
    jobs.filter(|(_, unit, _)| only.is_empty() || only.contains(&unit.as_str()))
        .map(|(number, unit, job)| (number, unit, "start", job, job_path(number), job_path(number)))
        .collect()
}
