//! The plan: from a layout to mounts in their order. Pure: what exists is told by whoever asks.
//!
//! A mount comes after those of the directories above it, and after the one that holds what it shows. So a persistent
//! directory below an ephemeral one, and state that is kept on a volume anywhere, are in order by themselves.

use super::layout::Layout;
use crate::boot::{Device, OverlayBase, Volume};
use std::collections::{BTreeMap, BTreeSet};

/// Where the base of the overlays is mounted; it moves into the new root together with `/run`.
pub const BASE: &str = "/run/overlay";

/// The root file system, as far as the plan depends on it.
pub struct Root<'a> {
    /// Where a path in it leads, links followed.
    pub real: &'a dyn Fn(&str) -> String,
    /// Whether it takes changes of its own already, as that of a live medium.
    pub is_overlay: bool,
    /// Places whose volume, or whose persistent state, cannot be had in this boot.
    pub lost: &'a BTreeSet<String>,
}

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where: a path in the root without links; one below `/run` is that of the machine.
    pub point: String,
    /// What.
    pub what: What,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A file system in memory of this size.
    Tmpfs(String),
    /// A file system on a device.
    Device(Device),
    /// The directory itself, of which changes go to `upper` in this directory.
    Overlay(String),
    /// This directory, which is a copy of the one that was there.
    Bind(String),
}

impl What {
    /// The directory that holds what is shown, if it is not a file system of its own.
    pub fn store(&self) -> Option<&str> {
        match self {
            Self::Overlay(store) | Self::Bind(store) => Some(store),
            Self::Tmpfs(_) | Self::Device(_) => None,
        }
    }
}

/// What is to be mounted, in this order, and what is left out and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The mounts.
    pub mounts: Vec<Mount>,
    /// What cannot be done, in sentences.
    pub refused: Vec<String>,
}

