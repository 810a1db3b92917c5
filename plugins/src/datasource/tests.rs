//! Providers against services that speak as the real ones do.

use crate::testing::{Answer, Authority, Machine, Outcome, Received, Server};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::path::Path;
use std::time::Duration;

const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB";
const B: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJC";
const LINK_LOCAL: &str = "169.254.169.254";
const CONFIG: &str = "#cloud-config\nruncmd: [echo {{ .Values.x }}]\n";

fn machine() -> Machine {
    Machine::new(
        "-- /etc/passwd\nroot:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n-- /root/ 0700\n-- /home/alice/ 0755 1000:1000\n",
    )
}

/// A service with these texts; anything else is not found.
fn texts(texts: Vec<(&'static str, String)>) -> Server {
    Server::new(move |received| {
        let found = texts.iter().find(|(path, _)| *path == received.path);
        found.map_or_else(|| Answer::status(404), |(_, text)| Answer::ok(text.as_str()))
    })
}

fn serve(machine: &Machine, name: &str, service: &Server) {
    machine.host.name(name, service.address());
}

/// What came of a provider, twice: a second time must change nothing.
#[track_caller]
fn ask(machine: &Machine, provider: &str) -> Outcome {
    let step = format!("datasource: {{providers: [{provider}]}}");
    let first = machine.apply(&step);
    assert!(first.findings.is_empty(), "{}", first.messages());
    let second = machine.apply(&step);
    let changed: Vec<_> =
        second.effects.iter().filter(|effect| effect.changed && !effect.action.always_happens()).collect();
    assert!(changed.is_empty() && second.findings.is_empty(), "{changed:#?} {}", second.messages());
    first
}

fn read(machine: &Machine, path: &str) -> String {
    #[allow(clippy::disallowed_methods, reason = "a test looks from outside")]
    std::fs::read_to_string(machine.root().join(path.trim_start_matches('/')))
        .unwrap_or_else(|_| "-".to_owned())
}

#[track_caller]
fn facts(machine: &Machine, expected: &[(&str, &str)]) {
    for (name, text) in expected {
        assert_eq!(read(machine, &format!("/run/config/{name}")), *text, "{name}");
    }
}

fn ec2() -> Vec<(&'static str, String)> {
    vec![
        ("/latest/meta-data/instance-id", "i-1".into()),
        ("/latest/meta-data/hostname", "web.internal".into()),
        ("/latest/meta-data/local-ipv4", "10.0.0.1".into()),
        ("/latest/meta-data/placement/availability-zone", "eu-1a".into()),
        ("/latest/meta-data/public-keys/", "0=mine\n1=other".into()),
        ("/latest/meta-data/public-keys/0/openssh-key", format!("{A} mine\n")),
        ("/latest/meta-data/public-keys/1/openssh-key", format!("{B} other\n")),
    ]
}

#[test]
fn aws_is_asked_with_a_token_and_its_metadata_counts_without_user_data() {
    let service = Server::new(|received: &Received| {
        if received.path == "/latest/api/token" {
            let lives = received.header("x-aws-ec2-metadata-token-ttl-seconds").is_some();
            return if received.method == "PUT" && lives {
                Answer::ok("TOKEN==")
            } else {
                Answer::status(400)
            };
        }
        if received.header("x-aws-ec2-metadata-token") != Some("TOKEN==") {
            return Answer::status(401);
        }
        ec2()
            .into_iter()
            .find(|(path, _)| *path == received.path)
            .map_or_else(|| Answer::status(404), |(_, text)| Answer::ok(text))
    });
    let machine = machine();
    serve(&machine, LINK_LOCAL, &service);
    machine.host.live_here();
    let outcome = ask(&machine, "aws");
    assert!(outcome.effects.iter().any(|effect| effect.target == "web.internal"));
    facts(
        &machine,
        &[
            ("hostname", "web.internal"),
            ("instance_id", "i-1"),
            ("local_ipv4", "10.0.0.1"),
            ("availability_zone", "eu-1a"),
            ("datasource", "aws\n"),
        ],
    );
    assert_eq!(read(&machine, "/root/.ssh/authorized_keys"), format!("{A} mine\n{B} other\n"));
    assert_eq!(read(&machine, "/etc/hostname"), "web.internal\n");
    assert!(!outcome.messages().contains("TOKEN"));
}

#[test]
fn aws_without_tokens_is_asked_as_before() {
    let mut all = ec2();
    all.push(("/latest/user-data", CONFIG.into()));
    let (machine, service) = (machine(), texts(all));
    serve(&machine, LINK_LOCAL, &service);
    ask(&machine, "aws");
    // The document is no template yet: what runs it renders it.
    facts(&machine, &[("userdata", CONFIG), ("userdata.yaml", CONFIG)]);
}

#[test]
fn aws_whose_tokens_do_not_arrive_is_asked_without() {
    let silent = |received: &Received| {
        (received.method == "PUT").then(|| Answer::ok("TOKEN").slowly(1, Duration::from_secs(5)))
    };
    let service = Server::new(move |received| {
        silent(received).unwrap_or_else(|| {
            let found = ec2().into_iter().find(|(path, _)| *path == received.path);
            found.map_or_else(|| Answer::status(404), |(_, text)| Answer::ok(text))
        })
    });
    let machine = machine();
    machine.host.stall(Duration::from_millis(200));
    serve(&machine, LINK_LOCAL, &service);
    ask(&machine, "aws");
    facts(&machine, &[("instance_id", "i-1")]);
    // One that insists on them is not one that does not know the machine.
    let strict = Server::new(move |received| silent(received).unwrap_or_else(|| Answer::status(401)));
    let machine = self::machine();
    machine.host.stall(Duration::from_millis(200));
    serve(&machine, LINK_LOCAL, &strict);
    let messages = machine.apply("datasource: {providers: [aws]}").messages();
    assert!(messages.contains("aws: it gives no token: 169.254.169.254 has sent nothing"), "{messages}");
}

#[test]
fn packet_is_asked_by_tls_and_its_script_for_the_boot_loader_is_none_of_ours() {
    for (user_data, kept) in [(CONFIG, CONFIG), ("#!ipxe\nboot\n", "-")] {
        let authority = Authority::new();
        let service =
            Server::with_tls(authority.issue("metadata.platformequinix.com"), move |received: &Received| {
                match received.path.as_str() {
                    "/metadata" => Answer::ok(format!(
                        r#"{{"id":"p-1","hostname":"metal.example","ssh_keys":["{A} p",7],"tags":[]}}"#
                    )),
                    "/userdata" => Answer::ok(user_data),
                    _ => Answer::status(404),
                }
            });
        let machine = machine();
        machine.host.trust(authority.certificate());
        serve(&machine, "metadata.platformequinix.com", &service);
        ask(&machine, "packet");
        facts(&machine, &[("instance_id", "p-1"), ("hostname", "metal.example"), ("userdata", kept)]);
        assert_eq!(read(&machine, "/root/.ssh/authorized_keys"), format!("{A} p\n"));
    }
    // What answers to everything is not the cloud.
    let machine = machine();
    let page = Server::new(|_| Answer::ok("<html>Sign in</html>"));
    serve(&machine, "metadata.platformequinix.com", &page);
    assert!(machine.apply("datasource: {providers: [packet]}").messages().contains("no provider answers"));
    machine.assert_tree("");
}

#[test]
fn servers_that_are_silent_are_asked_twice_at_most_however_many_clouds_share_them() {
    let silent = Server::new(|_| Answer::ok("x").slowly(1, Duration::from_secs(5)));
    let machine = machine();
    machine.host.stall(Duration::from_millis(50));
    let names = [LINK_LOCAL, "metadata.google.internal", "169.254.42.42", "metaldata"];
    names.iter().for_each(|name| serve(&machine, name, &silent));
    let providers = "aws, openstack, hetzner, gcp, azure, digitalocean, vultr, scaleway, metaldata";
    let outcome = machine.apply(&format!("datasource: {{providers: [{providers}]}}"));
    assert_eq!(outcome.findings.len(), 1, "{}", outcome.messages());
    // Amazon's with and without a token, the others once; all of it twice.
    let received = silent.take_requests();
    assert_eq!(received.len(), 10, "{received:?}");
    machine.assert_tree("");
}

#[test]
fn openstack_has_a_way_of_its_own_and_that_of_amazon() {
    let machine = machine();
    let json = format!(
        r#"{{"uuid":"u-1","hostname":"os.example","availability_zone":"nova","public_keys":{{"mine":"{A}\n"}}}}"#
    );
    let service = texts(vec![
        ("/openstack/latest/meta_data.json", json),
        ("/openstack/latest/user_data", CONFIG.into()),
        ("/latest/meta-data/public-ipv4", "1.2.3.4".into()),
    ]);
    serve(&machine, LINK_LOCAL, &service);
    ask(&machine, "openstack");
    facts(
        &machine,
        &[
            ("instance_id", "u-1"),
            ("hostname", "os.example"),
            ("public_ipv4", "1.2.3.4"),
            ("userdata.yaml", CONFIG),
        ],
    );
    assert_eq!(read(&machine, "/root/.ssh/authorized_keys"), format!("{A}\n"));
    let machine = self::machine();
    let service = texts(ec2());
    serve(&machine, LINK_LOCAL, &service);
    ask(&machine, "openstack");
    facts(&machine, &[("instance_id", "i-1"), ("hostname", "web.internal")]);
}

#[test]
fn google_says_whom_a_key_is_for() {
    let service = Server::new(|received: &Received| {
        if received.header("metadata-flavor") != Some("Google") {
            return Answer::status(403);
        }
        let expired =
            format!("alice:{A} google-ssh {{\"userName\":\"a\",\"expireOn\":\"2018-01-01T00:00:00+0000\"}}");
        Answer::ok(match received.path.strip_prefix("/computeMetadata/v1/").unwrap_or_default() {
            "instance/id" => "77".to_owned(),
            "instance/hostname" => format!("vm.{}.internal", "long".repeat(20)),
            "instance/zone" => "projects/1/zones/europe-west1-b".to_owned(),
            "instance/attributes/ssh-keys" => format!("alice:{B} alice\n{expired}\n"),
            "project/attributes/ssh-keys" => format!("nobody-here:{A} x\nno key\n"),
            "instance/attributes/user-data" => "#!/bin/sh\n# nothing\n".to_owned(),
            _ => return Answer::status(404),
        })
    });
    let machine = machine();
    serve(&machine, "metadata.google.internal", &service);
    let outcome = ask(&machine, "gcp");
    facts(&machine, &[("instance_id", "77"), ("availability_zone", "europe-west1-b")]);
    assert_eq!(read(&machine, "/etc/hostname"), "vm\n");
    assert_eq!(read(&machine, "/home/alice/.ssh/authorized_keys"), format!("{B} alice\n"));
    assert_eq!(read(&machine, "/root/.ssh/authorized_keys"), format!("{A} x\n"));
    // A script with nothing but comments is one, too.
    assert_eq!(outcome.commands, ["/bin/sh /run/config/userdata"]);
}

#[test]
fn azure_hears_that_the_machine_is_ready() {
    let data = STANDARD.encode(CONFIG);
    let json = format!(
        r#"{{"compute":{{"vmId":"v-1","name":"az","zone":"2","userData":"{data}","publicKeys":[{{"keyData":"{A}\r\n"}}]}},
        "network":{{"interface":[{{"ipv4":{{"ipAddress":[{{"privateIpAddress":"10.1.0.4","publicIpAddress":""}}]}}}}]}}}}"#
    );
    let service = Server::new(move |received: &Received| match received.header("metadata") {
        Some("true") if received.path == "/metadata/instance?api-version=2021-01-01&format=json" => {
            Answer::ok(json.as_str())
        }
        _ => Answer::status(400),
    });
    let fabric = Server::new(|received: &Received| {
        match (received.method.as_str(), received.path.as_str()) {
            ("GET", "/machine?comp=goalstate") => Answer::ok(
                "<GoalState><Incarnation>3</Incarnation><Container><ContainerId>c-1</ContainerId><RoleInstanceList>\
             <RoleInstance><InstanceId>i-9</InstanceId></RoleInstance></RoleInstanceList></Container></GoalState>",
            ),
            ("POST", "/machine?comp=health") => Answer::ok(""),
            _ => Answer::status(404),
        }
    });
    let machine = machine();
    serve(&machine, LINK_LOCAL, &service);
    serve(&machine, "168.63.129.16", &fabric);
    ask(&machine, "azure");
    facts(
        &machine,
        &[
            ("instance_id", "v-1"),
            ("hostname", "az"),
            ("compute_zone", "2"),
            ("network_interface_0_ipv4_ipAddress_0_privateIpAddress", "10.1.0.4"),
            ("userdata.yaml", CONFIG),
        ],
    );
    assert_eq!(read(&machine, "/root/.ssh/authorized_keys"), format!("{A}\n"));
    let reports: Vec<_> =
        fabric.take_requests().into_iter().filter(|received| received.method == "POST").collect();
    let report = String::from_utf8(reports[0].body.clone()).unwrap();
    for part in ["<GoalStateIncarnation>3<", "<ContainerId>c-1<", "<InstanceId>i-9<", "<State>Ready<"] {
        assert!(report.contains(part), "{report}");
    }
}

