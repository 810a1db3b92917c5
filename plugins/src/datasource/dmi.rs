//! What the firmware says about who made the machine.

use crate::System;
use std::path::Path;

/// Texts of the firmware that clouds put their names into.
pub(super) struct Dmi {
    /// The manufacturer.
    pub(super) vendor: String,
    /// The product.
    pub(super) product: String,
    /// The asset tag of the chassis.
    pub(super) chassis: String,
    /// Who made the firmware.
    pub(super) bios: String,
}

impl Dmi {
    pub(super) fn of(sys: &System) -> Self {
        let text = |name: &str| {
            let content = sys.host().kernel_file(&Path::new("/sys/class/dmi/id").join(name));
            String::from_utf8_lossy(&content.ok().flatten().unwrap_or_default()).trim().to_owned()
        };
        Self {
            vendor: text("sys_vendor"),
            product: text("product_name"),
            chassis: text("chassis_asset_tag"),
            bios: text("bios_vendor"),
        }
    }
}

/// For those whose machines the firmware does not tell.
pub(super) fn unknown(_: &Dmi) -> bool {
    false
}
