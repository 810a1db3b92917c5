//! The mounts as lines of fstab(5), so that systemd knows in the new root how they belong together.
//!
//! They stand in a block of their own. Lines of the image for the same places become comments, which turn into lines
//! again as soon as nothing is mounted there any more; all else stays byte for byte.

use super::plan::{Mount, What, is_in};
use std::collections::BTreeSet;

const BEGIN: &str = "# >>> cosette mount: written at each boot >>>";
const END: &str = "# <<< cosette mount <<<";
const REPLACED: &str = "# cosette mount replaces: ";

/// A mount, and where the stores of others are needed.
pub fn lines(root: Option<&str>, root_is_writable: bool, mounts: &[Mount]) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(device) = root {
        let options = if root_is_writable { "rw" } else { "ro" };
        lines.push(format!("{} / auto {options} 0 0", escaped(device)));
    }
    let mut sorted: Vec<&Mount> = mounts.iter().collect();
    sorted.sort_by(|one, other| one.point.cmp(&other.point));
    for Mount { point, what } in sorted {
        let place = escaped(point);
        let needs = |store: &str| {
            let holding = mounts.iter().map(|mount| &*mount.point).filter(|other| is_in(store, other));
            let holding = holding.max_by_key(|other| other.len()).unwrap_or(store);
            format!("x-systemd.requires-mounts-for={}", escaped(holding))
        };
        lines.push(match what {
            What::Tmpfs(size) => format!("tmpfs {place} tmpfs defaults,mode=0755,size={size} 0 0"),
            What::Device(device) => format!("{} {place} auto defaults 0 0", escaped(&device.to_string())),
            What::Overlay(store) => {
                let (layer, needs) = (escaped(store), needs(store));
                format!(
                    "overlay {place} overlay defaults,lowerdir={place},upperdir={layer}/upper,workdir={layer}/work,{needs} 0 0"
                )
            }
            What::Bind(store) => format!("{} {place} none defaults,bind,{} 0 0", escaped(store), needs(store)),
        });
    }
    lines
}

/// The content with these lines, and without others that were written here before.
pub fn edit(content: &[u8], lines: &[String]) -> Vec<u8> {
    let points: BTreeSet<&[u8]> = lines.iter().filter_map(|line| point(line.as_bytes())).collect();
    let mut kept: Vec<u8> = Vec::new();
    let mut within = false;
    // A block without an end is no block: nobody's lines are lost.
    let has_end = content.split(|byte| *byte == b'\n').any(|line| line == END.as_bytes());
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        if text == BEGIN.as_bytes() && has_end {
            within = true;
        } else if within {
            within = text != END.as_bytes();
        } else {
            let line = line.strip_prefix(REPLACED.as_bytes()).unwrap_or(line);
            if point(line).is_some_and(|point| points.contains(point)) {
                kept.extend(REPLACED.bytes());
            }
            kept.extend(line);
        }
    }
    if lines.is_empty() {
        return kept;
    }
    if !kept.is_empty() && !kept.ends_with(b"\n") {
        kept.push(b'\n');
    }
    for line in [BEGIN].into_iter().chain(lines.iter().map(String::as_str)).chain([END]) {
        kept.extend(line.bytes());
        kept.push(b'\n');
    }
    kept
}

/// The mount point of a line that has one, as it is written but for slashes at its end.
fn point(line: &[u8]) -> Option<&[u8]> {
    let line = line.trim_ascii();
    let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    if line.starts_with(b"#") {
        return None;
    }
    let point = fields.nth(1).filter(|point| point.starts_with(b"/"))?;
    let end = point.iter().rposition(|byte| *byte != b'/').map_or(1, |last| last + 1);
    Some(&point[..end])
}

/// A field, in which blanks and the like are written in octal. Within options a comma would end one, and what is a path
/// there must not hold one.
fn escaped(field: &str) -> String {
    let mut text = String::new();
    for c in field.chars() {
        match c {
            ' ' => text.push_str("\\040"),
            '\t' => text.push_str("\\011"),
            '\\' => text.push_str("\\134"),
            '#' => text.push_str("\\043"),
            ',' => text.push_str("\\054"),
            c => text.push(c),
        }
    }
    text
}