#[test]
fn the_smaller_clouds_have_their_own_paths() {
    let key = format!("{A} k");
    let cases = [
        (
            "hetzner",
            LINK_LOCAL,
            vec![
                ("/hetzner/v1/metadata/instance-id", "5".into()),
                ("/hetzner/v1/metadata/hostname", "small".into()),
                ("/hetzner/v1/metadata/public-keys", format!("[{key:?}]")),
                ("/hetzner/v1/userdata", CONFIG.into()),
            ],
        ),
        (
            "digitalocean",
            LINK_LOCAL,
            vec![
                ("/metadata/v1/id", "5".into()),
                ("/metadata/v1/hostname", "small".into()),
                ("/metadata/v1/public-keys", key.clone()),
                ("/metadata/v1/user-data", CONFIG.into()),
            ],
        ),
        (
            "vultr",
            LINK_LOCAL,
            vec![
                ("/v1/instanceid", "5".into()),
                ("/v1/hostname", "small".into()),
                ("/v1/public-keys", key.clone()),
                ("/latest/user-data", CONFIG.into()),
            ],
        ),
        (
            "metaldata",
            "metaldata",
            vec![
                ("/get/meta/machine-id", "5".into()),
                ("/get/meta/hostname", "small".into()),
                ("/get/meta/public-keys", key.clone()),
                ("/get/user", CONFIG.into()),
            ],
        ),
    ];
    for (provider, name, service) in cases {
        let (machine, service) = (machine(), texts(service));
        serve(&machine, name, &service);
        ask(&machine, provider);
        facts(&machine, &[("instance_id", "5"), ("hostname", "small"), ("userdata.yaml", CONFIG)]);
        assert_eq!(read(&machine, "/root/.ssh/authorized_keys"), format!("{key}\n"), "{provider}");
    }
}

