//! The types of partitions by name: those of the Discoverable Partitions Specification, as systemd-repart(8) calls
//! them, and others that everybody has.

use super::gpt::Guid;

/// The EFI system partition.
pub(crate) const ESP: Guid = Guid::new(0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b);

/// Swap space.
pub(crate) const SWAP: Guid = Guid::new(0x0657fd6d_a4ab_43c4_84e5_0933c84b4f4f);

/// Anything of Linux.
pub(crate) const LINUX_GENERIC: Guid = Guid::new(0x0fc63daf_8483_4772_8e79_3d69d8477de4);

/// What Windows would mount.
pub(crate) const BASIC_DATA: Guid = Guid::new(0xebd0a0a2_b9e5_4433_87c0_68b6b72699c7);

const TYPES: &[(&str, Guid)] = &[
    ("esp", ESP),
    ("xbootldr", Guid::new(0xbc13c2ff_59e6_4262_a352_b275fd6f7172)),
    ("swap", SWAP),
    ("home", Guid::new(0x933ac7e1_2eb4_4f13_b844_0e14e2aef915)),
    ("srv", Guid::new(0x3b8f8425_20e0_4f3b_907f_1a25a76f98e8)),
    ("var", Guid::new(0x4d21b016_b534_45c2_a9fb_5c16e091fd2d)),
    ("tmp", Guid::new(0x7ec6f557_3bc5_4aca_b293_16ef5df639d1)),
    ("user-home", Guid::new(0x773f91ef_66d4_49b5_bd83_d683bf40ad16)),
    ("linux-generic", LINUX_GENERIC),
    ("linux-lvm", Guid::new(0xe6d6d379_f507_44c2_a23c_238f2a3df928)),
    ("linux-raid", Guid::new(0xa19d880f_05fc_4d3b_a006_743f0f84911e)),
    ("linux-reserved", Guid::new(0x8da63339_0007_60c0_c436_083ac8230908)),
    ("bios-boot", Guid::new(0x21686148_6449_6e6f_744e_656564454649)),
    ("prep", Guid::new(0x9e1a2d38_c612_4316_aa26_8b49521e5a8b)),
    ("ms-basic-data", BASIC_DATA),
    ("ms-reserved", Guid::new(0xe3c9e316_0b5c_4db8_817d_f92df00215ae)),
    ("root-x86-64", Guid::new(0x4f68bce3_e8cd_4db1_96e7_fbcaf984b709)),
    ("root-x86-64-verity", Guid::new(0x2c7357ed_ebd2_46d9_aec1_23d437ec2bf5)),
    ("root-x86-64-verity-sig", Guid::new(0x41092b05_9fc8_4523_994f_2def0408b176)),
    ("usr-x86-64", Guid::new(0x8484680c_9521_48c6_9c11_b0720656f69e)),
    ("usr-x86-64-verity", Guid::new(0x77ff5f63_e7b6_4633_acf4_1565b864c0e6)),
    ("usr-x86-64-verity-sig", Guid::new(0xe7bb33fb_06cf_4e81_8273_e543b413e2e2)),
    ("root-x86", Guid::new(0x44479540_f297_41b2_9af7_d131d5f0458a)),
    ("root-x86-verity", Guid::new(0xd13c5d3b_b5d1_422a_b29f_9454fdc89d76)),
    ("root-x86-verity-sig", Guid::new(0x5996fc05_109c_48de_808b_23fa0830b676)),
    ("usr-x86", Guid::new(0x75250d76_8cc6_458e_bd66_bd47cc81a812)),
    ("usr-x86-verity", Guid::new(0x8f461b0d_14ee_4e81_9aa9_049b6fb97abd)),
    ("usr-x86-verity-sig", Guid::new(0x974a71c0_de41_43c3_be5d_5c5ccd1ad2c0)),
    ("root-arm64", Guid::new(0xb921b045_1df0_41c3_af44_4c6f280d3fae)),
    ("root-arm64-verity", Guid::new(0xdf3300ce_d69f_4c92_978c_9bfb0f38d820)),
    ("root-arm64-verity-sig", Guid::new(0x6db69de6_29f4_4758_a7a5_962190f00ce3)),
    ("usr-arm64", Guid::new(0xb0e01050_ee5f_4390_949a_9101b17104e9)),
    ("usr-arm64-verity", Guid::new(0x6e11a4e7_fbca_4ded_b9e9_e1a512bb664e)),
    ("usr-arm64-verity-sig", Guid::new(0xc23ce4ff_44bd_4b00_b2d4_b41b3419e02a)),
    ("root-arm", Guid::new(0x69dad710_2ce4_4e3c_b16c_21a1d49abed3)),
    ("root-arm-verity", Guid::new(0x7386cdf2_203c_47a9_a498_f2ecce45a2d6)),
    ("root-arm-verity-sig", Guid::new(0x42b0455f_eb11_491d_98d3_56145ba9d037)),
    ("usr-arm", Guid::new(0x7d0359a3_02b3_4f0a_865c_654403e70625)),
    ("usr-arm-verity", Guid::new(0xc215d751_7bcd_4649_be90_6627490a4c05)),
    ("usr-arm-verity-sig", Guid::new(0xd7ff812f_37d1_4902_a810_d76ba57b975a)),
    ("root-riscv64", Guid::new(0x72ec70a6_cf74_40e6_bd49_4bda08e8f224)),
    ("root-riscv64-verity", Guid::new(0xb6ed5582_440b_4209_b8da_5ff7c419ea3d)),
    ("root-riscv64-verity-sig", Guid::new(0xefe0f087_ea8d_4469_821a_4c2a96a8386a)),
    ("usr-riscv64", Guid::new(0xbeaec34b_8442_439b_a40b_984381ed097d)),
    ("usr-riscv64-verity", Guid::new(0x8f1056be_9b05_47c4_81d6_be53128e5b54)),
    ("usr-riscv64-verity-sig", Guid::new(0xd2f9000a_7a18_453f_b5cd_4d32f77a7b32)),
    ("root-loongarch64", Guid::new(0x77055800_792c_4f94_b39a_98c91b762bb6)),
    ("root-loongarch64-verity", Guid::new(0xf3393b22_e9af_4613_a948_9d3bfbd0c535)),
    ("root-loongarch64-verity-sig", Guid::new(0x5afb67eb_ecc8_4f85_ae8e_ac1e7c50e7d0)),
    ("usr-loongarch64", Guid::new(0xe611c702_575c_4cbe_9a46_434fa0bf7e3f)),
    ("usr-loongarch64-verity", Guid::new(0xf46b2c26_59ae_48f0_9106_c50ed47f673d)),
    ("usr-loongarch64-verity-sig", Guid::new(0xb024f315_d330_444c_8461_44bbde524e99)),
    ("root-ppc64-le", Guid::new(0xc31c45e6_3f39_412e_80fb_4809c4980599)),
    ("root-ppc64-le-verity", Guid::new(0x906bd944_4589_4aae_a4e4_dd983917446a)),
    ("root-ppc64-le-verity-sig", Guid::new(0xd4a236e7_e873_4c07_bf1d_bf6cf7f1c3c6)),
    ("usr-ppc64-le", Guid::new(0x15bb03af_77e7_4d4a_b12b_c0d084f7491c)),
    ("usr-ppc64-le-verity", Guid::new(0xee2b9983_21e8_4153_86d9_b6901a54d1ce)),
    ("usr-ppc64-le-verity-sig", Guid::new(0xc8bfbd1e_268e_4521_8bba_bf314c399557)),
    ("root-s390x", Guid::new(0x5eead9a9_fe09_4a1e_a1d7_520d00531306)),
    ("root-s390x-verity", Guid::new(0xb325bfbe_c7be_4ab8_8357_139e652d2f6b)),
    ("root-s390x-verity-sig", Guid::new(0xc80187a5_73a3_491a_901a_017c3fa953e9)),
    ("usr-s390x", Guid::new(0x8a4f5770_50aa_4ed3_874a_99b710db6fea)),
    ("usr-s390x-verity", Guid::new(0x31741cc4_1a2a_4111_a581_e00b447d2d06)),
    ("usr-s390x-verity-sig", Guid::new(0x3f324816_667b_46ae_86ee_9b0c0c6c11b4)),
];

