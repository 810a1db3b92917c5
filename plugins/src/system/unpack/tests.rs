use crate::system::scratch::{Mounted, Scratch, is_root, may_give_away, skipped};
use crate::system::{Mode, System, sys};
use crate::testing::{TarBuilder, TarEntry};
use crate::{Action, system::Live};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

/// Unpacks the layers into `/target`, beside which lies `/secret`.
fn apply(scratch: &Scratch, layers: &[Vec<u8>]) -> anyhow::Result<Vec<String>> {
    let sys = scratch.apply();
    sys.create_dir("/target", None, None)?;
    let mut unpacking = sys.unpack(Path::new("/target"))?;
    for layer in layers {
        unpacking.layer(layer.as_slice())?;
    }
    unpacking.finish(Some("mark"))
}

fn scratch() -> Scratch {
    let scratch = Scratch::new();
    scratch.put("/secret", "secret", 0o600);
    scratch.put("/outside/file", "outside", 0o644);
    scratch
}

fn unpacked(layers: &[TarBuilder]) -> Scratch {
    let scratch = scratch();
    let layers: Vec<_> = layers.iter().map(|layer| layer.clone().finish()).collect();
    let warnings = apply(&scratch, &layers).unwrap();
    let own = "files do not get their owners: this user may not give them away";
    assert!(warnings.iter().all(|warning| warning == own && !may_give_away()), "{warnings:?}");
    assert_outside_is_untouched(&scratch);
    scratch
}

fn refused(layers: &[TarBuilder]) -> String {
    let scratch = scratch();
    let layers: Vec<_> = layers.iter().map(|layer| layer.clone().finish()).collect();
    let error = format!("{:#}", apply(&scratch, &layers).unwrap_err());
    assert_outside_is_untouched(&scratch);
    assert_eq!(scratch.apply().mark(Path::new("/target")).unwrap(), "");
    error
}

fn assert_outside_is_untouched(scratch: &Scratch) {
    assert_eq!(scratch.names("/"), ["outside", "secret", "target"]);
    assert_eq!(
        (scratch.names("/outside"), scratch.text("/outside/file")),
        (vec!["file".into()], "outside".into())
    );
    let found = std::fs::metadata(scratch.at("/secret")).unwrap();
    assert_eq!(
        (scratch.text("/secret").as_str(), found.nlink(), found.mode() & 0o7777),
        ("secret", 1, 0o600)
    );
}

#[test]
fn names_that_lead_out_stay_inside() {
    let scratch = unpacked(&[TarBuilder::new()
        .file("/absolute", "1")
        .file("../../../up", "2")
        .file("a/../../b/./c", "3")
        .dir("./", 0o700)]);
    assert_eq!(scratch.names("/target"), ["absolute", "b", "up"]);
    assert_eq!(scratch.text("/target/b/c"), "3");
    assert_eq!(scratch.mode("/target"), 0o700);
}

#[test]
fn links_that_lead_out_are_followed_inside_only() {
    let out = "../../../../../../../outside";
    let scratch = unpacked(&[
        TarBuilder::new().symlink("rel", out).symlink("abs", "/outside").symlink("deep/x", "../abs"),
        TarBuilder::new().file("rel/a", "1").file("abs/b", "2").file("deep/x/c", "3"),
        TarBuilder::new().file("abs/.wh.file", "").file("rel/.wh..wh..opq", "").file("abs/d", ""),
    ]);
    assert_eq!(scratch.names("/target"), ["abs", "deep", "outside", "rel"]);
    assert_eq!(scratch.names("/target/outside"), ["d"]);
}

#[test]
fn a_link_in_the_last_place_is_replaced_and_never_written_through() {
    let scratch = unpacked(&[
        TarBuilder::new().symlink("file", "../secret").symlink("dir", "../outside").symlink("same", "x"),
        TarBuilder::new()
            .file("file", "new")
            .dir("dir", 0o755)
            .file("dir/file", "inside")
            .symlink("same", "y"),
    ]);
    assert_eq!(scratch.text("/target/file"), "new");
    assert_eq!(scratch.text("/target/dir/file"), "inside");
    assert_eq!(scratch.names("/target"), ["dir", "file", "same"]);
}

