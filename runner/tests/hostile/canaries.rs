//! Every key with values whose secrets hold `CANARY`. A key that is new needs an entry here.

/// A key, and what is known of its secrets.
pub(crate) enum Canaries {
    /// Everything that it is told may be known to everybody.
    Harmless,
    /// Values of the key: some do what they should, others fail or are wrong.
    Values(&'static [&'static str]),
}

use Canaries::{Harmless, Values};

/// The keys of a step.
pub(crate) const KEYS: &[(&str, Canaries)] = &[
    ("dns", Harmless),
    (
        "downloads",
        Values(&[
            "[{path: /etc/e, permissions: 0600, url: 'http://ann:CANARY@127.0.0.1:1/x?token=CANARY', timeout: 1}]",
            "[{path: /etc/e, url: 'ftp://ann:CANARY@127.0.0.1/x'}, {path: x, url: 'https://h/x?CANARY'}, [CANARY]]",
        ]),
    ),
    (
        "git",
        Values(&[
            "{url: 'https://ann:CANARY@127.0.0.1:1/x', path: /srv/a}",
            "{url: 'https://CANARY@127.0.0.1:1/x', path: /srv/b, branch: main}",
            "{url: 'http://127.0.0.1:1/x', path: /srv/c, branch: main, auth: {username: CANARYann, password: CANARY}}",
            "{url: 'git@127.0.0.1:x', path: /srv/d, branch: main, auth: {private_key: \"-----BEGIN X PRIVATE KEY-----\\nCANARY\\n\"}}",
            "{url: 'git@127.0.0.1:x', path: /srv/e, auth: {private_key: CANARY, public_key: CANARY, password: CANARY}}",
            "{url: 'https://127.0.0.1:1/x?token=CANARY', path: /srv/f}",
            "{url: 'ssh://ann:CANARY@h/x', path: /srv/g}",
            "{url: 'x::CANARY', path: /srv/h, auth: {username: \"CANARY\\n\", pasword: CANARY}}",
            "{url: https://127.0.0.1:1/x, path: /srv/i, auth: [CANARY]}",
        ]),
    ),
    (
        "ensure_entities",
        Values(&[
            "[{entity: \"kind: shadow\\nusername: root\\npassword: CANARY\"}, CANARY]",
            "[{entity: \"kind: shadow\\nusername: root\\npassword: [CANARY]\"}, {entity: [CANARY]}]",
            "[{entity: \"kind: gshadow\\nname: root\\npassword: CANARY:\"}, {enttiy: CANARY}]",
        ]),
    ),
    ("directories", Harmless),
    (
        "files",
        Values(&[
            "[{path: /etc/a, permissions: 0600, content: 'CANARY {{ .CANARY }} {{ \"CANARY\" | nofunction }}'}]",
            "[{path: /etc/b, permissions: 0600, encoding: b64, content: 'CANARY!'}, {path: /etc/c, content: [CANARY]}]",
            "[{path: /etc/a/below, permissions: 0600, content: CANARY}, {content: CANARY}, {path: /x, conten: CANARY}]",
            "[{path: /etc/d, permissions: 0600, owner: nobody-there, content: CANARY}]",
            "[{path: /etc/containers/auth.json, permissions: 0600, content: '{\"auths\": {\"127.0.0.1:1\": {\"auth\": \"CANARY\"}}}'}]",
            "[{path: /etc/script, permissions: 0600, content: \"#!/bin/sh\\n: CANARY\\nexit 3\\n\"}]",
        ]),
    ),
    ("links", Harmless),
    (
        "commands",
        Values(&[
            "[': CANARY', ': CANARY; false', 'x=CANARY; exit 3', '{{ \"CANARY\" | nofunction }}', [CANARY], {a: CANARY}]",
        ]),
    ),
    (
        "delete_entities",
        Values(&[
            "[{entity: \"kind: shadow\\nusername: nobody\\npassword: CANARY\"}, CANARY, {entity: CANARY}]",
        ]),
    ),
    ("hostname", Harmless),
    ("sysctl", Harmless),
    ("sysctl_file", Harmless),
    (
        "users",
        Values(&[
            "{ann: {passwd: CANARY, no_create_home: true}, ben: {passwd: '$6$CANARY$CANARY', homedir: /etc/a/b}}",
            "{cid: CANARY, dan: {passwd: [CANARY]}, eve: {pasword: CANARY, ssh_authorized_keys: [CANARY]}}",
            "{fay: {passwd: \"CANARY\\n\"}, gil: {passwd: 'CANARY:'}, 'a b': {passwd: CANARY}}",
        ]),
    ),
    ("authorized_keys", Values(&["{root: [CANARY, 'ssh-rsa AAAACANARY x'], ghost: [CANARY], x: CANARY}"])),
    ("modules", Harmless),
    ("timesyncd", Harmless),
    // Everybody can read a drop-in.
    ("systemctl", Harmless),
    (
        "environment",
        Values(&["{A: CANARY, B: [CANARY], \"C D\": CANARY, E: \"CANARY\\n\", F: \"CANARY\\0\"}"]),
    ),
    ("environment_file", Harmless),
    (
        "systemd_firstboot",
        Values(&[
            "{root_password: CANARY, root_password_hashed: CANARY, keymap: us}",
            "{root_password: [CANARY], 'a b': CANARY, ROOT-PASSWORD: CANARY, root-password: CANARY}",
        ]),
    ),
    (
        // What is told is in files that `files` has written.
        "datasource",
        Values(&[
            "{providers: [file], path: /etc/a} # CANARY",
            "{providers: [file], path: /etc/script, userdata_name: x.yaml} # CANARY",
        ]),
    ),
    ("package_pins", Harmless),
    (
        "packages",
        Values(&[
            "{install: ['https://ann:CANARY@127.0.0.1:1/x.rpm?token=CANARY', '{{ \"CANARY\" | nofunction }}'], refresh: true}",
            "{remove: ['https://ann:CANARY@127.0.0.1:1/x.rpm'], upgrade: true, install: {x: CANARY}}",
        ]),
    ),
    (
        // The logins are those that `files` has written.
        "unpack_images",
        Values(&[
            "[{source: '127.0.0.1:1/private:1', target: /srv/image}] # CANARY",
            "[{source: 'https://ann:CANARY@127.0.0.1:1/x:1', target: /srv/image}, {source: 'ann:CANARY@127.0.0.1:1/x', target: /srv/image}]",
        ]),
    ),
    (
        "layout",
        Values(&[
            "{device: {path: 'script://false --token CANARY'}}",
            "{device: {path: 'script://echo /dev/none'}, add_partitions: [{pLabel: a, size: 1}]} # CANARY",
        ]),
    ),
];