#[test]
fn scaleway_gives_what_it_gives_to_everybody() {
    let machine = machine();
    let conf = format!(
        "SSH_PUBLIC_KEYS=1\nSSH_PUBLIC_KEYS_0_KEY='{A} s'\nHOSTNAME=scw\nID=s-1\nLOCATION_ZONE_ID=par1\n"
    );
    let service = texts(vec![("/conf", conf)]);
    serve(&machine, "169.254.42.42", &service);
    let outcome = machine.apply("datasource: {providers: [scaleway]}");
    assert!(outcome.messages().contains("from a port below 1024"), "{}", outcome.messages());
    facts(&machine, &[("instance_id", "s-1"), ("hostname", "scw"), ("instance_location", "par1")]);
}

#[test]
fn the_firmware_decides_who_is_asked_first_and_only_one_counts() {
    let mut all = ec2();
    all.push(("/metadata/v1/id", "5".into()));
    all.push(("/metadata/v1/hostname", "droplet".into()));
    let service = texts(all);
    for (vendor, expected) in [("DigitalOcean\n", "digitalocean\n"), ("Somebody\n", "aws\n")] {
        let machine = machine();
        serve(&machine, LINK_LOCAL, &service);
        machine.host.kernel_file("/sys/class/dmi/id/sys_vendor", vendor);
        ask(&machine, "aws, digitalocean, aws");
        facts(&machine, &[("datasource", expected)]);
    }
}

