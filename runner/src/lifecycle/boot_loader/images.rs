//! The images of GRUB: made of its modules by grub-mkimage(1), or signed ones, as distributions have them for Secure Boot.
//! They come from the tree of the image that is installed, or else from this machine.

use super::bios::BiosImages;
use super::esp::EspFile;
use anyhow::{Context as _, Result, bail};
use cosette_plugins::System;
use cosette_plugins::program::must_succeed;
use cosette_plugins::system::{Command, NoProgram};
use std::path::Path;
use std::time::Duration;

/// Where the menu is, on the EFI system partition.
const DIRECTORY: &str = "/grub";

/// The menu.
const MENU: &str = include_str!("../../../../units/grub/grub.cfg");

/// So long grub-mkimage may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the menu needs, on all platforms.
const MODULES: &[&str] = &[
    "boot",
    "cat",
    "configfile",
    "echo",
    "ext2",
    "fat",
    "gzio",
    "halt",
    "help",
    "linux",
    "loadenv",
    "loopback",
    "ls",
    "lzopio",
    "minicmd",
    "normal",
    "part_gpt",
    "part_msdos",
    "reboot",
    "regexp",
    "search",
    "search_fs_file",
    "search_fs_uuid",
    "search_label",
    "sleep",
    "squash4",
    "test",
    "true",
    "xzio",
];

/// What it can use, where GRUB has it.
const OPTIONAL: &[&str] = &["erofs", "xfs", "btrfs"];

const OF_BIOS: &[&str] = &["biosdisk", "serial", "terminal"];
const OF_EFI: &[&str] = &["all_video", "chain", "efifwsetup"];

/// A firmware that starts GRUB from an EFI system partition: what GRUB calls the platform, and how files are named.
struct EfiPlatform {
    format: &'static str,
    removable: &'static str,
    suffix: &'static str,
}

const EFI_PLATFORMS: [EfiPlatform; 4] = [
    EfiPlatform { format: "x86_64-efi", removable: "BOOTX64.EFI", suffix: "x64" },
    EfiPlatform { format: "arm64-efi", removable: "BOOTAA64.EFI", suffix: "aa64" },
    EfiPlatform { format: "riscv64-efi", removable: "BOOTRISCV64.EFI", suffix: "riscv64" },
    EfiPlatform { format: "i386-efi", removable: "BOOTIA32.EFI", suffix: "ia32" },
];

/// Where distributions have the modules of GRUB.
const MODULE_DIRECTORIES: [&str; 4] =
    ["/usr/lib/grub", "/usr/lib/grub2", "/usr/share/grub2", "/usr/share/grub"];

/// What the program is called.
const PROGRAMS: [&str; 2] = ["grub-mkimage", "grub2-mkimage"];

/// Where signed images are, by the suffix of their platform: the one that firmware starts, GRUB, and the one that asks for
/// keys.
const SHIMS: [&str; 4] = [
    "/usr/lib/shim/shim{}.efi.signed.latest",
    "/usr/lib/shim/shim{}.efi.signed",
    "/usr/share/efi/x86_64/shim.efi",
    "/boot/efi/EFI/*/shim{}.efi",
];
const SIGNED_GRUBS: [&str; 4] = [
    "/usr/lib/grub/x86_64-efi-signed/grub{}.efi.signed",
    "/usr/lib/grub/arm64-efi-signed/grub{}.efi.signed",
    "/usr/share/grub2/x86_64-efi/grub.efi",
    "/boot/efi/EFI/*/grub{}.efi",
];
const KEY_MANAGERS: [&str; 3] =
    ["/usr/lib/shim/mm{}.efi.signed", "/usr/share/efi/x86_64/MokManager.efi", "/boot/efi/EFI/*/mm{}.efi"];

/// What is put on a disk.
#[derive(Debug)]
pub struct Images {
    /// For a BIOS, if there is GRUB for one.
    pub bios: Option<BiosImages>,
    /// The files of the EFI system partition, of which the menu is also that of a BIOS.
    pub esp: Vec<EspFile>,
    /// What firmware is told to start, by its path on that partition; nothing if there is no GRUB for EFI.
    pub loader: Option<String>,
}

