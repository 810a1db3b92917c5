//! The cases, and what runs them: each once for root, if the tests run as root, and once for an ordinary user.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Output, Stdio};

/// The user `nobody`, for tests that are run by root.
const NOBODY: u32 = 65534;

/// Who runs a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum User {
    Root,
    Nobody,
    Me,
}

type Case = (&'static str, fn(User));

const CASES: [Case; 16] = [
    ("the_machine_is_as_it_was_after_a_stage_that_changes_much", the_machine_is_as_it_was),
    ("what_a_stage_writes_is_told_with_the_text_before_and_after", what_a_stage_writes_is_told),
    ("what_is_written_as_it_was_is_no_change", what_is_written_as_it_was_is_no_change),
    ("a_directory_that_was_removed_and_made_anew_has_lost_its_files", a_directory_made_anew),
    ("contents_that_not_everybody_may_read_are_hidden", contents_that_not_everybody_may_read),
    ("the_host_name_is_of_the_view", the_host_name_is_of_the_view),
    ("root_gives_files_to_anybody", root_gives_files_to_anybody),
    ("the_kernel_cannot_be_changed", the_kernel_cannot_be_changed),
    ("the_lock_of_the_accounts_can_be_taken", the_lock_of_the_accounts_can_be_taken),
    ("signals_stay_in_the_view", signals_stay_in_the_view),
    ("sockets_of_the_machine_are_out_of_reach", sockets_are_out_of_reach),
    ("processes_in_the_background_end_with_the_view", processes_in_the_background_end),
    ("a_view_ends_when_it_is_told_to_and_when_its_parent_is_gone", a_view_ends),
    ("a_tree_without_a_shell_has_a_view_too", a_tree_has_a_view_too),
    ("mounts_inside_the_directories_are_seen_and_not_changed", mounts_inside_the_directories),
    ("where_namespaces_are_forbidden_one_sentence_says_what_to_do", namespaces_are_forbidden),
];

/// Runs the cases whose name contains `filter`.
pub(crate) fn main(filter: &str) -> ExitCode {
    let root = nix::unistd::geteuid().is_root();
    let users: &[User] = if root { &[User::Root, User::Nobody] } else { &[User::Me] };
    let program = Program::new();
    let mut failed = false;
    for user in users {
        let trial = view(*user, "/", "sh:true");
        if trial.status != 0 && trial.text.contains("cannot ") {
            eprintln!("SKIPPED: views of the machine as {user:?}: {}", trial.text.trim());
            continue;
        }
        for (name, case) in CASES.iter().filter(|(name, _)| name.contains(filter)) {
            let passed = catch_unwind(AssertUnwindSafe(|| case(*user))).is_ok();
            println!("test {name} ({user:?}) ... {}", if passed { "ok" } else { "FAILED" });
            failed |= !passed;
        }
    }
    drop(program);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn the_machine_is_as_it_was(user: User) {
    let before = machine();
    let script = "
        cd /etc && for file in *; do test -f $file && echo more >> $file; done
        rm -rf /etc/ssl /etc/profile.d; mkdir -p /var/lib/new /oem /system/oem /root/.ssh /usr/local/bin
        echo made > /oem/made; echo made > /var/lib/new/made; echo made > /root/.ssh/made; echo made > /run/made
        echo made > /usr/local/bin/made && chmod 4755 /usr/local/bin/made; rm -rf /home/* /srv /opt
        hostname elsewhere; mount -t tmpfs tmpfs /mnt; umount /boot; echo made > /tmp/made; exit 7";
    let seen = view(user, "/", &format!("sh:{script}"));
    assert_eq!(seen.status, 7, "{}", seen.text);
    for path in ["/oem/made", "/var/lib/new/made", "/root/.ssh/made", "/run/made", "/usr/local/bin/made"] {
        assert!(seen.line(&format!("Created {path} ")).is_some(), "{path} in {}", seen.text);
    }
    let after = machine();
    for (what, state) in &before {
        assert!(Some(state) == after.get(what), "{} has changed", what.display());
    }
    assert_eq!(before.len(), after.len());
}

fn what_a_stage_writes_is_told(user: User) {
    let script = "
        echo new > /etc/cosette-new; echo added >> /etc/passwd; rm /etc/group; ln -s target /etc/cosette-link
        mkdir -m 0750 /etc/cosette-dir; chmod 0700 /var/cache; printf '\\0' > /etc/cosette-binary";
    let seen = view(user, "/", &format!("sh:{script}"));
    seen.expect(
        r#"Created /etc/cosette-new nothing -> File:0644:0:0 Some(Text { before: None, after: "new\n" })"#,
    );
    seen.expect(r#"Created /etc/cosette-link nothing -> Symlink:0777:0:0 Some(Text { before: None, after: "target" })"#);
    seen.expect("Created /etc/cosette-dir nothing -> Directory:0750:0:0 None");
    seen.expect(r#"Created /etc/cosette-binary nothing -> File:0644:0:0 Some(Hidden("binary"))"#);
    seen.expect(r#"Attributes /var/cache Directory:0755:0:0 -> Directory:0700:0:0 Some(Attributes("mode 0755 -> 0700"))"#);
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let (passwd, added) = (Some(&passwd), format!("{passwd}added\n"));
    let diff = format!("Some(Text {{ before: {passwd:?}, after: {added:?} }})");
    seen.expect(&format!("Modified /etc/passwd File:0644:0:0 -> File:0644:0:0 {diff}"));
    let group = Some(std::fs::read_to_string("/etc/group").unwrap());
    let diff = format!(r#"Some(Text {{ before: {group:?}, after: "" }})"#);
    seen.expect(&format!("Removed /etc/group File:0644:0:0 -> nothing {diff}"));
    assert_eq!(seen.changes().len(), 7, "{}", seen.text);
}

fn what_is_written_as_it_was_is_no_change(user: User) {
    let script = "
        cp -p /etc/passwd /etc/passwd.tmp && chmod 0644 /etc/passwd.tmp && mv /etc/passwd.tmp /etc/passwd
        echo once > /etc/made && rm /etc/made; touch /etc/group /etc/.pwd.lock; chmod 0700 /var && chmod 0755 /var";
    let seen = view(user, "/", &format!("sh:{script}"));
    assert_eq!((seen.status, seen.changes()), (0, vec![]), "{}", seen.text);
}

fn a_directory_made_anew(user: User) {
    let seen =
        view(user, "/", "sh:rm -rf /etc/profile.d /etc/init.d; mkdir -p /etc/init.d; echo x > /etc/init.d/x");
    assert!(seen.line("Removed /etc/profile.d Directory").is_some(), "{}", seen.text);
    assert!(seen.line("Created /etc/init.d/x nothing").is_some(), "{}", seen.text);
    for name in names("/etc/init.d") {
        assert!(seen.line(&format!("Removed /etc/init.d/{name} ")).is_some(), "{name}: {}", seen.text);
    }
}

fn contents_that_not_everybody_may_read(user: User) {
    let script = "
        echo 'secret-word' > /etc/secret; chmod 0600 /etc/secret; echo secret-word >> /etc/shadow
        mkdir -m 0700 /etc/closed; echo secret-word > /etc/closed/open; chmod 0644 /etc/closed/open";
    let seen = view(user, "/", &format!("sh:{script}"));
    let hidden = r#"Some(Hidden("not readable by everybody"))"#;
    seen.expect(&format!("Created /etc/secret nothing -> File:0600:0:0 {hidden}"));
    seen.expect(&format!("Created /etc/closed/open nothing -> File:0644:0:0 {hidden}"));
    let shadow = seen.line("Modified /etc/shadow ").unwrap_or_else(|| panic!("{}", seen.text));
    assert!(shadow.ends_with(hidden), "{shadow}");
    assert!(!seen.text.contains("secret-word"), "{}", seen.text);
}

fn the_host_name_is_of_the_view(user: User) {
    let before = nix::unistd::gethostname().unwrap();
    let set =
        if user == User::Root { "echo elsewhere > /proc/sys/kernel/hostname" } else { "hostname elsewhere" };
    let seen = view(user, "/", &format!("sh:{set}; test $(hostname) = elsewhere"));
    assert_eq!(seen.status, 0, "{}", seen.text);
    seen.expect(&format!("hostname {} -> elsewhere", before.to_string_lossy()));
    assert_eq!(nix::unistd::gethostname().unwrap(), before);
}

fn root_gives_files_to_anybody(user: User) {
    let seen = view(
        user,
        "/",
        "sh:echo x > /etc/given && chown 1234:4321 /etc/given /etc/group && chmod 4755 /etc/given",
    );
    if user != User::Root {
        assert!(seen.text.contains("owners are only pretended"), "{}", seen.text);
        return;
    }
    assert!(seen.line("Created /etc/given nothing -> File:4755:1234:4321").is_some(), "{}", seen.text);
    let owner = r#"Some(Attributes("owner 0:0 -> 1234:4321"))"#;
    seen.expect(&format!("Attributes /etc/group File:0644:0:0 -> File:0644:1234:4321 {owner}"));
}

fn the_kernel_cannot_be_changed(user: User) {
    let script = "
        for file in /proc/sys/kernel/panic /proc/sys/kernel/core_pattern /proc/sys/vm/swappiness /proc/sysrq-trigger; do
            if test -e $file && (cat $file > /tmp/value; cat /tmp/value > $file) 2> /dev/null; then exit 3; fi
        done
        if (echo 1 > /sys/kernel/mm/ksm/run) 2> /dev/null; then exit 4; fi
        if mknod /tmp/disk b 8 0 2> /dev/null; then exit 5; fi
        if mkdir /sys/fs/cgroup/cosette-test 2> /dev/null; then exit 6; fi
        test -z \"$(find /dev -type b)\" && ls /proc/self/fd > /dev/null";
    let seen = view(user, "/", &format!("sh:{script}"));
    assert_eq!(seen.status, 0, "{}", seen.text);
    let seen =
        view(user, "/", "offline:test $(grep -c : /proc/net/dev) -le 1 || ! grep -q eth /proc/net/dev");
    assert_eq!(seen.status, 0, "{}", seen.text);
}

fn the_lock_of_the_accounts_can_be_taken(user: User) {
    let seen = view(user, "/", "sh:test ! -e /etc/.pwd.lock || : >> /etc/.pwd.lock");
    assert_eq!(seen.status, 0, "{}", seen.text);
    assert!(!seen.text.contains("Modified /etc/.pwd.lock"), "{}", seen.text);
}

fn signals_stay_in_the_view(user: User) {
    let seen = view(user, "/", "sh:kill -9 1; kill -TERM 1; kill -9 -1; echo still here; test $PPID = 1");
    assert_eq!(seen.status, 0, "{}", seen.text);
    assert!(seen.text.contains("still here"));
}

fn sockets_are_out_of_reach(user: User) {
    let directory = Directory::new("socket");
    let path = directory.0.join("socket");
    let _listening = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
    let seen = view(user, "/", &format!("connect:{}", path.display()));
    assert_eq!(seen.status, 0, "{}", seen.text);
    let seen = view(user, "/", "sh:! test -e /run/systemd/system && ! test -e /run/dbus");
    assert_eq!(seen.status, 0, "{}", seen.text);
}

fn processes_in_the_background_end(user: User) {
    let time = format!("98765{}", std::process::id());
    let seen = view(user, "/", &format!("sh:setsid sleep {time} > /dev/null 2>&1 & echo started"));
    assert!(seen.text.contains("started"), "{}", seen.text);
    assert!(!running(&time));
}

fn a_view_ends(user: User) {
    for signals in [&[Signal::SIGTERM, Signal::SIGTERM][..], &[Signal::SIGKILL]] {
        let time = format!("87654{}", std::process::id());
        let mut outside = start(user, "/", &format!("sh:sleep {time}"));
        eventually(|| running(&time));
        let pid = Pid::from_raw(outside.id().try_into().unwrap());
        for signal in signals {
            // It may have ended with the first.
            let _ = kill(pid, *signal);
        }
        assert!(!outside.wait().unwrap().success());
        eventually(|| !running(&time));
    }
}

fn a_tree_has_a_view_too(user: User) {
    let tree = Directory::new("tree");
    tree.tree();
    let seen = view(user, tree.0.to_str().unwrap(), "write:/etc/made");
    assert_eq!(seen.status, 0, "{}", seen.text);

    assert!(seen.line("Created /etc/made nothing -> File:0644:0:0").is_some(), "{}", seen.text);
    assert_eq!(seen.changes().len(), 1, "{}", seen.text);
    assert_eq!(names(tree.0.to_str().unwrap()), ["bin", "etc", "hosts", "usr", "var"]);
    assert_eq!(names(tree.0.join("etc").to_str().unwrap()), ["hosts"]);
}

fn mounts_inside_the_directories(user: User) {
    let id = match user {
        User::Root => "0",
        User::Nobody => "65534",
        User::Me => {
            eprintln!("SKIPPED: mounts inside the directories: only root can mount for it");
            return;
        }
    };
    let cases = [
        ("write:/var/data/record", "Modified /var/data/record File:0644:0:0 -> File:0644:0:0"),
        ("write:/var/data/made", "Created /var/data/made nothing -> File:0644:0:0"),
        ("write:/var/made", "Created /var/made nothing -> File:0644:0:0"),
        ("write:/etc/hosts", "Modified /etc/hosts File:0644:0:0 -> File:0644:0:0"),
    ];
    // In a volume, an ordinary user cannot change the files of others in place.
    for (action, change) in &cases[if user == User::Nobody { 1 } else { 0 }..] {
        let tree = Directory::new("mounts");
        tree.tree();
        let path = tree.0.to_str().unwrap();
        let seen = Seen::new(program().args(["in-container", id, path, path, action]).output().unwrap());
        assert!(seen.line(change).is_some(), "{change} in {}", seen.text);
        assert_eq!(seen.changes().len(), 1, "{}", seen.text);
        assert!(seen.text.contains("mounts unchanged"), "{}", seen.text);
        assert!(seen.text.contains("note: /proc is that of the machine, and read-only"), "{}", seen.text);
    }
}

fn namespaces_are_forbidden(user: User) {
    let mut command = program();
    if user == User::Nobody {
        command.uid(NOBODY).gid(NOBODY);
    }
    let seen = Seen::new(command.args(["forbidden", "/", "sh:true"]).output().unwrap());
    assert_eq!(seen.text.lines().count(), 1, "{}", seen.text);
    assert!(
        seen.text.starts_with("error: cannot make namespaces for a view of this machine"),
        "{}",
        seen.text
    );
    assert!(seen.text.contains("`sysctl user.max_user_namespaces=1000`"), "{}", seen.text);
}

/// What a view has printed.
struct Seen {
    status: i32,
    text: String,
}

impl Seen {
    fn new(output: Output) -> Self {
        let text =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        Self { status: output.status.code().unwrap_or(-1), text }
    }

    fn line(&self, start: &str) -> Option<&str> {
        self.text.lines().find(|line| line.starts_with(start))
    }

    #[track_caller]
    fn expect(&self, line: &str) {
        assert_eq!(self.line(line), Some(line), "in {}", self.text);
    }

    fn changes(&self) -> Vec<&str> {
        let kinds = ["Created ", "Modified ", "Attributes ", "Removed "];
        self.text.lines().filter(|line| kinds.iter().any(|kind| line.starts_with(kind))).collect()
    }
}

fn view(user: User, root: &str, action: &str) -> Seen {
    Seen::new(start(user, root, action).wait_with_output().unwrap())
}

fn start(user: User, root: &str, action: &str) -> Child {
    let mut command = program();
    if user == User::Nobody {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.args(["view", root, action]).current_dir("/").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// This program, at a place where everybody may start it.
struct Program(PathBuf);

impl Program {
    fn new() -> Self {
        let path = program_path();
        std::fs::copy(std::env::current_exe().unwrap(), &path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn program_path() -> PathBuf {
    std::env::temp_dir().join(format!("cosette-view-{}", std::process::id()))
}

/// This program: the copy that was made for the tests, or itself when it is that copy.
pub(crate) fn program() -> Command {
    let copy = program_path();
    Command::new(if copy.exists() { copy } else { std::env::current_exe().unwrap() })
}

/// A directory that is removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("cosette-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    /// Fills it as the root of a system without programs.
    fn tree(&self) {
        for directory in ["etc", "usr/bin", "var/data"] {
            std::fs::create_dir_all(self.0.join(directory)).unwrap();
        }
        std::os::unix::fs::symlink("usr/bin", self.0.join("bin")).unwrap();
        std::fs::write(self.0.join("hosts"), "of the engine\n").unwrap();
        std::fs::write(self.0.join("etc/hosts"), "of the image\n").unwrap();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Waits until something is so; fails after half a minute.
#[track_caller]
fn eventually(mut is_so: impl FnMut() -> bool) {
    for _ in 0..600 {
        if is_so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("it has not come about");
}

/// Whether a program with this argument is running; the views themselves have it inside of one.
fn running(argument: &str) -> bool {
    names("/proc").iter().any(|process| {
        let line = std::fs::read(Path::new("/proc").join(process).join("cmdline")).unwrap_or_default();
        line.starts_with(b"sleep\0") && line.split(|byte| *byte == 0).any(|word| word == argument.as_bytes())
    })
}

fn names(directory: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The state of the machine that a stage could change: `/etc` in full, the names in other directories, the host
/// name and the mounts.
fn machine() -> BTreeMap<PathBuf, String> {
    let mut state = BTreeMap::new();
    describe(Path::new("/etc"), true, &mut state);
    for directory in ["/", "/root", "/home", "/usr/local/bin", "/var/lib", "/boot", "/opt", "/srv"] {
        describe(Path::new(directory), false, &mut state);
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    state.insert("mounts".into(), mounts);
    state.insert("host name".into(), nix::unistd::gethostname().unwrap().into_string().unwrap());
    state
}

fn describe(directory: &Path, deep: bool, state: &mut BTreeMap<PathBuf, String>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        let found = std::fs::symlink_metadata(&path).unwrap();
        let mut text = format!("{:o} {}:{}", found.mode(), found.uid(), found.gid());
        if deep && !found.is_dir() {
            let times = (found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec());
            let mut content = DefaultHasher::new();
            std::fs::read(&path).unwrap_or_default().hash(&mut content);
            write!(text, " {times:?} {:x}", content.finish()).unwrap();
        }
        state.insert(path.clone(), text);
        if deep && found.is_dir() {
            describe(&path, deep, state);
        }
    }
}
