//! Facts about the machine, gathered when a template or a condition first asks for them.

use crate::System;
use std::cell::OnceCell;

/// Facts about one machine: its own hardware and kernel, the operating system in the root.
#[derive(Default)]
pub struct Facts {
    hostname: OnceCell<String>,
}

impl Facts {
    /// The facts about `sys`; nothing is read yet.
    pub fn new(_sys: &System) -> Self {
        Self::default()
    }

    /// The name of the running machine when it was first asked for.
    pub fn hostname(&self) -> &str {
        self.hostname.get_or_init(String::new)
    }

    /// `PRETTY_NAME` of os-release(5) in the root.
    pub fn os_pretty_name(&self) -> Option<&str> {
        None
    }

    /// `VERSION_ID` of os-release(5) in the root.
    pub fn os_version_id(&self) -> Option<&str> {
        None
    }

    /// The processor architecture by Go's name.
    pub fn architecture(&self) -> &'static str {
        ""
    }
}