impl Images {
    /// Makes them for a disk whose EFI system partition has this number. `vendor` is the name of its directory for this
    /// system. `tree` is the system that is installed, if it is a tree, and `machine` the one that runs.
    pub fn make(tree: Option<&System>, machine: &System, esp: u32, vendor: &str) -> Result<Self> {
        let places: Vec<&System> = tree.into_iter().chain([machine]).collect();
        Self::make_of(&Maker { places, machine, secure_boot: secure_boot(machine)? }, esp, vendor)
    }

    /// The same with GRUB of these places only.
    pub(super) fn make_of(maker: &Maker<'_>, esp: u32, vendor: &str) -> Result<Self> {
        let bios = maker.bios(esp)?;
        let mut files = vec![file(format!("{DIRECTORY}/grub.cfg"), MENU)];
        let mut loader = None;
        for platform in &EFI_PLATFORMS {
            let Some((mut of_platform, starts)) = maker.efi(platform, vendor)? else { continue };
            files.append(&mut of_platform);
            loader.get_or_insert(starts);
        }
        if bios.is_none() && loader.is_none() {
            bail!(
                "there is no GRUB, neither in the image nor here: install its modules (grub-pc-bin, \
                 grub-efi-amd64-bin) and grub-mkimage (grub-common) into the image"
            );
        }
        Ok(Self { bios, esp: files, loader })
    }
}

fn file(path: impl AsRef<str>, content: impl Into<Vec<u8>>) -> EspFile {
    EspFile { path: path.as_ref().trim_start_matches('/').to_owned(), content: content.into() }
}

/// Makes images.
pub(super) struct Maker<'a> {
    /// Where GRUB is looked for, in this order.
    pub(super) places: Vec<&'a System>,
    /// Where its programs run.
    pub(super) machine: &'a System,
    /// Whether the firmware starts only what is signed.
    pub(super) secure_boot: bool,
}

/// The modules of a platform.
struct Modules<'a> {
    place: &'a System,
    directory: String,
}