/// The modules of a cloud-config, with values of some of their keys as lines of a document.
pub(crate) const MODULES: &[(&str, Canaries)] = &[
    ("bootcmd", Values(&["bootcmd: [': CANARY; false', [sh, -c, ': CANARY; exit 3'], {a: CANARY}]"])),
    (
        "write_files",
        Values(&[
            "write_files: [{path: /etc/w, permissions: '0600', content: 'CANARY {{ \"CANARY\" | nofunction }}'}, CANARY]",
            "write_files: [{path: /etc/v, permissions: 0600, encoding: b64, content: 'CANARY!'}, {conten: CANARY}]",
        ]),
    ),
    ("set_hostname", Harmless),
    ("growpart", Harmless),
    ("resizefs", Harmless),
    ("disk_setup", Harmless),
    // Everybody can read fstab(5).
    ("mounts", Harmless),
    ("update_etc_hosts", Harmless),
    ("resolv_conf", Harmless),
    ("ca_certs", Harmless),
    ("keyboard", Harmless),
    ("locale", Harmless),
    ("ntp", Harmless),
    ("timezone", Harmless),
    (
        "users_groups",
        Values(&[
            "users: [{name: ann, plain_text_passwd: CANARY}, {name: ben, hashed_passwd: '$6$CANARY$CANARY'}]",
            "users: [{name: cid, passwd: CANARY, lock_passwd: false, homedir: /etc/a/x}, {name: dan, pasword: CANARY}]",
            "users: [{name: eve, passwd: [CANARY], ssh_authorized_keys: [CANARY, [CANARY]]}]",
            "user: {name: fay, plain_text_passwd: \"CANARY\\n\", hashed_passwd: 'CANARY:'}",
        ]),
    ),
    (
        "ssh",
        Values(&[
            "ssh_keys: {rsa_private: CANARY, ed25519_private: \"-----BEGIN X-----\\nCANARY\\n-----END X-----\\n\"}",
            "ssh_keys: {ed25519_private: [CANARY], dsa_private: CANARY, x: CANARY}",
            "ssh_authorized_keys: [CANARY, 'ssh-rsa AAAACANARY x', [CANARY]]",
        ]),
    ),
    (
        "set_passwords",
        Values(&[
            "password: CANARY",
            "password: \"CANARY\\n\"",
            "chpasswd: {expire: false, users: [{name: root, password: CANARY, type: text}, {name: x, pasword: CANARY}]}",
            "chpasswd: {list: \"root:CANARY\\nghost:CANARY\\nCANARY\\nold:$6$CANARY$CANARY\"}",
            "chpasswd: {list: ['old:CANARY', [CANARY]], users: [{name: old, password: CANARY, type: hash}, CANARY]}",
        ]),
    ),
    ("ssh_import_id", Harmless),
    (
        "package_update_upgrade_install",
        Values(&["packages: ['https://ann:CANARY@127.0.0.1:1/x.rpm?token=CANARY', [[x]]]"]),
    ),
    (
        "write_files_deferred",
        Values(&[
            "write_files: [{path: /etc/u, permissions: '0600', defer: true, owner: ghost, content: CANARY}]",
        ]),
    ),
    ("runcmd", Values(&["runcmd: [': CANARY; false', [sh, -c, ': CANARY; exit 3'], {a: CANARY}]"])),
    (
        "phone_home",
        Values(&[
            "phone_home: {url: 'http://ann:CANARY@127.0.0.1:1/x?token=CANARY', tries: 1}",
            "phone_home: {url: 'CANARY', post: [pub_key_rsa], tries: 1}",
        ]),
    ),
    ("final_message", Harmless),
    ("power_state_change", Values(&["power_state: {mode: poweroff, condition: ': CANARY; false'}"])),
];