#[test]
fn off_cloud_a_server_is_asked_twice_at_most_and_everybody_says_what_came_of_it() {
    let machine = machine();
    let outcome = machine.apply("datasource: {providers: [aws, openstack, gcp, maas, cdrom, file]}");
    let messages = outcome.messages();
    for part in [
        "Warning: test.yaml:1:47: there is no provider `maas`; there are aws, openstack",
        "the provider `file` needs `path`",
        "no provider answers: aws: cannot connect to 169.254.169.254: there is no such host; openstack: cannot connect \
         to 169.254.169.254",
        "gcp: cannot connect to metadata.google.internal",
        "cdrom: disks are those of a running machine",
    ] {
        assert!(messages.contains(part), "{part} in {messages}");
    }
    assert_eq!(machine.host.take_pauses().len(), 1);
    machine.assert_tree("");
    let outcome = machine.apply("datasource: {providers: [awz, vsphere]}");
    assert!(
        outcome.messages().contains("there is no provider `awz`; did you mean `aws`?"),
        "{}",
        outcome.messages()
    );
    assert!(outcome.effects.is_empty());
}

#[test]
fn once_somebody_has_answered_silence_is_only_a_warning() {
    let machine = machine();
    let service = texts(ec2());
    serve(&machine, LINK_LOCAL, &service);
    ask(&machine, "aws");
    let outcome = machine.apply("datasource: {providers: [gcp]}");
    assert!(outcome.messages().starts_with("Warning: "), "{}", outcome.messages());
    assert!(outcome.messages().contains("what was answered before in this boot stays"));
}