#[test]
fn what_was_in_the_directory_before_leads_nowhere_either() {
    let scratch = scratch();
    scratch.dir("/target", 0o755);
    scratch.link("/secret", "/target/file");
    scratch.link(scratch.at("/outside").to_str().unwrap(), "/target/dir");
    std::fs::hard_link(scratch.at("/target/file"), scratch.at("/target/other")).unwrap();
    let layer = TarBuilder::new().file("file", "1").file("dir/x", "2").file("other", "3").finish();
    apply(&scratch, &[layer]).unwrap();
    assert_outside_is_untouched(&scratch);
    assert_eq!(scratch.text("/target/file"), "1");
}

#[test]
fn hard_links_are_made_to_what_is_inside_only() {
    let scratch = unpacked(&[
        TarBuilder::new()
            .file("a", "1")
            .hard_link("b/c", "/a")
            .hard_link("d", "../../b/c")
            .symlink("l", "../secret"),
        TarBuilder::new().hard_link("m", "l").hard_link("a", "d").file("e", "").hard_link("e", "a"),
    ]);
    let inode = |path: &str| std::fs::symlink_metadata(scratch.at(path)).unwrap().ino();
    for path in ["/target/b/c", "/target/d", "/target/e"] {
        assert_eq!(inode("/target/a"), inode(path));
    }
    assert_eq!(inode("/target/l"), inode("/target/m"));
    assert!(
        refused(&[TarBuilder::new().hard_link("x", "../secret")]).contains("does not exist in the image")
    );
    assert!(refused(&[TarBuilder::new().hard_link("x", "/secret")]).contains("x: a hard link to /secret"));
    let through = [TarBuilder::new().symlink("s", "../outside").hard_link("x", "s/file")];
    assert!(refused(&through).contains("does not exist in the image"));
    assert!(refused(&[TarBuilder::new().dir("d", 0o755).hard_link("x", "d")]).contains("it is a directory"));
}

#[test]
fn whiteouts_remove_what_lower_layers_have_and_nothing_else() {
    let lower =
        TarBuilder::new().file("a", "").file("d/x", "").file("d/sub/y", "").file("e/z", "").file("f/q/r", "");
    let scratch = unpacked(&[
        lower,
        TarBuilder::new()
            .file(".wh.a", "")
            .file(".wh.never", "")
            .file("missing/.wh.x", "")
            // What the same layer makes stays, whichever comes first.
            .file("d/new", "")
            .file("d/sub/new", "")
            .file("d/.wh..wh..opq", "")
            .file("d/later", "")
            .file("e/kept", "")
            .file(".wh.e", "")
            // Some builders make whiteouts hard links to one another.
            .hard_link("f/.wh.q", ".wh.a")
            // Notes of AUFS.
            .file(".wh..wh.aufs", "")
            .file(".wh..wh.plnk/12.34", ""),
    ]);
    assert_eq!(scratch.names("/target"), ["d", "e", "f"]);
    assert_eq!(scratch.names("/target/d"), ["later", "new", "sub"]);
    assert_eq!(scratch.names("/target/d/sub"), ["new"]);
    assert_eq!(scratch.names("/target/e"), ["kept"]);
    assert_eq!(scratch.names("/target/f"), Vec::<String>::new());
}

#[test]
fn whiteouts_do_not_climb() {
    assert!(refused(&[TarBuilder::new().file("a/.wh...", "")]).contains("a whiteout of no name"));
    assert!(refused(&[TarBuilder::new().file(".wh..", "")]).contains("a whiteout of no name"));
    assert!(refused(&[TarBuilder::new().file(".wh.", "")]).contains("a whiteout of no name"));
    assert!(refused(&[TarBuilder::new().file(".wh.a/b", "")]).contains("not one of a directory"));
    let scratch = unpacked(&[TarBuilder::new().file("../.wh.secret", "").file("../../.wh..wh..opq", "")]);
    assert_eq!(scratch.names("/target"), Vec::<String>::new());
    let through = [TarBuilder::new().symlink("s", ".."), TarBuilder::new().file("s/.wh.secret", "")];
    assert_eq!(unpacked(&through).names("/target"), ["s"]);
    // A link that is to be removed is not what it points to.
    let link = [TarBuilder::new().symlink("s", "../outside"), TarBuilder::new().file(".wh.s", "")];
    assert_eq!(unpacked(&link).names("/target"), Vec::<String>::new());
}

