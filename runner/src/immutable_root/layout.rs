//! The layout: what is laid over the root file system, as the variables of `/run/cos/cos-layout.env` say it.

use crate::boot::{OverlayBase, Parameters, Volume, mount_point};
use cosette_plugins::env_file::EnvFile;
use cosette_schema::{Diagnostic, Findings, Origin};

/// The files of the variables. Of those that are in both, the later counts.
pub const FILES: [&str; 2] = ["/run/cos/cos-layout.env", "/run/elemental/mount-layout.env"];

/// What can be written to when the layout does not say.
const RW_PATHS: &str = "/etc /root /home /opt /srv /usr/local /var";

/// Where persistent state is kept when the layout does not say.
const PERSISTENT_TARGET: &str = "/usr/local/.state";

/// What is laid over the root file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// File systems and where they are mounted, each place once.
    pub volumes: Vec<Volume>,
    /// Where changes go that do not outlive a boot; nothing: nothing is laid over the root at all.
    pub overlay: Option<OverlayBase>,
    /// Directories whose changes do not outlive a boot.
    pub rw_paths: Vec<String>,
    /// Directories whose changes are kept.
    pub persistent: Vec<String>,
    /// The directory in which they are kept.
    pub target: String,
    /// Whether they are kept as whole directories, not as what differs from the image.
    pub bind: bool,
    /// Whether the root file system is to be writable itself.
    pub debug_rw: bool,
}

impl Layout {
    /// Reads the contents of the files, as far as they exist, over what the kernel command line says.
    pub fn read(files: &[(&str, Vec<u8>)], parameters: &Parameters) -> (Self, Vec<Diagnostic>) {
        let mut findings = Vec::new();
        let mut parsed = Vec::new();
        for (path, content) in files {
            let mut found = Findings::new(Origin::new(*path));
            let (file, unclosed) = EnvFile::parse(content);
            if let Some(line) = unclosed {
                found.error(None, format!("line {line}: a quote is never closed; the line is left out"));
            }
            parsed.push((file, found));
        }
        let mut reader = Reader { files: parsed };
        let layout = reader.layout(parameters);
        for (_, found) in reader.files {
            findings.extend(found.into_vec());
        }
        (layout, findings)
    }
}

struct Reader {
    files: Vec<(EnvFile, Findings)>,
}

impl Reader {
    fn layout(&mut self, parameters: &Parameters) -> Layout {
        let mut volumes: Vec<Volume> = Vec::new();
        for volume in self.list("VOLUMES", "", Volume::parse) {
            if volumes.iter().any(|other| other.point == volume.point) {
                self.refuse("VOLUMES", &volume.device.to_string(), &format!("{} is taken", volume.point));
            } else {
                volumes.push(volume);
            }
        }
        // As always with these variables, anything but `true` is no.
        if self.get("MERGE").is_none_or(|merge| merge == "true") {
            for volume in &parameters.mounts {
                if volumes.iter().all(|other| other.point != volume.point) {
                    volumes.push(volume.clone());
                }
            }
        }
        let default = || Some(parameters.overlay.clone().unwrap_or_default());
        let overlay = match self.get("OVERLAY").as_deref().map(str::trim) {
            None => default(),
            Some("") => None,
            Some(text) => match OverlayBase::parse(text) {
                Ok(base) => Some(base),
                Err(why) => {
                    self.refuse("OVERLAY", text, &why);
                    default()
                }
            },
        };
        let target = match self.get("PERSISTENT_STATE_TARGET").as_deref().map(str::trim) {
            None | Some("") => PERSISTENT_TARGET.to_owned(),
            Some(text) => mount_point(text).unwrap_or_else(|why| {
                self.refuse("PERSISTENT_STATE_TARGET", text, &why);
                PERSISTENT_TARGET.to_owned()
            }),
        };
        Layout {
            volumes,
            overlay,
            rw_paths: self.list("RW_PATHS", RW_PATHS, mount_point),
            persistent: self.list("PERSISTENT_STATE_PATHS", "", mount_point),
            target,
            bind: self.get("PERSISTENT_STATE_BIND").is_some_and(|bind| bind == "true"),
            debug_rw: parameters.debug_rw || self.get("DEBUG_RW").is_some_and(|debug| debug == "true"),
        }
    }