#[test]
fn a_plan_asks_nobody() {
    let machine = machine();
    let service = texts(ec2());
    serve(&machine, LINK_LOCAL, &service);
    let outcome = machine.plan("datasource: {providers: [aws]}");
    assert!(outcome.messages().contains("only a run asks aws"), "{}", outcome.messages());
    assert!(service.take_requests().is_empty() && outcome.effects.is_empty());
}

#[test]
fn a_service_that_breaks_off_or_lies_is_an_error_without_its_words() {
    for answer in [Answer::ok("CANARY").cut_after(2), Answer::status(503), Answer::ok("x").claiming(1 << 30)]
    {
        let service =
            Server::new(
                move |received: &Received| {
                    if received.path == "/metadata/v1/id" { Answer::ok("1") } else { answer.clone() }
                },
            );
        let machine = machine();
        serve(&machine, LINK_LOCAL, &service);
        let outcome = machine.apply("datasource: {providers: [digitalocean]}");
        assert_eq!(outcome.findings.len(), 1, "{}", outcome.messages());
        assert!(!outcome.messages().contains("CANARY"), "{}", outcome.messages());
        machine.assert_tree("");
    }
}

#[test]
fn names_that_would_lead_elsewhere_and_keys_that_are_none_are_told_and_the_rest_is_kept() {
    let machine = machine();
    let service = texts(vec![
        ("/metadata/v1/id", "../../x".into()),
        ("/metadata/v1/hostname", "{{ evil }}".into()),
        ("/metadata/v1/public-keys", format!("CANARY\n{A}\n")),
        ("/metadata/v1/user-data", "neither\n".into()),
    ]);
    serve(&machine, LINK_LOCAL, &service);
    let outcome = machine.apply("datasource: {providers: [digitalocean]}");
    let messages = outcome.messages();
    for part in
        ["is not a host name", "are no SSH keys that sshd would take", "the user-data is neither a script"]
    {
        assert!(messages.contains(part), "{part} in {messages}");
    }
    assert!(!messages.contains("CANARY"));
    assert_eq!(read(&machine, "/root/.ssh/authorized_keys"), format!("{A}\n"));
    facts(&machine, &[("instance_id", "../../x"), ("userdata", "neither\n"), ("userdata.yaml", "-")]);
}

