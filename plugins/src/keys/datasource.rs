//! Asks a cloud, or a disk that was made for the machine, for its host name, SSH keys and user-data.
//!
//! ```yaml
//! datasource:
//!   providers: [file]
//!   path: /oem/cloud-init
//! ```
//!
//! ```text before
//! -- /oem/cloud-init
//! #cloud-config
//! hostname: web
//! ```
//!
//! ```text after
//! -- /run/config/datasource
//! file
//! -- /run/config/userdata 0600
//! #cloud-config
//! hostname: web
//! -- /run/config/userdata.yaml 0600
//! #cloud-config
//! hostname: web
//! ```
//!
//! | provider | asks |
//! |---|---|
//! | `aws`, `openstack`, `hetzner`, `gcp`, `azure`, `digitalocean`, `vultr`, `packet`, `scaleway`, `metaldata` | the metadata service of the cloud |
//! | `vmware` | the hypervisor, by vmware-rpctool or vmtoolsd of the root |
//! | `cdrom` | a disk with the label `cidata` (NoCloud), ISO 9660 or FAT |
//! | `config-drive` | a disk with the label `config-2` (OpenStack) |
//! | `file` | the file `path` |
//!
//! **Who is asked first.** Disks, then the cloud that the firmware says this is, then the others in the order of
//! the list; the first that knows the machine is the only one that counts. (yip asks all at once and takes the
//! fastest, and mixes what several say.) A server that does not answer is asked once more; off cloud the search
//! ends after about ten seconds at most, also where the network swallows every packet. It is an error that nobody
//! answers, and a warning if somebody has before in this boot.
//!
//! **What becomes of the answer.** The host name is set, SSH keys are let in (for root; on Google's cloud for the user
//! they are for, if there is one), and `/run/config` gets a file for each text: `hostname`, `instance_id`,
//! `public_ipv4`, `ssh/authorized_keys` ... All of this also without user-data.
//!
//! **User-data** may be packed by gzip and may be a MIME message. As it is, it is kept in `userdata`, which only root can
//! read, in `/run/config` or the directory `path`. A cloud-config or a document with `stages` in it is kept in
//! `userdata.yaml` or the file that `userdata_name` names, further ones as `userdata_02.yaml` and so on: stages that run
//! later read them if the directory is one of theirs, such as `/oem`. Scripts (`#!`) are run each time. Nothing of it
//! is a template when it is kept; a stage that runs it renders what it renders in any document.

use crate::datasource::{PROVIDERS, Provider, Question, discover, keep, provider};
use crate::path::AbsolutePath;
use crate::system::{Interrupted, Kind, Mode};
use crate::{Context, Plugin, System};
use anyhow::Result;
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, Spanned, record, suggest};

record! {
    /// Who knows about this machine, and where that is kept.
    pub(crate) struct Datasource {
        /// Whom to ask.
        providers: Vec<Asked>,
        /// The directory for user-data, `/run/config` when it is left out; for `file`, the file.
        path: Option<AbsolutePath>,
        /// The name of the document that user-data is; `userdata.yaml` when it is left out.
        userdata_name: Option<FileName>,
    }
}

/// A provider, and where it is named.
struct Asked(Spanned<Option<&'static Provider>>);

impl Decode for Asked {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Spanned { value: name, span } = Spanned::<String>::decode(node, findings)?;
        let value = provider(name.trim());
        if value.is_none() {
            let names = || PROVIDERS.into_iter().map(|provider| provider.name);
            let finding = findings.warn(span, format!("there is no provider `{}`", name.trim()));
            match suggest(&name, names()) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help(format!("there are {}", names().collect::<Vec<_>>().join(", "))),
            };
        }
        Some(Self(Spanned { value, span }))
    }

    fn shape() -> Shape {
        Shape::text("provider")
    }
}

/// The name of a file without its directory.
#[derive(Debug)]
struct FileName(String);

impl Decode for FileName {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let name = String::decode(node, findings)?.trim().to_owned();
        if name.contains('/') || name.contains(char::is_control) || matches!(&*name, "." | ".." | "userdata")
        {
            findings
                .error(node.span, format!("{name:?} cannot be the name of the document"))
                .help("give a name without a directory, such as `userdata.yaml`");
            return None;
        }
        Some(Self(name))
    }

    fn shape() -> Shape {
        Shape::text("file name")
    }
}

impl Plugin for Datasource {
    const KEY: &'static str = "datasource";

    fn check(&self, findings: &mut Findings) {
        let file =
            self.providers.iter().find(|asked| asked.0.value.is_some_and(|provider| provider.name == "file"));
        if let Some(file) = file.filter(|_| self.path.is_none()) {
            findings.error(file.0.span, "the provider `file` needs `path`, the file with the user-data");
        }
    }

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        let mut providers: Vec<&'static Provider> = Vec::new();
        for provider in self.providers.iter().filter_map(|asked| asked.0.value) {
            // Told when the document was read.
            let lacks_path = provider.name == "file" && self.path.is_none();
            if !lacks_path && !providers.iter().any(|known| known.name == provider.name) {
                providers.push(provider);
            }
        }
        let Some(span) = self.providers.first().map(|asked| asked.0.span).filter(|_| !providers.is_empty())
        else {
            return Ok(());
        };
        if sys.mode() == Mode::Plan {
            let names: Vec<&str> = providers.iter().map(|provider| provider.name).collect();
            cx.leave_to_a_run(
                span,
                format!("only a run asks {}: the plan is without what comes of it", names.join(", ")),
            );
            return Ok(());
        }
        let path = self.path.as_ref().map(AbsolutePath::as_str);
        let (name, metadata) = match discover(sys, &providers, &Question { path }) {
            Ok(found) => found,
            Err(error) if !error.is::<Interrupted>() && sys.exists(keep::ANSWERED)? => {
                cx.warn(span, format!("{error:#}; what was answered before in this boot stays"));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let is_file = |path: &str| {
            Ok::<_, anyhow::Error>(sys.metadata(path)?.is_some_and(|found| found.kind == Kind::File))
        };
        let directory = match path {
            Some(path) if name != "file" && !is_file(path)? => path,
            _ => keep::DIRECTORY,
        };
        let document = self.userdata_name.as_ref().map_or("", |name| name.0.as_str());
        let document = if document.is_empty() { "userdata.yaml" } else { document };
        keep::keep(cx, sys, span, name, &metadata, &keep::Place { directory, document });
        Ok(())
    }
}