impl Maker<'_> {
    fn modules(&self, format: &str) -> Result<Option<Modules<'_>>> {
        for place in &self.places {
            for directory in MODULE_DIRECTORIES {
                let directory = format!("{directory}/{format}");
                if place.exists(format!("{directory}/normal.mod"))? {
                    return Ok(Some(Modules { place, directory }));
                }
            }
        }
        Ok(None)
    }

    fn bios(&self, esp: u32) -> Result<Option<BiosImages>> {
        const FORMAT: &str = "i386-pc";
        let Some(modules) = self.modules(FORMAT)? else { return Ok(None) };
        let boot = format!("{}/boot.img", modules.directory);
        let boot = modules.place.read(&boot)?.with_context(|| format!("GRUB for a BIOS has no {boot}"))?;
        // The partition is on the disk that the BIOS has started.
        let prefix = format!("(,gpt{esp}){DIRECTORY}");
        let core = self.image(&modules, FORMAT, &prefix, OF_BIOS)?;
        Ok(Some(BiosImages { boot, core }))
    }

    /// The files for a platform of EFI, and which of them firmware starts.
    fn efi(&self, platform: &EfiPlatform, vendor: &str) -> Result<Option<(Vec<EspFile>, String)>> {
        let directories = ["EFI/BOOT".to_owned(), format!("EFI/{vendor}")];
        let mut files = Vec::new();
        let modules = self.modules(platform.format)?;
        let signed = self.signed(platform)?;
        if self.secure_boot && signed.as_ref().is_none_or(|signed| !opens_images(&signed.grub)) {
            bail!(
                "this machine starts only what is signed (Secure Boot), and there is no signed GRUB of version 2.12 or \
                 later, with a shim: older ones cannot open images of systems"
            );
        }
        if let Some(signed) = signed.filter(|signed| opens_images(&signed.grub)) {
            let starts = format!("{}/shim{}.efi", directories[1], platform.suffix);
            for directory in &directories {
                let shim = match &**directory {
                    "EFI/BOOT" => platform.removable.to_owned(),
                    _ => format!("shim{}.efi", platform.suffix),
                };
                files.push(file(format!("{directory}/{shim}"), &*signed.shim));
                files.push(file(format!("{directory}/{}", signed.grub_name), &*signed.grub));
                if let Some(manager) = &signed.key_manager {
                    files.push(file(format!("{directory}/{}", signed.key_manager_name), &**manager));
                }
            }
            // Where a signed GRUB looks for its menu cannot be changed.
            let menu = format!("set prefix=($root){DIRECTORY}\nconfigfile $prefix/grub.cfg\n");
            files.extend(prefixes(&signed.grub).map(|prefix| file(format!("{prefix}/grub.cfg"), &*menu)));
            return Ok(Some((files, starts)));
        }
        let Some(modules) = modules else { return Ok(None) };
        let grub = self.image(&modules, platform.format, DIRECTORY, OF_EFI)?;
        let starts = format!("{}/grub{}.efi", directories[1], platform.suffix);
        files.push(file(format!("EFI/BOOT/{}", platform.removable), &*grub));
        files.push(file(&starts, grub));
        Ok(Some((files, starts)))
    }

    /// Has grub-mkimage make an image. The program of this machine is taken first, as the tree may be of another
    /// processor.
    fn image(&self, modules: &Modules<'_>, format: &str, prefix: &str, also: &[&str]) -> Result<Vec<u8>> {
        let of_machine = modules.place.root().join(modules.directory.trim_start_matches('/'));
        let of_machine = of_machine.to_string_lossy();
        let mut missing = None;
        let mut ways = vec![(self.machine, &*of_machine)];
        if !std::ptr::eq(modules.place, self.machine) {
            ways.push((modules.place, &*modules.directory));
        }
        for (sys, directory) in ways {
            for program in PROGRAMS {
                match make_image(sys, program, modules, directory, format, prefix, also) {
                    Err(error) if error.is::<NoProgram>() => missing = Some(error),
                    result => return result.with_context(|| format!("GRUB for {format} cannot be made")),
                }
            }
        }
        let error = missing.context("no way to make it")?;
        Err(error).context("grub-mkimage is missing: install grub-common (or grub2-common)")
    }

    fn signed(&self, platform: &EfiPlatform) -> Result<Option<Signed>> {
        for place in &self.places {
            let find = |patterns: &[&str]| -> Result<Option<(String, Vec<u8>)>> {
                for pattern in patterns {
                    let of_other = pattern.contains("x86_64") && platform.suffix != "x64"
                        || pattern.contains("arm64") && platform.suffix != "aa64";
                    if of_other {
                        continue;
                    }
                    if let Some(found) = first(place, &pattern.replace("{}", platform.suffix))? {
                        return Ok(Some(found));
                    }
                }
                Ok(None)
            };
            let (Some((_, shim)), Some((_, grub))) = (find(&SHIMS)?, find(&SIGNED_GRUBS)?) else { continue };
            let manager = find(&KEY_MANAGERS)?;
            let named = |name: &str| holds_utf16(&shim, name);
            // Each shim knows the names of what it starts.
            let of_suse =
                named("\\grub.efi") || named("grub.efi") && !named(&format!("grub{}.efi", platform.suffix));
            let (grub_name, key_manager_name) = match of_suse {
                true => ("grub.efi".to_owned(), "MokManager.efi".to_owned()),
                false => (format!("grub{}.efi", platform.suffix), format!("mm{}.efi", platform.suffix)),
            };
            let key_manager = manager.map(|(_, content)| content);
            return Ok(Some(Signed { shim, grub, key_manager, grub_name, key_manager_name }));
        }
        Ok(None)
    }
}

/// Images that are signed.
struct Signed {
    shim: Vec<u8>,
    grub: Vec<u8>,
    key_manager: Option<Vec<u8>>,
    grub_name: String,
    key_manager_name: String,
}