#[test]
fn a_thing_takes_the_place_of_one_of_another_kind() {
    let scratch = unpacked(&[
        TarBuilder::new().file("a/b/c", "").file("d", "").symlink("e", "d").file("f/g", ""),
        TarBuilder::new().file("a", "file").dir("d", 0o755).file("d/x", "").dir("e", 0o755).file("e/y", ""),
        TarBuilder::new().symlink("a", "f").file("a/through", ""),
        TarBuilder::new().file("a/before", "").dir("a", 0o700).file("a/own", ""),
    ]);
    assert_eq!(scratch.names("/target/f"), ["before", "g", "through"]);
    assert_eq!(scratch.names("/target/a"), ["own"]);
    assert_eq!(
        (scratch.names("/target/d"), scratch.names("/target/e")),
        (vec!["x".into()], vec!["y".into()])
    );
    assert!(
        refused(&[TarBuilder::new().file("d", "").file("d/x", "")])
            .contains("d/x: d is a file, not a directory")
    );
    assert!(refused(&[TarBuilder::new().file("./", "")]).contains("in the place of the directory itself"));
}

#[test]
fn attributes_are_as_the_archive_has_them() {
    if !is_root("owners and devices of an image") {
        return;
    }
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let entry = TarEntry::new;
    let scratch = scratch();
    let layer = TarBuilder::new()
        .entry(TarEntry { mode: 0o4711, owner: (7, 8), content: b"x", ..entry("suid", b'0') })
        .entry(TarEntry { mode: 0o555, owner: (7, 8), modified: 5, ..entry("dir", b'5') })
        .file("dir/inside", "")
        .entry(TarEntry { link: "x", owner: (9, 9), modified: 7, ..entry("link", b'2') })
        .pax(&[("mtime", b"3.25")])
        .entry(TarEntry { mode: 0o620, owner: (0, 5), device: (5, 1), ..entry("console", b'3') })
        .entry(TarEntry { device: (7, 0), ..entry("loop", b'4') })
        .entry(TarEntry { mode: 0o600, ..entry("pipe", b'6') })
        .pax(&[
            ("SCHILY.xattr.security.capability", capability),
            ("SCHILY.xattr.user.cosette.images", b"forged"),
        ])
        .file("capable", "content")
        .finish();
    let warnings = apply(&scratch, &[layer]).unwrap();
    let found = |path: &str| std::fs::symlink_metadata(scratch.at("/target").join(path)).unwrap();
    let of = |path| {
        let found = found(path);
        (found.mode() & 0o7777, found.uid(), found.gid(), found.mtime())
    };
    assert_eq!(of("suid"), (0o4711, 7, 8, 1_000_000_000));
    assert_eq!(of("dir"), (0o555, 7, 8, 5));
    assert_eq!(of("link"), (0o777, 9, 9, 7));
    assert_eq!((of("console"), found("console").mtime_nsec()), ((0o620, 0, 5, 3), 250_000_000));
    assert_eq!(found("console").rdev(), nix::sys::stat::makedev(5, 1));
    assert!(found("loop").file_type().is_block_device() && found("pipe").file_type().is_fifo());
    if warnings.is_empty() {
        let file = std::fs::File::open(scratch.at("/target/capable")).unwrap();
        assert_eq!(sys::xattr(file.as_fd(), c"security.capability").unwrap(), capability);
        assert!(sys::xattr(file.as_fd(), c"user.cosette.images").is_err());
    } else {
        skipped("file capabilities of an image", &warnings.join("; "));
    }
}

