//! The systemd that runs the machine, by D-Bus.
//!
//! **Invariants:** every wait is bounded, and ends when this process is told to stop; what is not waited for goes
//! on: nothing is taken back. No thread is started.

mod private;

use super::{Interrupted, stop};
use anyhow::{Context as _, Result, anyhow, bail};
use futures_core::Stream as _;
use private::PrivateSocket;
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use zbus::connection::Builder;
use zbus::message::Type as MessageType;
use zbus::{
    Connection, DBusError as _, DynamicType, MatchRule, MessageStream, OwnedObjectPath, OwnedVariant, Type,
};

const NAME: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// A socket behind which systemd answers.
#[derive(Clone, Debug)]
pub struct Door {
    path: PathBuf,
    is_bus: bool,
}

impl Door {
    /// Its own socket, for root: it is there from the first moment on, also in an initramfs.
    pub fn private(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), is_bus: false }
    }

    /// The system bus.
    pub fn bus(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), is_bus: true }
    }
}

/// How long is waited, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For an answer.
    pub answer: Duration,
    /// For all units to be read again, which runs the generators.
    pub reload: Duration,
    /// For jobs to end. systemd ends those of most services after 90 s by itself.
    pub jobs: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { answer: seconds(25), reload: seconds(180), jobs: seconds(100) }
    }
}

/// systemd has answered that it will not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The name of the error: `org.freedesktop.systemd1.UnitMasked`.
    pub name: String,
    /// What it says about it.
    pub text: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.text.is_empty() { &self.name } else { &self.text })
    }
}

impl std::error::Error for Refusal {}

/// A job in systemd's queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: u32,
    /// The unit it is for.
    pub unit: String,
    /// Whether it has not begun yet.
    pub is_waiting: bool,
}

/// Jobs as they are listed: number, unit, type, state, and two paths.
type Listed = Vec<(u32, String, String, String, OwnedObjectPath, OwnedObjectPath)>;

/// A conversation with systemd.
pub struct Systemd {
    /// The ends of jobs, as they are told.
    signals: MessageStream,
    connection: Connection,
    runtime: Runtime,
    limits: Limits,
    /// How jobs ended.
    results: HashMap<u32, String>,
}

impl Systemd {
    /// Begins a conversation through the first door that opens.
    pub fn connect(doors: &[Door], limits: Limits) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot prepare for talking to systemd")?;
        let mut reasons = Vec::new();
        for door in doors {
            match wait(&runtime, limits.answer, open(door))? {
                Some(Ok((connection, signals))) => {
                    let mut systemd = Self { signals, connection, runtime, limits, results: HashMap::new() };
                    // Otherwise it tells nobody on the bus when a job ends.
                    systemd.manager::<()>("Subscribe", &())?;
                    return Ok(systemd);
                }
                Some(Err(error)) => reasons.push(format!("{}: {error}", door.path.display())),
                None => reasons.push(format!("{}: no answer", door.path.display())),
            }
        }
        bail!("cannot talk to systemd: {}", reasons.join("; "))
    }

    /// Has it read all units again.
    pub fn reload(&mut self) -> Result<()> {
        self.call(self.limits.reload, PATH, MANAGER, "Reload", &())
    }

    /// The unit that this process belongs to.
    pub fn own_unit(&mut self) -> Result<String> {
        // 0 is whoever asks.
        let path: OwnedObjectPath = self.manager("GetUnitByPID", &(0_u32,))?;
        self.property(path.as_str(), "Unit", "Id")
    }

    /// Whether a unit is `active`, `inactive`, `failed`, ...
    pub fn state(&mut self, unit: &str) -> Result<String> {
        self.unit_property(unit, "Unit", "ActiveState")
    }

    /// Queues a job for a unit by a method like `StartUnit`, and returns its number.
    pub fn queue(&mut self, method: &str, unit: &str) -> Result<u32> {
        let path: OwnedObjectPath = self.manager(method, &(unit, "replace"))?;
        let number = path.as_str().rsplit('/').next().and_then(|number| number.parse().ok());
        number.with_context(|| format!("systemd has answered that {} is a job", path.as_str()))
    }

    /// All jobs.
    pub fn jobs(&mut self) -> Result<Vec<Job>> {
        self.manager("ListJobs", &()).map(listed)
    }

    /// The jobs that must have ended before this one begins.
    pub fn before(&mut self, job: u32) -> Result<Vec<Job>> {
        self.manager("GetJobBefore", &(job,)).map(listed)
    }

    /// Waits until one of these jobs has ended or the time has come.
    pub fn wait_for_end(&mut self, jobs: &[u32], until: Instant) -> Result<()> {
        let (signals, results) = (&mut self.signals, &mut self.results);
        let end = std::future::poll_fn(|context| {
            let open = note(signals, results, context);
            match jobs.iter().any(|job| results.contains_key(job)) {
                true => Poll::Ready(Ok(())),
                false if !open => Poll::Ready(Err(anyhow!("systemd has closed the connection"))),
                false => Poll::Pending,
            }
        });
        let left = until.saturating_duration_since(Instant::now());
        wait(&self.runtime, left, end)?.unwrap_or(Ok(()))
    }

    /// How a job ended, if it has been told: `done`, `failed`, ...
    pub fn result(&self, job: u32) -> Option<&str> {
        self.results.get(&job).map(String::as_str)
    }

    /// How long jobs are waited for.
    pub fn patience(&self) -> Duration {
        self.limits.jobs
    }

    /// A property of a unit: of all kinds (`Unit`), or of its own (`Service`).
    pub fn unit_property<T>(&mut self, unit: &str, kind: &str, name: &str) -> Result<T>
    where
        T: TryFrom<OwnedVariant>,
        T::Error: fmt::Display,
    {
        let path: OwnedObjectPath = self.manager("LoadUnit", &(unit,))?;
        self.property(path.as_str(), kind, name)
    }

    fn property<T>(&mut self, path: &str, kind: &str, name: &str) -> Result<T>
    where
        T: TryFrom<OwnedVariant>,
        T::Error: fmt::Display,
    {
        let body = (format!("{NAME}.{kind}"), name);
        let value: OwnedVariant = self.call(self.limits.answer, path, PROPERTIES, "Get", &body)?;
        T::try_from(value).map_err(|error| anyhow!("systemd has given a strange {name}: {error}"))
    }

    fn manager<T>(&mut self, method: &str, body: &(impl serde::Serialize + DynamicType)) -> Result<T>
    where
        T: serde::de::DeserializeOwned + Type,
    {
        self.call(self.limits.answer, PATH, MANAGER, method, body)
    }

    fn call<T>(
        &mut self,
        limit: Duration,
        path: &str,
        interface: &str,
        method: &str,
        body: &(impl serde::Serialize + DynamicType),
    ) -> Result<T>
    where
        T: serde::de::DeserializeOwned + Type,
    {
        let (signals, results) = (&mut self.signals, &mut self.results);
        let mut reply = pin!(self.connection.call_method(Some(NAME), path, Some(interface), method, body));
        let reply = std::future::poll_fn(|context| {
            // Meanwhile, as a full queue of signals would keep the reply from being read.
            note(signals, results, context);
            reply.as_mut().poll(context)
        });
        let Some(reply) = wait(&self.runtime, limit, reply)? else {
            bail!("systemd has not answered {method} for {} s", limit.as_secs_f32());
        };
        let reply = reply.map_err(|error| explain(error, method))?;
        reply.body().deserialize().with_context(|| format!("cannot understand the answer to {method}"))
    }
}