/// Whether a path lies in another one, or is it.
pub fn is_in(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Plan {
    /// Plans a layout.
    pub fn new(layout: &Layout, root: &Root) -> Self {
        let mut plan = Self::default();
        let Some(base) = &layout.overlay else { return plan };
        let mut mounts = plan.volumes(layout, root);
        if root.is_overlay {
            plan.order(mounts);
            return plan;
        }
        let target = (root.real)(&layout.target);
        let rw_paths = real_paths(&layout.rw_paths, root);
        let target_is_lost = root.lost.iter().any(|lost| is_in(&target, lost));
        // Nothing stays of what is written to a directory whose changes are lost.
        let forgets = rw_paths.iter().any(|path| is_in(&target, path))
            && !mounts.keys().any(|volume| is_in(&target, volume));
        if forgets && !target_is_lost && !layout.persistent.is_empty() {
            plan.refused.push(format!("no volume holds {target}: nothing is kept in this boot"));
        }
        let volumes: BTreeSet<String> = mounts.keys().cloned().collect();
        for path in real_paths(&layout.persistent, root) {
            let kept = !root.lost.contains(&path) && !target_is_lost && !forgets;
            if is_in(&target, &path) && !volumes.contains(&path) {
                plan.refused.push(format!("{path}: its own state cannot be kept in it, at {target}"));
            } else if is_in(&path, &target) {
                plan.refused.push(format!("{path}: it lies where state is kept, at {target}"));
            } else if kept && !volumes.contains(&path) {
                let name = dashed(&path);
                let what = match layout.bind {
                    true => What::Bind(format!("{target}/{name}.bind")),
                    false => What::Overlay(format!("{target}/{name}.overlay")),
                };
                mounts.insert(path, what);
            } else if !volumes.contains(&path) {
                // Better a directory that forgets than one that cannot be written to.
                mounts.insert(path.clone(), ephemeral(&path));
            }
        }
        for path in rw_paths {
            mounts.entry(path.clone()).or_insert_with(|| ephemeral(&path));
        }
        let what = match base {
            OverlayBase::Block(device) if !root.lost.contains(BASE) => What::Device(device.clone()),
            OverlayBase::Block(_) => What::Tmpfs(OverlayBase::SIZE.to_owned()),
            OverlayBase::Tmpfs(size) => What::Tmpfs(size.clone()),
        };
        mounts.insert(BASE.to_owned(), what);
        plan.no_store_twice(&mut mounts);
        plan.order(mounts);
        plan
    }

    fn volumes(&mut self, layout: &Layout, root: &Root) -> BTreeMap<String, What> {
        let mut mounts = BTreeMap::new();
        for Volume { device, point } in &layout.volumes {
            let point = if is_in(point, "/run") { point.clone() } else { (root.real)(point) };
            if is_in(&point, BASE) || is_in(BASE, &point) || point == "/" {
                self.refused.push(format!("{device}: it cannot be mounted at {point}"));
            } else if !root.lost.contains(&point) && mounts.contains_key(&point) {
                self.refused.push(format!("{device}: another volume is mounted at {point}"));
            } else if !root.lost.contains(&point) {
                mounts.insert(point, What::Device(device.clone()));
            }
        }
        mounts
    }

    /// Two directories never share what is kept of them: `/a-b` and `/a/b` have the same name there.
    fn no_store_twice(&mut self, mounts: &mut BTreeMap<String, What>) {
        let mut stores = BTreeMap::new();
        let mut twice = Vec::new();
        for (point, what) in &*mounts {
            let Some(store) = what.store() else { continue };
            if let Some(other) = stores.insert(store.to_owned(), point.clone()) {
                self.refused.push(format!("{point}: {other} keeps its changes in {store}, too"));
                stores.insert(store.to_owned(), other);
                twice.push(point.clone());
            }
        }
        mounts.retain(|point, _| !twice.contains(point));
    }

    /// Puts the mounts in an order in which each finds what it needs; otherwise by path. Those that need each other
    /// are refused.
    fn order(&mut self, mounts: BTreeMap<String, What>) {
        let mut left = mounts;
        while !left.is_empty() {
            let waits = |point: &str, what: &What| {
                let needed = |other: &str| {
                    let above = other != point && is_in(point, other);
                    above || what.store().is_some_and(|store| is_in(store, other))
                };
                left.keys().any(|other| needed(other))
            };
            let next = left.iter().find(|(point, what)| !waits(point, what)).map(|(point, _)| point.clone());
            match next.and_then(|point| left.remove_entry(&point)) {
                Some((point, what)) => {
                    self.mounts.push(Mount { point, what });
                }
                None => {
                    for (point, _) in left {
                        self.refused.push(format!("{point}: it needs itself to be mounted"));
                    }
                    return;
                }
            }
        }
    }
}

fn real_paths(paths: &[String], root: &Root) -> BTreeSet<String> {
    let real = paths.iter().map(|path| (root.real)(path));
    real.filter(|path| path != "/" && !is_in(path, "/run")).collect()
}

fn ephemeral(path: &str) -> What {
    What::Overlay(format!("{BASE}/{}.overlay", dashed(path)))
}

/// The name of a path as one of a file: `etc-ssh`.
fn dashed(path: &str) -> String {
    path.trim_matches('/').replace('/', "-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::Parameters;

    const COS: &str = "VOLUMES='LABEL=COS_OEM:/oem LABEL=COS_PERSISTENT:/usr/local'\nOVERLAY=tmpfs:25%\n";

    fn layout(text: &str) -> Layout {
        let (layout, findings) = Layout::read(&[("test", text.into())], &Parameters::parse("").0);
        assert!(findings.is_empty(), "{findings:?}");
        layout
    }

    fn plan_of(text: &str, lost: &[&str], links: &[(&str, &str)]) -> Plan {
        let lost = lost.iter().map(|point| (*point).to_owned()).collect();
        let real = |path: &str| {
            let link = links.iter().find(|(from, _)| is_in(path, from));
            link.map_or_else(|| path.to_owned(), |(from, to)| format!("{to}{}", &path[from.len()..]))
        };
        Plan::new(&layout(text), &Root { real: &real, is_overlay: false, lost: &lost })
    }

    fn shown(plan: &Plan) -> Vec<String> {
        let line = |mount: &Mount| match &mount.what {
            What::Tmpfs(size) => format!("{} tmpfs {size}", mount.point),
            What::Device(device) => format!("{} {device}", mount.point),
            What::Overlay(store) => format!("{} over {store}", mount.point),
            What::Bind(store) => format!("{} from {store}", mount.point),
        };
        plan.mounts.iter().map(line).chain(plan.refused.clone()).collect()
    }

    fn points(text: &str) -> Vec<String> {
        let plan = plan_of(text, &[], &[]);
        assert_eq!(plan.refused, Vec::<String>::new(), "{text}");
        plan.mounts.into_iter().map(|mount| mount.point).collect()
    }

    #[test]
    fn the_layout_of_cos_keeps_what_it_shall_keep() {
        let text =
            format!("{COS}RW_PATHS='/etc /usr/local /var'\nPERSISTENT_STATE_PATHS='/etc/ssh /var/log'\n");
        assert_eq!(
            shown(&plan_of(&text, &[], &[])),
            [
                "/oem LABEL=COS_OEM",
                "/run/overlay tmpfs 25%",
                "/etc over /run/overlay/etc.overlay",
                "/usr/local LABEL=COS_PERSISTENT",
                "/etc/ssh over /usr/local/.state/etc-ssh.overlay",
                "/var over /run/overlay/var.overlay",
                "/var/log over /usr/local/.state/var-log.overlay",
            ]
        );
    }

    #[test]
    fn a_path_is_persistent_when_it_is_ephemeral_too_and_a_volume_is_enough() {
        let text = format!(
            "{COS}RW_PATHS='/home /oem'\nPERSISTENT_STATE_PATHS='/home /usr/local'\nPERSISTENT_STATE_BIND=true\n"
        );
        assert_eq!(
            shown(&plan_of(&text, &[], &[])),
            [
                "/oem LABEL=COS_OEM",
                "/run/overlay tmpfs 25%",
                "/usr/local LABEL=COS_PERSISTENT",
                "/home from /usr/local/.state/home.bind",
            ]
        );
    }

    #[test]
    fn without_its_volume_state_is_written_to_memory() {
        let text = format!("{COS}RW_PATHS='/usr/local'\nPERSISTENT_STATE_PATHS='/home'\n");
        let expected = [
            "/oem LABEL=COS_OEM",
            "/run/overlay tmpfs 25%",
            "/home over /run/overlay/home.overlay",
            "/usr/local over /run/overlay/usr-local.overlay",
        ];
        assert_eq!(shown(&plan_of(&text, &["/usr/local"], &[])), expected);
        let block = "OVERLAY=LABEL=CHANGES\nRW_PATHS=/etc\n";
        assert_eq!(shown(&plan_of(block, &[], &[]))[0], "/run/overlay LABEL=CHANGES");
        assert_eq!(shown(&plan_of(block, &[BASE], &[]))[0], "/run/overlay tmpfs 20%");
        assert_eq!(
            shown(&plan_of(&text, &["/home"], &[]))[2..],
            ["/home over /run/overlay/home.overlay", "/usr/local LABEL=COS_PERSISTENT"]
        );
    }

    #[test]
    fn paths_are_those_behind_links() {
        let text = "RW_PATHS='/home /var'\nVOLUMES='LABEL=X:/data/x LABEL=R:/run/x'\nPERSISTENT_STATE_PATHS=/root\nPERSISTENT_STATE_TARGET=/data/x/s\n";
        let links =
            [("/home", "/var/home"), ("/root", "/var/roothome"), ("/data", "/var/data"), ("/run", "/wrong")];
        assert_eq!(
            shown(&plan_of(text, &[], &links)),
            [
                "/run/overlay tmpfs 20%",
                "/run/x LABEL=R",
                "/var over /run/overlay/var.overlay",
                "/var/data/x LABEL=X",
                "/var/home over /run/overlay/var-home.overlay",
                "/var/roothome over /var/data/x/s/var-roothome.overlay",
            ]
        );
    }

    #[test]
    fn what_would_contain_itself_is_refused_and_the_rest_is_mounted() {
        for (text, refused) in [
            ("PERSISTENT_STATE_PATHS=/usr/local", "/usr/local: its own state cannot be kept in it"),
            (
                "PERSISTENT_STATE_PATHS=/usr/local/.state/x",
                "/usr/local/.state/x: it lies where state is kept",
            ),
            (
                "PERSISTENT_STATE_PATHS='/a-b /a/b'",
                "/a/b: /a-b keeps its changes in /usr/local/.state/a-b.overlay",
            ),
            ("VOLUMES=LABEL=X:/run/overlay/y", "LABEL=X: it cannot be mounted at /run/overlay/y"),
            ("VOLUMES=LABEL=X:/run", "LABEL=X: it cannot be mounted at /run"),
        ] {
            let plan = plan_of(&format!("RW_PATHS=/etc\n{text}\n"), &[], &[]);
            assert!(plan.refused.len() == 1 && plan.refused[0].starts_with(refused), "{:?}", plan.refused);
            assert!(plan.mounts.iter().any(|mount| mount.point == "/etc"));
        }
        let plan =
            plan_of("RW_PATHS=/etc\nVOLUMES=LABEL=X:/usr/local\nPERSISTENT_STATE_PATHS=/usr\n", &[], &[]);
        assert!(plan.refused[0].starts_with("/usr: its own state"), "{plan:?}");
    }

    #[test]
    fn without_a_base_nothing_is_mounted_and_over_a_live_root_volumes_only() {
        assert_eq!(plan_of(&format!("{COS}OVERLAY=\n"), &[], &[]), Plan::default());
        let lost = BTreeSet::new();
        let root = Root { real: &str::to_owned, is_overlay: true, lost: &lost };
        assert_eq!(
            shown(&Plan::new(&layout(COS), &root)),
            ["/oem LABEL=COS_OEM", "/usr/local LABEL=COS_PERSISTENT"]
        );
    }

    /// Whatever the layout, nothing is mounted before what it needs, nothing twice, and nothing shares its store.
    #[test]
    fn any_layout_is_planned_in_an_order_that_works() {
        let paths = ["/a", "/a/b", "/a/b/c", "/a-b", "/d", "/d/e", "/usr/local", "/usr", "/var/log", "/var"];
        let mut random = 1_u64;
        let mut next = |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % below
        };
        for _ in 0..3000 {
            let mut pick =
                |most: usize| -> Vec<&str> { (0..next(most)).map(|_| paths[next(paths.len())]).collect() };
            let (rw, kept) = (pick(8).join(" "), pick(6).join(" "));
            let volumes: BTreeSet<&str> = pick(4).into_iter().collect();
            let lost: Vec<&str> = pick(3);
            let volumes: Vec<_> =
                volumes.iter().map(|path| format!("LABEL=L{}:{path}", path.len())).collect();
            let target = ["/usr/local/.state", "/d/state", "/a/b"][next(3)];
            let bind = ["true", "false"][next(2)];
            let text = format!(
                "VOLUMES='{}'\nRW_PATHS='{rw}'\nPERSISTENT_STATE_PATHS='{kept}'\nPERSISTENT_STATE_TARGET={target}\n\
                 PERSISTENT_STATE_BIND={bind}\n",
                volumes.join(" ")
            );
            let plan = plan_of(&text, &lost, &[]);
            assert_eq!(plan, plan_of(&text, &lost, &[]));
            for (index, mount) in plan.mounts.iter().enumerate() {
                for later in &plan.mounts[index + 1..] {
                    assert_ne!(mount.point, later.point, "{text}");
                    assert!(!is_in(&mount.point, &later.point), "{text}{:?}", shown(&plan));
                    let store = mount.what.store();
                    assert!(
                        !store.is_some_and(|store| is_in(store, &later.point)),
                        "{text}{:?}",
                        shown(&plan)
                    );
                    assert!(store.is_none() || store != later.what.store(), "{text}{:?}", shown(&plan));
                }
            }
        }
    }

    #[test]
    fn the_defaults_are_in_order() {
        assert_eq!(
            points(""),
            ["/run/overlay", "/etc", "/home", "/opt", "/root", "/srv", "/usr/local", "/var"]
        );
    }
}