#[test]
fn what_cannot_be_kept_is_told_and_all_else_is_kept() {
    let machine = Machine::new(
        "-- /etc/passwd\nroot:x:0:0::/root:/bin/sh\n-- /root/ 0700\n-- /run/config/public_ipv4/\n\
         -- /etc/hostname/\n",
    );
    let service = texts(vec![
        ("/metadata/v1/id", "5".into()),
        ("/metadata/v1/hostname", "small".into()),
        ("/metadata/v1/interfaces/public/0/ipv4/address", "1.2.3.4".into()),
        ("/metadata/v1/public-keys", A.into()),
        ("/metadata/v1/user-data", CONFIG.into()),
    ]);
    serve(&machine, LINK_LOCAL, &service);
    let messages = machine.apply("datasource: {providers: [digitalocean]}").messages();
    for part in ["cannot write /run/config/public_ipv4", "cannot write /etc/hostname"] {
        assert!(messages.contains(part), "{part} in {messages}");
    }
    assert_eq!(read(&machine, "/root/.ssh/authorized_keys"), format!("{A}\n"));
    facts(&machine, &[("instance_id", "5"), ("hostname", "small"), ("userdata.yaml", CONFIG)]);
}

/// A disk with a label, and the directory that it shows.
fn disk(machine: &Machine, name: &str, label: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let at = directory.path().join(path);
        #[allow(clippy::disallowed_methods, reason = "a test makes a disk")]
        {
            std::fs::create_dir_all(at.parent().unwrap()).unwrap();
            std::fs::write(at, content).unwrap();
        }
    }
    let mut head = vec![0; 34 << 10];
    head[0x8001..0x8006].copy_from_slice(b"CD001");
    head[0x8028..0x8048].copy_from_slice(format!("{label:32}").as_bytes());
    machine.host.disk(name, &head, directory.path());
    machine.host.live_here();
    directory
}

#[test]
fn a_disk_made_for_the_machine_comes_before_every_service() {
    let machine = machine();
    let meta = format!("instance-id: n-1\nlocal-hostname: disk\npublic-keys:\n- {A} d\n");
    let _other = disk(&machine, "sda", "OTHER", &[("user-data", "no")]);
    let _disk = disk(&machine, "sr0", "CIDATA", &[("user-data", CONFIG), ("meta-data", &meta)]);
    let service = texts(ec2());
    serve(&machine, LINK_LOCAL, &service);
    ask(&machine, "aws, cdrom");
    facts(
        &machine,
        &[("datasource", "cdrom\n"), ("instance_id", "n-1"), ("hostname", "disk"), ("userdata.yaml", CONFIG)],
    );
    assert_eq!(read(&machine, "/root/.ssh/authorized_keys"), format!("{A} d\n"));
    assert!(service.take_requests().is_empty());
}