/// Other names, by which sgdisk(8), sfdisk(8) and people know them.
const ALIASES: &[(&str, &str)] = &[
    ("uefi", "esp"),
    ("efi", "esp"),
    ("linux-extended-boot", "xbootldr"),
    ("linux-swap", "swap"),
    ("linux", "linux-generic"),
    ("lvm", "linux-lvm"),
    ("raid", "linux-raid"),
    ("bios", "bios-boot"),
    ("basic-data", "ms-basic-data"),
];

/// What the specification calls the architecture that this was built for.
const ARCHITECTURE: &str = if cfg!(target_arch = "x86_64") {
    "x86-64"
} else if cfg!(target_arch = "x86") {
    "x86"
} else if cfg!(target_arch = "aarch64") {
    "arm64"
} else if cfg!(target_arch = "arm") {
    "arm"
} else if cfg!(target_arch = "riscv64") {
    "riscv64"
} else if cfg!(target_arch = "loongarch64") {
    "loongarch64"
} else if cfg!(target_arch = "powerpc64") {
    "ppc64-le"
} else {
    "s390x"
};

/// Those that have a type for each architecture; without one they are of this.
const OF_ARCHITECTURE: [&str; 2] = ["root", "usr"];
const PARTS: [&str; 3] = ["", "-verity", "-verity-sig"];

