//! An installation that is killed between any two steps begins anew by itself, or is complete.

use super::Scratch;
use cosette_plugins::testing::run;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

/// Where the installation is killed that is begun next: kills it there, and says whether it came so far.
fn killed(scratch: &Scratch, number: usize, arguments: &[&str]) -> bool {
    let output = scratch.command(arguments).env("COSETTE_FAILPOINT", number.to_string()).output().unwrap();
    scratch.is_free();
    if output.status.success() {
        return false;
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(9), "at {number}\n{errors}");
    true
}

/// The images of a system, of which each that is there must be whole, and be known by its digest if `are_known`.
fn images(scratch: &Scratch, are_known: bool) -> [bool; 3] {
    [("active", 5), ("passive", 5), ("recovery", 4)].map(|(name, partition)| {
        let mounted = scratch.disk.mount(partition);
        let image = format!("{}/cOS/{name}.img", mounted.path());
        if !Path::new(&image).exists() {
            return false;
        }
        run("e2fsck", &["-fn", &image]);
        assert!(run("debugfs", &["-R", "cat /etc/os-release", &image]).contains("Fleet OS"), "{name}");
        if are_known {
            let known = std::fs::read_to_string(format!("{}/state.yaml", mounted.path())).unwrap();
            assert!(known.contains(&run("sha256sum", &[&image])[..64]), "{name} {known}");
        }
        true
    })
}

/// That all of an installation is there.
fn is_complete(scratch: &Scratch) {
    assert_eq!(images(scratch, true), [true; 3]);
    let state = scratch.disk.mount(5);
    let left = run("find", &[&state.path(), "-name", ".cosette*", "-o", "-name", "transition*"]);
    assert_eq!(left, "");
    run("fsck.vfat", &["-n", &scratch.disk.partition(2)]);
    assert!(starts(scratch).0);
    let words = run("sgdisk", &["-v", scratch.disk.path()]);
    assert!(words.contains("No problems found"), "{words}");
}

/// Whether a BIOS and whether EFI would start it.
fn starts(scratch: &Scratch) -> (bool, bool) {
    let efi = 2 << 20;
    let disk = scratch.first(efi + 512);
    (disk[..0x100].iter().any(|byte| *byte != 0), disk[efi + 510..efi + 512] == [0x55, 0xaa])
}

#[test]
fn one_that_is_killed_anywhere_begins_anew_or_is_complete() {
    let Some(scratch) = Scratch::new() else { return };
    let (mut number, mut complete) = (1, 0);
    loop {
        scratch.blank();
        if !killed(&scratch, number, &[]) {
            break;
        }
        if starts(&scratch) != (false, false) {
            assert_eq!(images(&scratch, true), [true; 3], "at {number}");
        }
        let again = scratch.install(&[]);
        let errors = String::from_utf8_lossy(&again.stderr);
        match again.status.code() {
            Some(0) => {}
            // From here on it is a system, which is not replaced by mistake.
            Some(19) => {
                assert!(errors.contains("has a system already"), "{errors}");
                complete += 1;
            }
            other => panic!("{other:?} after {number}: {errors}"),
        }
        is_complete(&scratch);
        scratch.is_free();
        number += 1;
    }
    is_complete(&scratch);
    assert!(number > 20 && (1..5).contains(&complete), "{complete} of {number}");
    eprintln!(
        "killed at {} failpoints of an installation, {complete} of them at a complete system",
        number - 1
    );
}

#[test]
fn over_a_system_that_is_there_one_of_both_is_complete_all_the_time() {
    let Some(scratch) = Scratch::new() else { return };
    scratch.installs(&[]);
    let mut number = 1;
    while killed(&scratch, number, &["--no-format", "--force"]) {
        assert_eq!(images(&scratch, false), [true; 3], "at {number}");
        // A disk that had a system is never taken for one that nobody has used.
        let errors = scratch.refuses(&[], 19);
        assert!(errors.contains("has a system already"), "{errors}");
        number += 1;
    }
    is_complete(&scratch);
    assert!(number > 15, "{number}");
    eprintln!("killed at {} failpoints of an installation over another", number - 1);
}

#[test]
fn a_disk_with_something_of_somebody_is_not_taken_for_one_that_was_begun() {
    let Some(scratch) = Scratch::new() else { return };
    // The partitions are there, and nothing is on them.
    assert!(killed(&scratch, 2, &[]));
    {
        let persistent = scratch.disk.mount(6);
        std::fs::write(Path::new(&persistent.path()).join("data"), "of somebody").unwrap();
    }
    let errors = scratch.refuses(&[], 19);
    assert!(errors.contains("has a system already: --force replaces it"), "{errors}");
    scratch.installs(&["--force"]);
    is_complete(&scratch);
}

#[test]
fn an_image_of_a_disk_that_is_killed_anywhere_is_the_one_before_or_complete() {
    let Some(scratch) = Scratch::new() else { return };
    let directory = scratch.directory.path().join("out");
    std::fs::create_dir(&directory).unwrap();
    let (image, mut number) = (directory.join("disk.raw"), 1);
    let left = || std::fs::read_dir(&directory).unwrap().count();
    loop {
        std::fs::write(&image, "an older image").unwrap();
        let mut command = scratch.build(&image);
        let output = command.env("COSETTE_FAILPOINT", number.to_string()).output().unwrap();
        if output.status.success() {
            break;
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(9), "at {number}\n{errors}");
        let is_complete = std::fs::metadata(&image).unwrap().len() == 1 << 30;
        if !is_complete {
            assert_eq!(std::fs::read(&image).unwrap(), b"an older image");
        }
        // Only what comes after the last name is looked at as a whole: the rest is what any next run does.
        if is_complete || number % 6 == 1 {
            let output = scratch.build(&image).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let words = run("sgdisk", &["-v", image.to_str().unwrap()]);
            assert!(words.contains("No problems found"), "{words}");
            assert_eq!(left(), 1, "after {number}");
        }
        number += 1;
    }
    assert_eq!(left(), 1);
    assert!(number > 20, "{number}");
    eprintln!("killed at {} failpoints of the making of an image of a disk", number - 1);
}

#[test]
fn a_partition_that_is_full_is_a_failure_and_the_next_run_begins_anew() {
    let Some(scratch) = Scratch::new() else { return };
    // The documents of the operator have 64 MiB.
    let documents: Vec<_> =
        (0..9).map(|number| scratch.directory.path().join(format!("{number}.yaml"))).collect();
    let text = format!("name: large\n# {}\n", "x".repeat(8 << 20));
    documents.iter().for_each(|document| std::fs::write(document, &text).unwrap());
    let documents = documents.iter().flat_map(|document| ["--cloud-init", document.to_str().unwrap()]);
    let errors = scratch.refuses(&documents.collect::<Vec<_>>(), 18);
    assert!(errors.contains("documents"), "{errors}");
    scratch.is_free();
    assert_eq!(starts(&scratch), (false, false));
    scratch.installs(&[]);
    is_complete(&scratch);
    // The systems have 491 MiB: neither the tree with one image, nor two images.
    scratch.blank();
    let large = scratch.directory.path().join("tree/large");
    let size = format!("{}", 300 << 20);
    run(
        "dd",
        &[
            "if=/dev/urandom",
            &format!("of={}", large.display()),
            "iflag=count_bytes",
            &format!("count={size}"),
            "bs=1M",
        ],
    );
    scratch.refuses(&[], 18);
    scratch.is_free();
    assert_eq!(starts(&scratch), (false, false));
    std::fs::remove_file(large).unwrap();
    scratch.installs(&[]);
    is_complete(&scratch);
}