/// The first file of a pattern, in which one part of the path may be `*`.
fn first(place: &System, pattern: &str) -> Result<Option<(String, Vec<u8>)>> {
    let candidates = match pattern.split_once("/*/") {
        None => vec![pattern.to_owned()],
        Some((above, below)) => {
            let names = place.read_dir(above)?.unwrap_or_default();
            names.iter().map(|name| format!("{above}/{}/{below}", name.to_string_lossy())).collect()
        }
    };
    for path in candidates {
        if let Some(content) = place.read(&path)? {
            return Ok(Some((path, content)));
        }
    }
    Ok(None)
}

fn holds_utf16(content: &[u8], text: &str) -> bool {
    let text: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    content.windows(text.len()).any(|part| part == text)
}

/// Whether a signed GRUB opens an image of a system without reading all of it into memory first, to measure it for a TPM,
/// at which it fails with large ones and those with holes. That is since version 2.12, which its SBAT section tells (`grub,5,Free Software Foundation,grub,2.12,…`).
fn opens_images(grub: &[u8]) -> bool {
    const SIGN: &[u8] = b"\ngrub,";
    let Some(at) = grub.windows(SIGN.len()).position(|part| part == SIGN) else { return false };
    let line: Vec<_> = grub[at + 1..].iter().take(200).take_while(|byte| **byte != b'\n').copied().collect();
    let line = String::from_utf8_lossy(&line);
    let mut numbers =
        line.split(',').nth(4).unwrap_or_default().split(['.', '~', '-']).map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= (2, 12))
}

/// Whether the firmware of this machine starts only what is signed.
fn secure_boot(machine: &System) -> Result<bool> {
    const VARIABLE: &str = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    // Four bytes of attributes are before the value.
    let value = machine.host().kernel_file(Path::new(VARIABLE))?;
    Ok(value.is_some_and(|value| value.get(4) == Some(&1)))
}

/// The directories in which a GRUB looks for its menu: it was made with them, as `/EFI/debian`.
fn prefixes(grub: &[u8]) -> impl Iterator<Item = &str> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let mut found: Vec<&str> = Vec::new();
    let begins = |at: &usize| grub.get(*at..at + 5).is_some_and(|part| part.eq_ignore_ascii_case(b"/efi/"));
    let is_source = |path: &str| path.ends_with(".c") || path.ends_with(".h");
    for at in (0..grub.len()).filter(begins) {
        let name = &grub[at + 5..];
        let length = name.iter().take(40).take_while(|byte| is_name(byte)).count();
        if length > 0
            && name.get(length) == Some(&0)
            && let Ok(path) = std::str::from_utf8(&grub[at + 1..at + 5 + length])
            && !is_source(path)
            && !found.contains(&path)
        {
            found.push(path);
        }
    }
    found.into_iter()
}

