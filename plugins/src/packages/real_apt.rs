//! With the real apt and a repository of two versions of a tiny package, in a throw-away view of this machine.
#![allow(clippy::disallowed_methods, reason = "tests make and look at real files and processes")]

use crate::testing::View;
use std::io::Write as _;
use std::process::Command;

/// A view with a repository of its own.
struct Debian(View);

impl Debian {
    /// Adds a version of the package to the repository, and makes it the only one of the system.
    fn publish(&self, version: &str) {
        let (tree, repository) = (self.0.path(&format!("/build-{version}")), self.0.path("/repository"));
        std::fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        std::fs::create_dir_all(&repository).unwrap();
        let control = format!(
            "Package: cosette-probe\nVersion: {version}\nArchitecture: all\nMaintainer: nobody <a@example.org>\n\
             Description: nothing\n"
        );
        std::fs::write(tree.join("DEBIAN/control"), &control).unwrap();
        let name = format!("cosette-probe_{version}_all.deb");
        let package = repository.join(&name);
        assert!(runs("dpkg-deb", &["--build", tree.to_str().unwrap(), package.to_str().unwrap()]));
        let content = std::fs::read(&package).unwrap();
        let hash = <sha2::Sha256 as sha2::Digest>::digest(&content);
        let hash = crate::facts::hexadecimal(&hash);
        let mut index =
            std::fs::OpenOptions::new().create(true).append(true).open(repository.join("Packages")).unwrap();
        write!(index, "{control}Filename: ./{name}\nSize: {}\nSHA256: {hash}\n\n", content.len()).unwrap();
        let _ = std::fs::remove_dir_all(self.0.path("/etc/apt/sources.list.d"));
        std::fs::write(self.0.path("/etc/apt/sources.list"), "deb [trusted=yes] file:/repository ./\n")
            .unwrap();
    }

    /// Applies the keys of a step; returns what was wrong and what was changed.
    fn apply(&self, step: &str) -> (String, Vec<String>) {
        let outcome = self.0.apply(step);
        let changed = outcome.effects.iter().filter(|effect| effect.changed);
        (outcome.messages(), changed.map(|effect| effect.target.clone()).collect())
    }

    /// The version that is installed.
    fn installed(&self) -> Option<String> {
        let mut query = Command::new("chroot");
        query.arg(self.0.path("/")).args([
            "dpkg-query",
            "-W",
            "-f",
            "${db:Status-Abbrev}${Version}",
            "cosette-probe",
        ]);
        let answer = String::from_utf8(query.output().unwrap().stdout).unwrap();
        answer.strip_prefix("ii ").map(str::to_owned)
    }
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

#[test]
fn the_real_apt_installs_pins_upgrades_and_removes() {
    let Some(view) = View::new("packages with the real apt", &["/usr/bin/apt-get", "/usr/bin/dpkg-deb"])
    else {
        return;
    };
    let view = Debian(view);
    view.publish("1.0");
    let fine = |step: &str, expected: &[&str]| {
        let (messages, changed) = view.apply(step);
        assert_eq!(
            (messages.as_str(), changed),
            ("", expected.iter().map(ToString::to_string).collect()),
            "{step}"
        );
    };
    const INSTALL: &str = "apt-get -y --no-install-recommends install";
    let step = "packages: {refresh: true, install: [cosette-probe]}";
    fine(step, &["apt-get -y update", &format!("{INSTALL} cosette-probe")]);
    assert_eq!(view.installed().as_deref(), Some("1.0"));
    // Nothing is run, and nobody is asked: the repository is gone.
    std::fs::rename(view.0.path("/repository"), view.0.path("/away")).unwrap();
    fine(step, &[]);
    std::fs::rename(view.0.path("/away"), view.0.path("/repository")).unwrap();

    view.publish("2.0");
    fine("package_pins: {cosette-probe: 1.0}", &["/etc/apt/preferences.d/99-yip-pins"]);
    fine("package_pins: {cosette-probe: 1.0}", &[]);
    fine("packages: {refresh: true, upgrade: true}", &["apt-get -y update", "apt-get -y upgrade"]);
    assert_eq!(view.installed().as_deref(), Some("1.0"), "it is pinned");
    fine("packages: {install: [cosette-probe=1.0]}", &[]);
    fine("packages: {install: [cosette-probe=2.0]}", &[&format!("{INSTALL} cosette-probe=2.0")]);
    assert_eq!(view.installed().as_deref(), Some("2.0"));

    fine("packages: {remove: [cosette-probe, cosette-never]}", &["apt-get -y remove cosette-probe"]);
    assert_eq!(view.installed(), None);
    fine("packages: {remove: [cosette-probe, cosette-never]}", &[]);

    let (messages, _) = view.apply("packages: {install: [cosette-never, cosette-probe], remove: [dash]}");
    assert!(messages.contains("ended with status 100; the end of its output:"), "{messages}");
    assert!(messages.contains("Unable to locate package cosette-never"), "{messages}");
    assert_eq!(view.installed(), None, "the first failure ends it");
}