#[test]
fn a_config_drive_has_metadata_too() {
    let machine = machine();
    let json = format!(r#"{{"uuid":"u","name":"drive","public_keys":{{"k":"{B}"}}}}"#);
    let files = [("openstack/latest/meta_data.json", json.as_str()), ("openstack/latest/user_data", CONFIG)];
    let _disk = disk(&machine, "vdb", "config-2", &files);
    ask(&machine, "config-drive");
    facts(&machine, &[("instance_id", "u"), ("hostname", "drive"), ("userdata", CONFIG)]);
    assert_eq!(read(&machine, "/root/.ssh/authorized_keys"), format!("{B}\n"));
    let outcome = machine.apply("datasource: {providers: [cdrom]}");
    assert!(outcome.messages().contains("cdrom: no disk has the label cidata"), "{}", outcome.messages());
}

#[test]
fn vmware_is_asked_by_its_tools() {
    let machine = machine();
    let step = "datasource: {providers: [vmware]}";
    let outcome = machine.apply(step);
    assert!(
        outcome.messages().contains("vmware: it does not know this machine") && outcome.commands.is_empty()
    );
    machine.host.kernel_file("/sys/class/dmi/id/sys_vendor", "VMware, Inc.\n");
    machine.host.answer("guestinfo.userdata", 0, &STANDARD.encode(CONFIG));
    machine.host.answer("guestinfo.userdata.encoding", 0, "base64\n");
    machine.host.answer("guestinfo.metadata", 0, "---");
    machine.host.answer("guestinfo.vendordata", 1, "No value found");
    ask(&machine, "vmware");
    facts(&machine, &[("userdata.yaml", CONFIG), ("metadata", "-")]);
    machine.host.answer("guestinfo.userdata.encoding", 0, "rot13\n");
    let outcome = machine.apply(step);
    assert!(outcome.messages().contains("\"rot13\", which is not known"), "{}", outcome.messages());
}

#[test]
fn user_data_of_many_parts_is_kept_and_run_part_by_part() {
    let part = |kind: &str, content: &str| format!("--b\nContent-Type: {kind}\n\n{content}\n");
    let message =
        |parts: &[String]| format!("Content-Type: multipart/mixed; boundary=b\n\n{}--b--\n", parts.concat());
    let machine = Machine::new("");
    let write = |text: &str| {
        #[allow(clippy::disallowed_methods, reason = "a test changes the file from outside")]
        std::fs::write(machine.root().join("data"), text).unwrap();
    };
    let (one, two) = ("#cloud-config\na: 1", "stages: {boot: [{name: x}]}");
    write(&message(&[
        part("text/cloud-config", one),
        part("text/x-shellscript", "#!/usr/bin/env bash\nexit"),
        part("text/plain", two),
    ]));
    let step = "datasource: {providers: [file], path: /data, userdata_name: 99_user.yaml}";
    let outcome = machine.apply(step);
    assert!(outcome.findings.is_empty(), "{}", outcome.messages());
    assert_eq!(outcome.commands, ["/usr/bin/env bash /run/config/userdata_script_01"]);
    facts(
        &machine,
        &[
            ("99_user.yaml", one),
            ("99_user_02.yaml", two),
            ("userdata_script_01", "#!/usr/bin/env bash\nexit"),
        ],
    );
    write(one);
    machine.host.answer("userdata", 3, "");
    machine.apply(step);
    facts(&machine, &[("99_user.yaml", one), ("99_user_02.yaml", "-")]);
    write("#!sh\n");
    assert!(machine.apply(step).messages().contains("names no interpreter"));
    write("#!/bin/sh -e\nexit 3\n");
    let outcome = machine.apply(step);
    assert!(
        outcome.messages().contains("the script /run/config/userdata ended with status 3"),
        "{}",
        outcome.messages()
    );
    assert_eq!(outcome.commands, ["/bin/sh -e /run/config/userdata"]);
    let mode = machine
        .system(crate::system::Mode::Apply)
        .metadata(Path::new("/run/config/userdata"))
        .unwrap()
        .unwrap()
        .mode;
    assert_eq!(mode, 0o700);
}

#[test]
fn user_data_goes_to_the_directory_that_is_named_whoever_gave_it() {
    let machine = machine();
    let service = texts(vec![("/metadata/v1/id", "1".into()), ("/metadata/v1/user-data", CONFIG.into())]);
    serve(&machine, LINK_LOCAL, &service);
    for name in ["a/b.yaml", "userdata", ".."] {
        let outcome =
            machine.apply(&format!("datasource: {{providers: [digitalocean], userdata_name: {name}}}"));
        assert!(outcome.messages().contains("cannot be the name of the document"), "{}", outcome.messages());
    }
    machine.assert_tree("");
    let step = "datasource: {providers: [file, digitalocean], path: /oem}";
    let outcome = machine.apply(step);
    assert!(outcome.findings.is_empty(), "{}", outcome.messages());
    assert_eq!(read(&machine, "/oem/userdata.yaml"), CONFIG);
    facts(&machine, &[("instance_id", "1"), ("userdata", "-")]);
}
