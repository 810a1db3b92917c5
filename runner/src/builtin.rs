//! The default OEM set, `builtin:`, as it stands in `units/oem`.

macro_rules! documents {
    ($($name:literal),* $(,)?) => {
        /// Name and text of each document, in the order in which they run.
        pub const DOCUMENTS: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../units/oem/", $name)))),*];
    };
}

documents! {
    "00_rootfs.yaml",
    "01_defaults.yaml",
    "02_upgrades.yaml",
    "03_branding.yaml",
    "04_accounting.yaml",
    "05_network.yaml",
    "06_recovery.yaml",
}

#[cfg(test)]
mod tests {
    use super::DOCUMENTS;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the test looks at the source tree")]
    fn every_document_of_the_directory_is_embedded_in_byte_order() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../units/oem");
        let mut names: Vec<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".yaml"))
            .collect();
        names.sort();
        let embedded: Vec<&str> = DOCUMENTS.iter().map(|(name, _)| *name).collect();
        assert_eq!(embedded, names);
    }
}
