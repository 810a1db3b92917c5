//! What the boot loader calls a system.

use anyhow::Result;
use cosette_plugins::System;
use cosette_plugins::env_file::EnvFile;

/// The longest title, in bytes: it stands in the first sector of the environment block, also if all of it is escaped.
const LONGEST: usize = 100;

/// What an os-release(5) says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branding {
    /// The title of the menu entries: `GRUB_ENTRY_NAME`, else the name of the system.
    pub title: String,
    /// The name of its directory on the EFI system partition: its `ID`.
    pub vendor: String,
}

impl Branding {
    /// Looks into the tree of a system; nothing if that does not say what it is.
    pub fn read(tree: &System, otherwise: Option<&str>) -> Result<Option<Self>> {
        for path in ["/etc/os-release", "/usr/lib/os-release"] {
            if let Some(os_release) = tree.read(path)? {
                return Ok(Some(Self::of(&os_release, otherwise)));
            }
        }
        Ok(None)
    }

    /// Reads an os-release. `otherwise` is the title of one without a `GRUB_ENTRY_NAME`.
    pub fn of(os_release: &[u8], otherwise: Option<&str>) -> Self {
        let (variables, _) = EnvFile::parse(os_release);
        let get = |name: &str| {
            let text = String::from_utf8_lossy(variables.get(name)?).trim().replace(char::is_control, "");
            (!text.is_empty()).then_some(text)
        };
        let title = get("GRUB_ENTRY_NAME").or_else(|| otherwise.map(str::to_owned)).or_else(|| get("NAME"));
        let mut title = title.unwrap_or_else(|| "cosette".to_owned());
        title.truncate(title.floor_char_boundary(LONGEST));
        let is_id =
            |id: &String| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let not_taken = |id: &String| !id.eq_ignore_ascii_case("boot") && !id.ends_with('.') && id.len() < 64;
        let vendor = get("ID").filter(is_id).filter(not_taken).unwrap_or_else(|| "cosette".to_owned());
        Self { title, vendor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_says_its_name_and_the_configuration_where_it_does_not() {
        let of = |text: &str, otherwise| {
            let Branding { title, vendor } = Branding::of(text.as_bytes(), otherwise);
            (title, vendor)
        };
        let pair = |title: &str, vendor: &str| (title.to_owned(), vendor.to_owned());
        let text = "NAME=\"Debian GNU/Linux\"\nID=debian\nGRUB_ENTRY_NAME=\"Fleet OS\"\n";
        assert_eq!(of(text, Some("other")), pair("Fleet OS", "debian"));
        assert_eq!(of("NAME='A B'\nID=../x\n", Some("other")), pair("other", "cosette"));
        assert_eq!(of("NAME='A B'\nID=BOOT\n", None), pair("A B", "cosette"));
        assert_eq!(of("", None), pair("cosette", "cosette"));
        assert_eq!(of("NAME='a\u{1b}[31m\tb'", None).0, "a[31mb");
        assert_eq!(of(&format!("NAME={}", "ä".repeat(150)), None).0.len(), 100);
    }
}
