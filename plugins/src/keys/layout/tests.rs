use crate::testing::{FakeDisk, Machine};

/// What is said about a layout before anything is looked at.
fn judge(text: &str) -> String {
    let machine = Machine::new("");
    machine.host.live_here();
    machine.apply(&format!("layout:\n{text}")).messages()
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_wrong_parts_take_the_whole_with_them() {
    let messages = judge(
        "  device: {path: /dev/vda, wipe: true}\n  add_partitions:\n\
         \x20 - {pLabel: a, size: 8GB}\n\
         \x20 - {pLabel: b, size: -1}\n\
         \x20 - {pLabel: b, size: 99999999999999999999}\n\
         \x20 - {pLabel: c, filesystem: exfat4}\n\
         \x20 - {pLabel: c, filesystem: brtfs}\n\
         \x20 - {pLabel: d, type: hoem}\n",
    );
    let expected = "\
        Error: test.yaml:4:23: expected a size, found `8GB`; write it in MiB (`8192`), or with one of the units MiB, GiB and TiB (`8GiB`)\n\
        Error: test.yaml:5:23: expected a whole number from 0 to 18446744073709551615, found `-1`\n";
    assert!(messages.starts_with(expected), "{messages}");
    assert!(messages.contains("test.yaml:7:29: expected `ext2`, `ext3`, `ext4`, `xfs`, `btrfs`, `vfat`, `fat16`, `fat32`, `swap` or `none`"), "{messages}");
    assert!(
        messages.contains("did you mean `btrfs`?") && messages.contains("did you mean `home`?"),
        "{messages}"
    );
    assert!(
        messages.contains("Warning: test.yaml:2:11: `wipe` does nothing without `init_disk: true`"),
        "{messages}"
    );
    assert!(!messages.contains("/dev/vda"), "nothing was looked at: {messages}");
}

#[test]
fn labels_are_measured_and_a_partition_must_have_one() {
    let messages = judge(
        "  device: {label: A, path: /dev/vda}\n  add_partitions:\n\
         \x20 - {size: 10}\n\
         \x20 - {fsLabel: X, filesystem: none}\n\
         \x20 - {fsLabel: THIRTEEN_BYTE, filesystem: xfs}\n\
         \x20 - {fsLabel: SEVENTEEN_BYTES__, pLabel: one}\n\
         \x20 - {pLabel: one}\n\
         \x20 - {pLabel: \"a label of thirty-seven characters in\"}\n\
         \x20 - {pLabel: \"a\\nb\"}\n",
    );
    for expected in [
        "Warning: test.yaml:2:28: `path` does not count beside `label`",
        "Error: test.yaml:4:5: the partition has no label, by which the next run would know it; give it a `pLabel`, or its file system an `fsLabel`",
        "Error: test.yaml:5:5: the partition has no label",
        "Error: test.yaml:6:15: a label of xfs has 12 bytes at most",
        "Error: test.yaml:7:15: a label of ext4 has 16 bytes at most",
        "Error: test.yaml:8:5: partition 4 of the list is called \"one\", too",
        "Error: test.yaml:9:14: the label of a partition has 36 characters at most",
        "Error: test.yaml:10:14: a label cannot hold control characters",
    ] {
        assert!(messages.contains(expected), "{expected}\n{messages}");
    }
}

#[test]
fn the_disk_must_be_told_and_be_there() {
    assert!(judge("  device: {}\n").contains("test.yaml:2:11: the disk has neither a `path` nor a `label`"));
    assert!(judge("  add_partitions: []\n").contains("missing key `device`"));
    let messages = judge("  device: {path: /dev/none}\n");
    assert_eq!(messages, "Error: test.yaml:2:11: there is no block device /dev/none\n");
    // udev is waited for.
    let machine = Machine::new("-- /run/udev/control\n");
    machine.host.live_here();
    let messages = machine.apply("layout: {device: {label: COS_STATE}}").messages();
    assert!(messages.contains("no file system and no partition has the label \"COS_STATE\""), "{messages}");
    assert_eq!(machine.host.take_pauses().len(), 200);
}

#[test]
fn a_script_says_which_disk_it_is() {
    let step = |script: &str| format!("layout: {{device: {{path: 'script://{script}'}}}}");
    let machine = Machine::new("");
    machine.host.live_here();
    machine.host.answer("find-disk --first", 0, "/dev/none\n");
    machine.host.answer("find-nothing", 0, "\n");
    machine.host.answer("find-failing", 3, "/dev/none\n");
    let ends = [
        ("find-disk --first", "there is no block device /dev/none"),
        ("find-nothing", "`find-nothing` has printed no device"),
        ("find-failing", "`find-failing` ended with status 3"),
        ("", "`script://` names no command"),
    ];
    for (script, end) in ends {
        let messages = machine.apply(&step(script)).messages();
        assert!(messages.trim_end().ends_with(end), "{script}: {messages}");
    }
    let plan = machine.plan(&step("find-disk --first"));
    assert!(plan.messages().contains("which disk it is, only a run can tell"), "{}", plan.messages());
    assert!(plan.commands.is_empty());
}

#[test]
fn partitions_of_a_mapped_device_are_mapped_too() {
    let machine = Machine::new("-- /dev/mapper/mpatha -> ../dm-0\n-- /usr/sbin/mkfs.ext4 0755\n");
    machine.host.live_here();
    let disk = FakeDisk::new(512, 64 << 20);
    machine.host.block_device("/dev/dm-0", &disk);
    disk.map("mpatha", "mpath-1");
    let partition = FakeDisk::new(512, 16 << 20);
    partition.map("mpatha-part1", "part1-mpath-1");
    machine.host.block_device("/dev/dm-1", &partition);
    machine.host.kernel_file("/sys/class/block/dm-1/slaves/dm-0", "");
    let step = "layout: {device: {path: /dev/mapper/mpatha, init_disk: true, wipe: true}, add_partitions: [{pLabel: a, fsLabel: A, size: 16}]}";
    let outcome = machine.apply(step);
    assert_eq!(outcome.messages(), "");
    assert_eq!(outcome.commands, ["mkfs.ext4 -q -F -L A /dev/dm-1"]);
    partition.resize(1 << 20);
    let outcome = machine.apply(step);
    assert_eq!(outcome.commands[0], "kpartx -u -s /dev/dm-0");
    assert!(disk.take_partition_calls().is_empty());
}

#[test]
fn what_cannot_be_read_is_left_to_a_run_by_a_plan() {
    let machine = Machine::new("");
    machine.host.live_here();
    machine.host.kernel_file("/sys/class/block/vda/size", "131072\n");
    let plan = machine.plan("layout: {device: {path: /dev/vda}}");
    assert!(
        plan.messages().contains("what is on the disk, only a run can tell: /dev/vda: "),
        "{}",
        plan.messages()
    );
    assert!(machine.apply("layout: {device: {path: /dev/vda}}").messages().starts_with("Error: "));
}

#[test]
fn a_tree_that_is_no_running_machine_has_no_disks() {
    let outcome = Machine::new("").apply("layout: {device: {path: /dev/vda}}");
    assert!(
        outcome
            .messages()
            .contains("Warning: test.yaml:1:18: left out: disks are those of a running machine")
    );
    assert!(outcome.effects.is_empty());
}