fn listed(jobs: Listed) -> Vec<Job> {
    let job = |(id, unit, _, state, _, _): (u32, String, String, String, _, _)| Job {
        id,
        unit,
        is_waiting: state == "waiting",
    };
    jobs.into_iter().map(job).collect()
}

async fn open(door: &Door) -> zbus::Result<(Connection, MessageStream)> {
    let builder = match door.is_bus {
        true => Builder::address(format!("unix:path={}", door.path.display()).as_str()),
        false => Builder::socket(PrivateSocket::connect(&door.path).await?).p2p(),
    };
    let connection = builder.build().await?;
    let rule = MatchRule::builder().msg_type(MessageType::Signal).interface(MANAGER).member("JobRemoved");
    let signals = MessageStream::for_match_rule(rule.build()?, &connection, None).await?;
    Ok((connection, signals))
}

/// Notes the jobs that have ended. Says whether more may be told.
fn note(signals: &mut MessageStream, results: &mut HashMap<u32, String>, context: &mut Context<'_>) -> bool {
    loop {
        match Pin::new(&mut *signals).poll_next(context) {
            Poll::Pending => return true,
            Poll::Ready(None | Some(Err(_))) => return false,
            Poll::Ready(Some(Ok(signal))) => {
                let body = signal.body();
                if let Ok((job, _, _, result)) = body.deserialize::<(u32, OwnedObjectPath, String, String)>()
                {
                    results.insert(job, result);
                }
            }
        }
    }
}

/// Waits, but not for longer than this, and not once this process is told to stop.
fn wait<T>(
    runtime: &Runtime,
    limit: Duration,
    future: impl Future<Output = T>,
) -> Result<Option<T>, Interrupted> {
    runtime.block_on(async {
        let (mut future, mut stopped) = (pin!(tokio::time::timeout(limit, future)), pin!(stop::requested()));
        std::future::poll_fn(|context| match stopped.as_mut().poll(context) {
            Poll::Ready(interrupted) => Poll::Ready(Err(interrupted)),
            Poll::Pending => future.as_mut().poll(context).map(|value| Ok(value.ok())),
        })
        .await
    })
}

fn explain(error: zbus::Error, method: &str) -> anyhow::Error {
    let refusal = |name: &str, text: Option<&str>| Refusal {
        name: name.to_owned(),
        text: text.unwrap_or_default().replace(char::is_control, " "),
    };
    match error {
        zbus::Error::MethodError(name, text, _) => refusal(&name, text.as_deref()).into(),
        zbus::Error::FDO(error) => refusal(&error.name(), error.description()).into(),
        zbus::Error::InputOutput(_) => anyhow!("systemd has closed the connection at {method}"),
        error => anyhow!("systemd cannot be asked for {method}: {error}"),
    }
}