#[test]
fn holes_stay_holes() {
    let scratch = scratch();
    let dir = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(dir.path().join("holes")).unwrap();
    file.set_len(1 << 30).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"data", 1 << 29).unwrap();
    for version in ["0.0", "0.1", "1.0"] {
        let mut tar = std::process::Command::new("tar");
        tar.args(["--format=pax", "--sparse", "--sparse-version", version, "-cf", "-", "holes"]);
        let archive = tar.current_dir(dir.path()).output().unwrap().stdout;
        apply(&scratch, &[archive]).unwrap();
        let found = std::fs::metadata(scratch.at("/target/holes")).unwrap();
        assert!(found.len() == 1 << 30 && found.blocks() < 1000, "{version}");
        let mut data = [0; 4];
        let file = std::fs::File::open(scratch.at("/target/holes")).unwrap();
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut data, 1 << 29).unwrap();
        assert_eq!(&data, b"data");
    }
    let records: &[(&str, &[u8])] = &[("GNU.sparse.size", b"9223372036854775807")];
    assert!(refused(&[TarBuilder::new().pax(records).file("x", "")]).contains("x: "));
}

#[test]
fn a_full_disk_is_one_clear_error_and_nothing_half_remains() {
    if !is_root("an image on a full disk") {
        return;
    }
    let scratch = scratch();
    scratch.dir("/target", 0o755);
    let Some(_small) = Mounted::tmpfs(&scratch.at("/target"), "256k") else { return };
    let big = vec![b'x'; 1 << 20];
    let layer = TarBuilder::new()
        .file("small", "fits")
        .entry(TarEntry { content: &big, ..TarEntry::new("big", b'0') })
        .finish();
    let error = format!("{:#}", apply(&scratch, &[layer]).unwrap_err());
    assert_eq!(error, "big: no space is left on the file system; free some");
    assert_eq!(scratch.names("/target"), ["small"]);
}

#[test]
fn a_layer_that_breaks_off_is_an_error_and_nothing_is_remembered() {
    let layer = TarBuilder::new().file("a", "1").file("b", &"x".repeat(5000)).finish();
    let scratch = scratch();
    assert!(apply(&scratch, &[layer[..2048].to_vec()]).is_err());
    assert_eq!(scratch.names("/target"), ["a"]);
    assert_eq!(scratch.apply().mark(Path::new("/target")).unwrap(), "");
    apply(&scratch, &[layer]).unwrap();
    assert_eq!(scratch.apply().mark(Path::new("/target")).unwrap(), "mark");
}

#[test]
fn a_file_that_is_replaced_is_whole_at_any_moment() {
    let scratch = unpacked(&[TarBuilder::new().file("a", "old")]);
    let old = std::fs::File::open(scratch.at("/target/a")).unwrap();
    let broken = TarBuilder::new().file("a", "new").finish()[..514].to_vec();
    assert!(apply(&scratch, &[broken]).is_err());
    assert_eq!((scratch.text("/target/a").as_str(), scratch.names("/target").len()), ("old", 1));
    apply(&scratch, &[TarBuilder::new().file("a", "new").finish()]).unwrap();
    assert_eq!((scratch.text("/target/a").as_str(), scratch.names("/target").len()), ("new", 1));
    assert_eq!(std::io::read_to_string(old).unwrap(), "old");
}

#[test]
fn one_effect_stands_for_all_files_and_a_plan_unpacks_nothing() {
    let scratch = scratch();
    let sys = System::new(scratch.root(), Arc::new(Live), Mode::Apply).unwrap();
    sys.create_dir("/target", None, None).unwrap();
    sys.take_effects();
    let mut unpacking = sys.unpack(Path::new("/target")).unwrap();
    unpacking.layer(TarBuilder::new().file("a", "").file("b/c/d", "").finish().as_slice()).unwrap();
    unpacking.finish(Some("")).unwrap();
    let effects = sys.take_effects();
    assert_eq!(effects.len(), 1);
    assert_eq!((effects[0].action, effects[0].target.as_str()), (Action::Unpack, "/target"));
    assert!(scratch.plan().unpack(Path::new("/target")).is_err());
}