/// Whether a mount can be written as a line: overlayfs has no way to write these in its options.
pub fn can_be_written(mount: &Mount) -> bool {
    let odd = |path: &str| path.contains([',', ':', '\\']);
    match &mount.what {
        What::Overlay(store) => !odd(store) && !odd(&mount.point),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::Device;

    fn mount(point: &str, what: What) -> Mount {
        Mount { point: point.to_owned(), what }
    }

    fn cos() -> Vec<Mount> {
        vec![
            mount("/run/overlay", What::Tmpfs("25%".to_owned())),
            mount("/usr/local", What::Device(Device::parse("LABEL=COS_PERSISTENT").unwrap())),
            mount("/etc", What::Overlay("/run/overlay/etc.overlay".to_owned())),
            mount("/etc/ssh", What::Overlay("/usr/local/.state/etc-ssh.overlay".to_owned())),
            mount("/home", What::Bind("/usr/local/.state/home.bind".to_owned())),
        ]
    }

    #[test]
    fn lines_say_what_each_mount_needs_and_are_sorted() {
        assert_eq!(
            lines(Some("LABEL=COS_ACTIVE"), false, &cos()),
            [
                "LABEL=COS_ACTIVE / auto ro 0 0",
                "overlay /etc overlay defaults,lowerdir=/etc,upperdir=/run/overlay/etc.overlay/upper,\
                 workdir=/run/overlay/etc.overlay/work,x-systemd.requires-mounts-for=/run/overlay 0 0",
                "overlay /etc/ssh overlay defaults,lowerdir=/etc/ssh,upperdir=/usr/local/.state/etc-ssh.overlay/upper,\
                 workdir=/usr/local/.state/etc-ssh.overlay/work,x-systemd.requires-mounts-for=/usr/local 0 0",
                "/usr/local/.state/home.bind /home none defaults,bind,x-systemd.requires-mounts-for=/usr/local 0 0",
                "tmpfs /run/overlay tmpfs defaults,mode=0755,size=25% 0 0",
                "LABEL=COS_PERSISTENT /usr/local auto defaults 0 0",
            ]
        );
        assert_eq!(lines(Some("LABEL=a b"), true, &[]), ["LABEL=a\\040b / auto rw 0 0"]);
    }

    #[test]
    fn lines_of_the_image_stay_and_those_for_the_same_places_step_aside() {
        let image = b"# by hand\nLABEL=COS_PERSISTENT /usr/local/ ext4 defaults 0 2\n\xff odd\n/dev/sr0 /mnt auto noauto 0 0\nswap none swap x 0 0";
        let new = lines(None, false, &cos());
        let once = edit(image, &new);
        let text = String::from_utf8_lossy(&once);
        assert!(text.contains("\n# cosette mount replaces: LABEL=COS_PERSISTENT /usr/local/ ext4"), "{text}");
        assert!(
            text.contains("\n/dev/sr0 /mnt auto noauto 0 0\nswap none swap x 0 0\n# >>> cosette"),
            "{text}"
        );
        assert_eq!(edit(&once, &new), once);
        // Not a byte of the image is lost, but for the end of its last line.
        assert_eq!(edit(&once, &[]), [&image[..], b"\n"].concat());
        assert_eq!(edit(b"", &[]), b"");
    }

    #[test]
    fn a_block_that_never_ends_takes_nothing_away() {
        let broken = format!("{BEGIN}\n/dev/vda /mnt auto defaults 0 0\n");
        assert!(
            String::from_utf8(edit(broken.as_bytes(), &["a /b c d 0 0".to_owned()]))
                .unwrap()
                .contains("/dev/vda /mnt")
        );
    }

    #[test]
    fn what_overlayfs_cannot_be_told_in_a_line_is_known() {
        assert!(can_be_written(&mount("/a b", What::Overlay("/run/overlay/a b.overlay".to_owned()))));
        for odd in ["/a,b", "/a:b", "/a\\b"] {
            assert!(!can_be_written(&mount(odd, What::Overlay("/x".to_owned()))));
        }
    }
}
