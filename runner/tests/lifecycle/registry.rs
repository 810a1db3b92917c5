//! A registry that is killed in the middle of an upgrade.

use crate::machine::{Machine, text};
use cosette_plugins::testing::Registry;
use std::io::{Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Passes on what a registry sends, up to so many bytes.
struct Valve {
    address: SocketAddr,
    passed: Arc<AtomicU64>,
    limit: Arc<AtomicU64>,
}

impl Valve {
    fn before(registry: SocketAddr, limit: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (passed, limit) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(limit)));
        let valve = Self { address, passed: Arc::clone(&passed), limit: Arc::clone(&limit) };
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Where there is no registry, nobody answers.
                let Ok(server) = TcpStream::connect(registry) else { continue };
                let (mut asking, mut asked) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut asking, &mut asked);
                    let _ = asked.shutdown(Shutdown::Write);
                });
                let (passed, limit) = (Arc::clone(&passed), Arc::clone(&limit));
                std::thread::spawn(move || pass(server, &client, &passed, &limit));
            }
        });
        valve
    }

    /// Waits until it is shut.
    fn wait(&self) {
        let begun = Instant::now();
        while self.passed.load(Ordering::Relaxed) < self.limit.load(Ordering::Relaxed) {
            assert!(begun.elapsed() < Duration::from_secs(60), "nothing is fetched");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn open(&self) {
        self.limit.store(u64::MAX, Ordering::Relaxed);
    }
}

fn pass(mut server: TcpStream, mut client: &TcpStream, passed: &AtomicU64, limit: &AtomicU64) {
    let mut piece = [0; 16 << 10];
    while let Ok(length @ 1..) = server.read(&mut piece) {
        passed.fetch_add(length as u64, Ordering::Relaxed);
        if client.write_all(&piece[..length]).is_err() {
            break;
        }
        let is_shut = || passed.load(Ordering::Relaxed) >= limit.load(Ordering::Relaxed);
        if is_shut() {
            while is_shut() {
                std::thread::sleep(Duration::from_millis(5));
            }
            // What is still under way is lost with the registry.
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

/// A machine that is fetching its upgrade from a registry, of which three quarters have come.
struct Scene {
    machine: Machine,
    registry: Registry,
    valve: Valve,
    bytes: u64,
    before: String,
    upgrade: Child,
}

impl Scene {
    fn new() -> Option<Self> {
        let machine = Machine::new()?;
        let registry = Registry::start("")?;
        machine.run(0, &["upgrade", &machine.source("old")]);
        machine.run(0, &["state", "--good"]);
        // Nothing that could be compressed to next to nothing.
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            format!("{state:016x}")
        };
        let content: String = (0..400_000).map(|_| next()).collect();
        machine.source_with("new", &[("usr/share/content", &content)]);
        registry.push(&machine.layout("new"), "", "org/os:1", &["--format=oci"]);
        let blobs = std::fs::read_dir(machine.layout("new").join("blobs/sha256")).unwrap();
        let bytes: u64 = blobs.map(|blob| blob.unwrap().metadata().unwrap().len()).sum();
        let valve = Valve::before(registry.address(), bytes / 4 * 3);
        let before = machine.traces();
        let mut upgrade = machine.cosette(&["upgrade", &format!("{}/org/os:1", valve.address)]);
        let upgrade = upgrade.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        valve.wait();
        Some(Self { machine, registry, valve, bytes, before, upgrade })
    }
}

#[test]
fn one_that_comes_back_goes_on_where_it_was() {
    let Some(mut scene) = Scene::new() else { return };
    scene.registry.kill();
    scene.valve.open();
    std::thread::sleep(Duration::from_millis(500));
    scene.registry.restart();
    let output = scene.upgrade.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let [active, passive, _] = scene.machine.versions();
    assert_eq!((active.as_deref(), passive.as_deref()), (Some("new"), Some("old")));
    assert_eq!(scene.machine.traces(), scene.before);
    // What had come was not fetched again.
    let passed = scene.valve.passed.load(Ordering::Relaxed);
    assert!(passed < scene.bytes / 4 * 5, "{passed} of {}", scene.bytes);
}

#[test]
fn one_that_stays_away_ends_the_upgrade_soon_and_changes_nothing() {
    let Some(mut scene) = Scene::new() else { return };
    scene.registry.kill();
    scene.valve.open();
    let begun = Instant::now();
    let output: Output = scene.upgrade.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(15), "{}", text(&output));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    let [active, passive, _] = scene.machine.versions();
    assert_eq!((active.as_deref(), passive), (Some("old"), None));
    assert_eq!(scene.machine.traces(), scene.before);
    // Nothing stands in the way of the next one.
    scene.registry.restart();
    scene.machine.run(0, &["upgrade", &format!("{}/org/os:1", scene.valve.address)]);
    assert_eq!(scene.machine.versions()[0].as_deref(), Some("new"));
}
