//! Runs the example in the documentation of a plugin.
//!
//! The module documentation of `keys/KEY.rs` or `cloud_config/MODULE.rs` holds a block ```` ```yaml ```` with the
//! keys of a step, or with a cloud-config, before it perhaps a block ```` ```text before ```` with files that exist,
//! and after it ```` ```text after ```` with those that then differ; ```` ```text commands ```` lists the commands
//! that are run, one on a line. Hidden lines `<!-- answer: PART: OUTPUT -->` say what commands that contain PART
//! answer.
//!
//! A block ```` ```text answers ```` says what servers answer, each line an address and a text.
//!
//! A block ```` ```text kernel ```` makes it a running machine: files of its kernel, each with its content on a line.
//! Then ```` ```text modules ```` lists the modules that are loaded into it.
//!
//! A block ```` ```text disk ```` is the path of an empty disk and its size in MiB, and ```` ```text table ```` says how it is
//! partitioned afterwards.
//!
//! A block ```` ```text image ```` is a path and, below it, the content of the image that lies there as an OCI layout.

use super::{FakeDisk, Machine};
use crate::disk::gpt::{self, Found};
use crate::disk::{layout, show};
use crate::system::Disk;

/// Runs the example in the documentation of the plugin whose source this is, twice.
#[track_caller]
pub fn check_example(key: &str, source: &str) {
    let documentation = documentation(source);
    let block = |opening: &str| -> Option<String> {
        let (_, rest) = documentation.split_once(&format!("```{opening}\n"))?;
        Some(rest.split_once("```")?.0.to_owned())
    };
    let step = block("yaml").unwrap_or_else(|| panic!("keys/{key}.rs has no ```yaml block"));
    let uses_its_key = step.starts_with("#cloud-config") || step.contains(&format!("{key}:"));
    assert!(uses_its_key, "the example of keys/{key}.rs does not use its key");
    let mut machine = Machine::new(&block("text before").unwrap_or_default());
    if let Some(image) = block("text image") {
        let (path, tree) = image.split_once('\n').expect("a path and a tree");
        machine.put_image(path, tree);
    }
    if let Some(kernel) = block("text kernel") {
        machine.host.live_here();
        for (path, content) in kernel.lines().filter_map(|line| line.split_once(' ')) {
            machine.host.kernel_file(path, content);
        }
    }
    let disk = block("text disk").map(|disk| {
        let (path, size) = disk.trim_end().split_once(' ').expect("a path and a size");
        let disk = FakeDisk::new(512, size.parse::<u64>().expect("a number of MiB") << 20);
        machine.host.live_here();
        machine.host.block_device(path, &disk);
        disk
    });
    for answer in documentation.lines().filter_map(|line| line.strip_prefix("<!-- answer: ")) {
        let (part, output) = answer.trim_end_matches(" -->").split_once(": ").expect("`PART: OUTPUT`");
        machine.host.answer(part, 0, output);
    }
    let _server = block("text answers").map(|answers| machine.serve(&answers));
    let outcome = machine.check(&step, &block("text after").unwrap_or_default());
    if let Some(commands) = block("text commands") {
        assert_eq!(outcome.commands.join("\n"), commands.trim_end(), "the commands of keys/{key}.rs");
    }
    if let (Some(disk), Some(table)) = (disk, block("text table")) {
        assert_eq!(shown_table(&disk), table, "the table of keys/{key}.rs");
    }
    if let Some(modules) = block("text modules") {
        assert_eq!(
            machine.host.take_modules().join("\n"),
            modules.trim_end(),
            "the modules of keys/{key}.rs"
        );
    }
}

/// The table on a disk, as a plan shows it.
fn shown_table(disk: &FakeDisk) -> String {
    let sectors = disk.bytes() / u64::from(disk.sector_size());
    let Ok(Found::Table { table, .. }) = gpt::read(disk, disk.sector_size(), sectors) else {
        panic!("the disk has no table");
    };
    let contents = layout::contents_of(disk, &table).expect("the disk can be read");
    let [shown] = show::tables([(&table, &show::found(&contents))]);
    shown
}

/// The module documentation in a source, as Markdown.
pub fn documentation(source: &str) -> String {
    let lines = source.lines().take_while(|line| line.starts_with("//!"));
    lines
        .map(|line| line.trim_start_matches("//!").strip_prefix(' ').unwrap_or_default().to_owned() + "\n")
        .collect()
}