/// The type of this name. `root`, `usr` and what belongs to them are those of this architecture.
pub(crate) fn named(name: &str) -> Option<Guid> {
    let of_this = OF_ARCHITECTURE.iter().find_map(|base| {
        let part = name.strip_prefix(base).filter(|part| PARTS.contains(part))?;
        Some(format!("{base}-{ARCHITECTURE}{part}"))
    });
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, name)| *name);
    let name = of_this.as_deref().or(alias).unwrap_or(name);
    TYPES.iter().find(|(known, _)| *known == name).map(|(_, guid)| *guid)
}

/// The name of a type.
pub(crate) fn name(guid: Guid) -> Option<&'static str> {
    TYPES.iter().find(|(_, known)| *known == guid).map(|(name, _)| *name)
}

/// All names, for somebody who has mistyped one.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let of_this = ["root", "root-verity", "root-verity-sig", "usr", "usr-verity", "usr-verity-sig"];
    TYPES.iter().map(|(name, _)| *name).chain(ALIASES.iter().map(|(alias, _)| *alias)).chain(of_this)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::programs::output;

    #[test]
    fn every_name_has_a_type_of_its_own() {
        for name in names() {
            assert!(named(name).is_some(), "{name}");
        }
        for (index, (name, guid)) in TYPES.iter().enumerate() {
            assert_eq!((named(name), super::name(*guid)), (Some(*guid), Some(*name)));
            assert!(TYPES[index + 1..].iter().all(|(other, same)| other != name && same != guid), "{name}");
        }
        assert_eq!(named("efi"), named("esp"));
        assert_eq!(named("root"), named(&format!("root-{ARCHITECTURE}")));
        assert_eq!(named("usr-verity-sig"), named(&format!("usr-{ARCHITECTURE}-verity-sig")));
        assert_eq!(named("rooty"), None);
        assert_eq!(super::name(Guid::ZERO), None);
    }

    #[test]
    fn systemd_and_util_linux_know_the_same_types() {
        let systemd = output("systemd-id128", &["show"]).unwrap_or_default();
        for (name, guid) in systemd.lines().skip(1).filter_map(|line| line.split_once(' ')) {
            let guid = Guid::new(u128::from_str_radix(guid.trim(), 16).unwrap());
            assert!(named(name).is_none_or(|known| known == guid), "{name}");
        }
        let util_linux = output("sfdisk", &["-X", "gpt", "-T"]).unwrap_or_default().to_lowercase();
        for (name, guid) in TYPES.iter().filter(|_| !util_linux.is_empty()) {
            assert!(util_linux.contains(&guid.to_string()), "{name}");
        }
        if systemd.is_empty() || util_linux.is_empty() {
            eprintln!("SKIPPED: types of partitions: needs systemd-id128 and sfdisk");
        }
    }
}