fn make_image(
    sys: &System,
    program: &str,
    modules: &Modules<'_>,
    directory: &str,
    format: &str,
    prefix: &str,
    also: &[&str],
) -> Result<Vec<u8>> {
    // Where nothing stays, and where everybody can write.
    let mut random = [0; 8];
    sys.host().random(&mut random);
    let to = format!("/tmp/.cosette-grub-{:016x}", u64::from_le_bytes(random));
    let mut words = vec!["-O", format, "-d", directory, "-p", prefix, "-o", &to];
    words.extend(MODULES);
    words.extend(also);
    for name in OPTIONAL {
        if modules.place.exists(format!("{}/{name}.mod", modules.directory))? {
            words.push(name);
        }
    }
    let label = format!("{program} -O {format}");
    let command = words.iter().fold(Command::new(&label, program), |command, word| command.argument(*word));
    let made = must_succeed(sys, &label, command.at_most(PATIENCE));
    let image = sys.read(&to);
    sys.remove(&to)?;
    made?;
    image?.with_context(|| format!("`{label}` has made nothing"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cosette_plugins::system::Mode;
    use cosette_plugins::testing::Machine;

    #[test]
    fn a_signed_image_tells_its_menu_and_whether_it_is_fit() {
        let found: Vec<_> =
            prefixes(b"../disk/efi/efidisk.c\0x/EFI/debian\0y/EFI/debian\0/EFI/no end/efi/BOOT\0/EFI/")
                .collect();
        assert_eq!(found, ["EFI/debian", "efi/BOOT"]);
        for (line, fit) in [
            ("grub,5,Free Software Foundation,grub,2.12,https://x", true),
            ("grub,4,Free Software Foundation,grub,2.14~rc1,https://x", true),
            ("grub,5,Free Software Foundation,grub,2.06,https://x", false),
            ("grub,5", false),
        ] {
            let image = format!("PE\0sbat,1,SBAT Version\n{line}\ngrub.debian,1\n");
            assert_eq!(opens_images(image.as_bytes()), fit, "{line}");
        }
    }

    #[test]
    fn signed_images_are_named_as_they_call_each_other_if_they_are_fit() {
        let machine = Machine::new(
            "-- /usr/lib/shim/shimx64.efi.signed\nshim\n-- /usr/lib/shim/mmx64.efi.signed\nmm\n",
        );
        let sys = machine.system(Mode::Apply);
        let grub = |version: &str| format!("PE /EFI/debian\0\ngrub,5,FSF,grub,{version},https://x\n");
        let path = "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed";
        sys.write(cosette_plugins::system::File::new(path, grub("2.12"))).unwrap();
        let images = Images::make(None, &sys, 2, "fleet").unwrap();
        let paths: Vec<_> = images.esp.iter().map(|file| &*file.path).collect();
        assert_eq!(
            paths,
            [
                "grub/grub.cfg",
                "EFI/BOOT/BOOTX64.EFI",
                "EFI/BOOT/grubx64.efi",
                "EFI/BOOT/mmx64.efi",
                "EFI/fleet/shimx64.efi",
                "EFI/fleet/grubx64.efi",
                "EFI/fleet/mmx64.efi",
                "EFI/debian/grub.cfg",
            ]
        );
        assert_eq!(images.loader.as_deref(), Some("EFI/fleet/shimx64.efi"));
        // One that is too old is passed over, and under Secure Boot refused.
        sys.write(cosette_plugins::system::File::new(path, grub("2.06"))).unwrap();
        assert!(
            Images::make(None, &sys, 2, "fleet").unwrap_err().to_string().starts_with("there is no GRUB")
        );
        let variable = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
        machine.host.kernel_file(variable, "\u{6}\0\0\0\u{1}");
        assert!(Images::make(None, &sys, 2, "fleet").unwrap_err().to_string().contains("Secure Boot"));
    }

    #[test]
    fn images_come_from_the_tree_and_what_is_missing_is_said_with_what_brings_it() {
        let machine = Machine::new("-- /image/etc/os-release\n");
        let sys = machine.system(Mode::Apply);
        let tree = sys.reroot("/image".as_ref()).unwrap();
        let error = Images::make(Some(&tree), &sys, 2, "x").unwrap_err().to_string();
        assert!(error.starts_with("there is no GRUB, neither in the image nor here: install"), "{error}");
        let machine = Machine::new(
            "-- /image/usr/lib/grub/x86_64-efi/normal.mod\n-- /image/usr/lib/grub/x86_64-efi/erofs.mod\n",
        );
        let sys = machine.system(Mode::Apply);
        let tree = sys.reroot("/image".as_ref()).unwrap();
        machine.host.answer("grub-mkimage", 1, "no space\n");
        let error = format!("{:#}", Images::make(Some(&tree), &sys, 2, "x").unwrap_err());
        assert!(
            error.starts_with(
                "GRUB for x86_64-efi cannot be made: `grub-mkimage -O x86_64-efi` ended with status 1"
            ),
            "{error}"
        );
        let command = &machine.host.take_commands()[0];
        assert!(
            command.contains("/image/usr/lib/grub/x86_64-efi -p /grub")
                && command.ends_with("efifwsetup erofs"),
            "{command}"
        );
    }
}