    /// The value of a variable. What is no text cannot be a path that people mean.
    fn get(&mut self, name: &str) -> Option<String> {
        let value = self.files.iter().rev().find_map(|(file, _)| file.get(name))?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// The items of a list, as far as they can be understood, each once. A list that is empty is one, too.
    fn list<T: PartialEq>(
        &mut self,
        name: &str,
        default: &str,
        understand: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let text = self.get(name).unwrap_or_else(|| default.to_owned());
        let mut items = Vec::new();
        for item in text.split_whitespace() {
            match understand(item) {
                Ok(item) if items.contains(&item) => {}
                Ok(item) => items.push(item),
                Err(why) => self.refuse(name, item, &why),
            }
        }
        items
    }

    /// Records that a part of a variable is left out.
    fn refuse(&mut self, name: &str, item: &str, why: &str) {
        let of_file = self.files.iter_mut().rev().find(|(file, _)| file.get(name).is_some());
        let shown: String = item.chars().take(100).collect();
        if let Some((_, findings)) = of_file {
            findings.error(None, format!("{name}: {shown:?} is left out: {why}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, cmdline: &str) -> (Layout, Vec<String>) {
        let (parameters, _) = Parameters::parse(cmdline);
        let (layout, findings) = Layout::read(&[(FILES[0], text.into())], &parameters);
        (layout, findings.iter().map(|finding| finding.message.clone()).collect())
    }

    fn quiet(text: &str) -> Layout {
        let (layout, findings) = read(text, "");
        assert_eq!(findings, Vec::<String>::new());
        layout
    }

    fn points(layout: &Layout) -> Vec<&str> {
        layout.volumes.iter().map(|volume| &*volume.point).collect()
    }

    #[test]
    fn without_variables_the_usual_directories_can_be_written_to() {
        let layout = quiet("");
        assert_eq!(layout.rw_paths.join(" "), RW_PATHS);
        assert_eq!(
            (layout.overlay, layout.target.as_str()),
            (Some(OverlayBase::default()), "/usr/local/.state")
        );
        assert!(
            layout.volumes.is_empty() && layout.persistent.is_empty() && !layout.bind && !layout.debug_rw
        );
    }

    #[test]
    fn the_layout_of_cos_is_understood_in_whatever_white_space() {
        let layout = quiet(
            "VOLUMES=\"LABEL=COS_OEM:/oem LABEL=COS_PERSISTENT:/usr/local\"\nOVERLAY=\"tmpfs:25%\"\nRW_PATHS='/etc\n\t/var'\n\
             PERSISTENT_STATE_PATHS=\"/etc/ssh  /home/ /etc/ssh\"\nPERSISTENT_STATE_TARGET=/usr/local/x\nDEBUG_RW=true\n",
        );
        assert_eq!(points(&layout), ["/oem", "/usr/local"]);
        assert_eq!(layout.overlay, Some(OverlayBase::Tmpfs("25%".to_owned())));
        assert_eq!(
            (layout.rw_paths, layout.persistent),
            (vec!["/etc".into(), "/var".into()], vec!["/etc/ssh".into(), "/home".into()])
        );
        assert_eq!((layout.target.as_str(), layout.debug_rw), ("/usr/local/x", true));
    }

    #[test]
    fn a_list_that_is_empty_and_an_overlay_that_is_empty_mean_it() {
        assert!(quiet("RW_PATHS=\"\"").rw_paths.is_empty());
        assert_eq!(quiet("OVERLAY=").overlay, None);
        assert_eq!(quiet("PERSISTENT_STATE_TARGET=").target, PERSISTENT_TARGET);
    }

    #[test]
    fn only_true_means_bind_and_only_true_merges() {
        for (text, bind) in [("true", true), ("false", false), ("", false), ("yes", false), ("TRUE", false)] {
            assert_eq!(quiet(&format!("PERSISTENT_STATE_BIND={text}")).bind, bind, "{text}");
        }
        let cmdline = "rd.cos.mount=LABEL=A:/a rd.cos.mount=LABEL=B:/oem";
        for (merge, expected) in [
            ("", &["/oem", "/a"][..]),
            ("MERGE=true", &["/oem", "/a"]),
            ("MERGE=false", &["/oem"]),
            ("MERGE=1", &["/oem"]),
        ] {
            let (layout, _) = read(&format!("VOLUMES=LABEL=COS_OEM:/oem\n{merge}\n"), cmdline);
            assert_eq!(points(&layout), expected, "{merge}");
            assert_eq!(layout.volumes[0].device.label().as_deref(), Some("COS_OEM"));
        }
    }

    #[test]
    fn the_file_counts_more_than_the_command_line_and_the_later_file_more_than_the_other() {
        let cmdline = "rd.cos.overlay=tmpfs:5% rd.cos.debugrw";
        assert_eq!(read("", cmdline).0.overlay, Some(OverlayBase::Tmpfs("5%".to_owned())));
        assert_eq!(read("OVERLAY=tmpfs:6%", cmdline).0.overlay, Some(OverlayBase::Tmpfs("6%".to_owned())));
        assert!(read("DEBUG_RW=false", cmdline).0.debug_rw);
        let files =
            [(FILES[0], b"OVERLAY=tmpfs:1%\nRW_PATHS=/a".to_vec()), (FILES[1], b"OVERLAY=tmpfs:2%".to_vec())];
        let (layout, _) = Layout::read(&files, &Parameters::parse("").0);
        assert_eq!(
            (layout.overlay, &*layout.rw_paths),
            (Some(OverlayBase::Tmpfs("2%".to_owned())), &["/a".to_owned()][..])
        );
    }

    #[test]
    fn what_cannot_be_meant_is_left_out_one_by_one() {
        let (layout, findings) = read(
            "RW_PATHS='/etc .. /../x / var /a/../b'\nVOLUMES='LABEL=x /oem LABEL=y:/y LABEL=z:/y'\nOVERLAY=tmpfs:lots\n\
             PERSISTENT_STATE_TARGET=state\nPERSISTENT_STATE_PATHS=/home\nX='",
            "",
        );
        assert_eq!((layout.rw_paths, layout.persistent), (vec!["/etc".to_owned()], vec!["/home".to_owned()]));
        assert_eq!(
            (layout.overlay, layout.target.as_str()),
            (Some(OverlayBase::default()), PERSISTENT_TARGET)
        );
        assert_eq!(layout.volumes.len(), 1);
        assert_eq!(findings.len(), 11, "{findings:#?}");
        assert!(
            findings[0].contains("line 6") && findings.iter().any(|text| text.contains("\"/\" is left out"))
        );
    }

    #[test]
    fn hostile_files_are_read_in_no_time() {
        let (layout, findings) = read(&format!("RW_PATHS='{}'", "/x ".repeat(200_000)), "");
        assert_eq!((layout.rw_paths, findings.len()), (vec!["/x".to_owned()], 0));
        let (_, findings) = read(&format!("VOLUMES='{}'", "../x ".repeat(20_000)), "");
        assert!(findings.len() <= 1001);
        assert!(Layout::read(&[(FILES[0], vec![0xff; 1000])], &Parameters::parse("").0).1.is_empty());
    }
}
