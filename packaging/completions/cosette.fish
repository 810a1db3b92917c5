# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_cosette_global_optspecs
    string join \n root= json v/verbose q/quiet color= h/help V/version
end

function __fish_cosette_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_cosette_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_cosette_using_subcommand
    set -l cmd (__fish_cosette_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c cosette -n "__fish_cosette_needs_command" -l root -d 'The root of the system to act on: all paths lie below it, and commands run chrooted into it' -r -F
complete -c cosette -n "__fish_cosette_needs_command" -l color -d 'When to use colours' -r -f -a "auto\t'When standard output is a terminal and NO_COLOR is not set'
always\t'Always'
never\t'Never'"
complete -c cosette -n "__fish_cosette_needs_command" -l json -d 'Print the report as JSON, and nothing else, on standard output'
complete -c cosette -n "__fish_cosette_needs_command" -s v -l verbose -d 'Say more: what was so already, too'
complete -c cosette -n "__fish_cosette_needs_command" -s q -l quiet -d 'Say only what failed'
complete -c cosette -n "__fish_cosette_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosette -n "__fish_cosette_needs_command" -s V -l version -d 'Print version'
complete -c cosette -n "__fish_cosette_needs_command" -f -a "run" -d 'Run a stage of this system: STAGE.before, STAGE and STAGE.after of all its sources'
complete -c cosette -n "__fish_cosette_needs_command" -f -a "apply" -d 'Run a stage of the given sources'
complete -c cosette -n "__fish_cosette_needs_command" -f -a "check" -d 'Show everything that is wrong with the given sources'
complete -c cosette -n "__fish_cosette_needs_command" -f -a "schema" -d 'Print the JSON Schema of stage documents and cloud-configs, for editors'
complete -c cosette -n "__fish_cosette_needs_command" -f -a "mount" -d 'Lay volumes, overlays and persistent directories over the root file system, in the initramfs'
complete -c cosette -n "__fish_cosette_needs_command" -f -a "status" -d 'Show how the stages of a boot went, and first what failed and why'
complete -c cosette -n "__fish_cosette_needs_command" -f -a "blame" -d 'Show what took the stages of a boot longest, and how much of that were programs'
complete -c cosette -n "__fish_cosette_needs_command" -f -a "explain" -d 'Show which document, line and step made a file, a user or a unit what it is'
complete -c cosette -n "__fish_cosette_needs_command" -f -a "pull" -d 'Put the files of a container image into a directory'
complete -c cosette -n "__fish_cosette_needs_command" -f -a "init" -d 'Make the tree of an image boot with cosette: units, documents, initramfs'
complete -c cosette -n "__fish_cosette_needs_command" -f -a "install" -d 'Install a system on a disk of this machine'
complete -c cosette -n "__fish_cosette_needs_command" -f -a "build" -d 'Build images to be written to a medium'
complete -c cosette -n "__fish_cosette_needs_command" -f -a "upgrade" -d 'Replace the active system by a new one, which becomes good when it has booted'
complete -c cosette -n "__fish_cosette_needs_command" -f -a "recover" -d 'Make active and passive system anew, from the recovery system or another source'
complete -c cosette -n "__fish_cosette_needs_command" -f -a "rollback" -d 'Make the passive system the active one, and the other way round'
complete -c cosette -n "__fish_cosette_needs_command" -f -a "state" -d 'Show the systems of this machine: what was booted, what boots next, what runs now'
complete -c cosette -n "__fish_cosette_needs_command" -f -a "plan" -d 'Show what a stage would do, and do nothing'
complete -c cosette -n "__fish_cosette_needs_command" -f -a "try" -d 'Run a stage for real in a throw-away copy of this system, and show what it changed'
complete -c cosette -n "__fish_cosette_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cosette -n "__fish_cosette_using_subcommand run" -l inside -d 'See what is mounted at DIR as the root of this machine, which it is going to be' -r -F
complete -c cosette -n "__fish_cosette_using_subcommand run" -l root -d 'The root of the system to act on: all paths lie below it, and commands run chrooted into it' -r -F
complete -c cosette -n "__fish_cosette_using_subcommand run" -l color -d 'When to use colours' -r -f -a "auto\t'When standard output is a terminal and NO_COLOR is not set'
always\t'Always'
never\t'Never'"
complete -c cosette -n "__fish_cosette_using_subcommand run" -l json -d 'Print the report as JSON, and nothing else, on standard output'
complete -c cosette -n "__fish_cosette_using_subcommand run" -s v -l verbose -d 'Say more: what was so already, too'
complete -c cosette -n "__fish_cosette_using_subcommand run" -s q -l quiet -d 'Say only what failed'
complete -c cosette -n "__fish_cosette_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosette -n "__fish_cosette_using_subcommand apply" -s s -l stage -d 'The stage' -r
complete -c cosette -n "__fish_cosette_using_subcommand apply" -l root -d 'The root of the system to act on: all paths lie below it, and commands run chrooted into it' -r -F
complete -c cosette -n "__fish_cosette_using_subcommand apply" -l color -d 'When to use colours' -r -f -a "auto\t'When standard output is a terminal and NO_COLOR is not set'
always\t'Always'
never\t'Never'"
complete -c cosette -n "__fish_cosette_using_subcommand apply" -l json -d 'Print the report as JSON, and nothing else, on standard output'
complete -c cosette -n "__fish_cosette_using_subcommand apply" -s v -l verbose -d 'Say more: what was so already, too'
complete -c cosette -n "__fish_cosette_using_subcommand apply" -s q -l quiet -d 'Say only what failed'
complete -c cosette -n "__fish_cosette_using_subcommand apply" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosette -n "__fish_cosette_using_subcommand check" -l format -d 'How findings are printed' -r -f -a "human\t'With the lines they are about, for people'
json\t'As one JSON object; the same as --json'
sarif\t'As a log in SARIF 2.1.0, for code hosts'
github\t'As workflow commands of GitHub Actions'"
complete -c cosette -n "__fish_cosette_using_subcommand check" -l root -d 'The root of the system to act on: all paths lie below it, and commands run chrooted into it' -r -F
complete -c cosette -n "__fish_cosette_using_subcommand check" -l color -d 'When to use colours' -r -f -a "auto\t'When standard output is a terminal and NO_COLOR is not set'
always\t'Always'
never\t'Never'"
complete -c cosette -n "__fish_cosette_using_subcommand check" -l json -d 'Print the report as JSON, and nothing else, on standard output'
complete -c cosette -n "__fish_cosette_using_subcommand check" -s v -l verbose -d 'Say more: what was so already, too'
complete -c cosette -n "__fish_cosette_using_subcommand check" -s q -l quiet -d 'Say only what failed'
complete -c cosette -n "__fish_cosette_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosette -n "__fish_cosette_using_subcommand schema" -l root -d 'The root of the system to act on: all paths lie below it, and commands run chrooted into it' -r -F
complete -c cosette -n "__fish_cosette_using_subcommand schema" -l color -d 'When to use colours' -r -f -a "auto\t'When standard output is a terminal and NO_COLOR is not set'
always\t'Always'
never\t'Never'"
complete -c cosette -n "__fish_cosette_using_subcommand schema" -l json -d 'Print the report as JSON, and nothing else, on standard output'
complete -c cosette -n "__fish_cosette_using_subcommand schema" -s v -l verbose -d 'Say more: what was so already, too'
complete -c cosette -n "__fish_cosette_using_subcommand schema" -s q -l quiet -d 'Say only what failed'
complete -c cosette -n "__fish_cosette_using_subcommand schema" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosette -n "__fish_cosette_using_subcommand mount" -l sysroot -d 'Where the root file system is mounted' -r -F
complete -c cosette -n "__fish_cosette_using_subcommand mount" -l root -d 'The root of the system to act on: all paths lie below it, and commands run chrooted into it' -r -F
complete -c cosette -n "__fish_cosette_using_subcommand mount" -l color -d 'When to use colours' -r -f -a "auto\t'When standard output is a terminal and NO_COLOR is not set'
always\t'Always'
never\t'Never'"
complete -c cosette -n "__fish_cosette_using_subcommand mount" -l dry-run -d 'Show what would be mounted, and the lines of fstab for it; do nothing'
complete -c cosette -n "__fish_cosette_using_subcommand mount" -l json -d 'Print the report as JSON, and nothing else, on standard output'
complete -c cosette -n "__fish_cosette_using_subcommand mount" -s v -l verbose -d 'Say more: what was so already, too'
complete -c cosette -n "__fish_cosette_using_subcommand mount" -s q -l quiet -d 'Say only what failed'
complete -c cosette -n "__fish_cosette_using_subcommand mount" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosette -n "__fish_cosette_using_subcommand status" -s b -l boot -d 'Another boot than this: -1 is the one before it, 1 the oldest that is known; or its id' -r
complete -c cosette -n "__fish_cosette_using_subcommand status" -l timeout -d 'How long: seconds, or a number with a unit, such as 5min; 10min if it is left out' -r
complete -c cosette -n "__fish_cosette_using_subcommand status" -l root -d 'The root of the system to act on: all paths lie below it, and commands run chrooted into it' -r -F
complete -c cosette -n "__fish_cosette_using_subcommand status" -l color -d 'When to use colours' -r -f -a "auto\t'When standard output is a terminal and NO_COLOR is not set'
always\t'Always'
never\t'Never'"
complete -c cosette -n "__fish_cosette_using_subcommand status" -l list-boots -d 'List the boots that are known, with the time that their stages took and what failed'
complete -c cosette -n "__fish_cosette_using_subcommand status" -l wait -d 'Wait until the stages of this boot have ended: fs, boot and network, as far as their units are enabled'
complete -c cosette -n "__fish_cosette_using_subcommand status" -l json -d 'Print the report as JSON, and nothing else, on standard output'
complete -c cosette -n "__fish_cosette_using_subcommand status" -s v -l verbose -d 'Say more: what was so already, too'
complete -c cosette -n "__fish_cosette_using_subcommand status" -s q -l quiet -d 'Say only what failed'
complete -c cosette -n "__fish_cosette_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosette -n "__fish_cosette_using_subcommand blame" -s b -l boot -d 'Another boot than this: -1 is the one before it, 1 the oldest that is known; or its id' -r
complete -c cosette -n "__fish_cosette_using_subcommand blame" -l root -d 'The root of the system to act on: all paths lie below it, and commands run chrooted into it' -r -F
complete -c cosette -n "__fish_cosette_using_subcommand blame" -l color -d 'When to use colours' -r -f -a "auto\t'When standard output is a terminal and NO_COLOR is not set'
always\t'Always'
never\t'Never'"
complete -c cosette -n "__fish_cosette_using_subcommand blame" -l json -d 'Print the report as JSON, and nothing else, on standard output'
complete -c cosette -n "__fish_cosette_using_subcommand blame" -s v -l verbose -d 'Say more: what was so already, too'
complete -c cosette -n "__fish_cosette_using_subcommand blame" -s q -l quiet -d 'Say only what failed'
complete -c cosette -n "__fish_cosette_using_subcommand blame" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosette -n "__fish_cosette_using_subcommand explain" -s b -l boot -d 'Another boot than this: -1 is the one before it, 1 the oldest that is known; or its id' -r
complete -c cosette -n "__fish_cosette_using_subcommand explain" -l from -d 'Say what these documents would do, instead: a file, a directory, a URL, `-` or `builtin:`' -r
complete -c cosette -n "__fish_cosette_using_subcommand explain" -l root -d 'The root of the system to act on: all paths lie below it, and commands run chrooted into it' -r -F
complete -c cosette -n "__fish_cosette_using_subcommand explain" -l color -d 'When to use colours' -r -f -a "auto\t'When standard output is a terminal and NO_COLOR is not set'
always\t'Always'
never\t'Never'"
complete -c cosette -n "__fish_cosette_using_subcommand explain" -l json -d 'Print the report as JSON, and nothing else, on standard output'
complete -c cosette -n "__fish_cosette_using_subcommand explain" -s v -l verbose -d 'Say more: what was so already, too'
complete -c cosette -n "__fish_cosette_using_subcommand explain" -s q -l quiet -d 'Say only what failed'
complete -c cosette -n "__fish_cosette_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosette -n "__fish_cosette_using_subcommand pull" -l platform -d 'The platform the image must be for, such as linux/arm64; else that of this machine' -r
complete -c cosette -n "__fish_cosette_using_subcommand pull" -l root -d 'The root of the system to act on: all paths lie below it, and commands run chrooted into it' -r -F
complete -c cosette -n "__fish_cosette_using_subcommand pull" -l color -d 'When to use colours' -r -f -a "auto\t'When standard output is a terminal and NO_COLOR is not set'
always\t'Always'
never\t'Never'"
complete -c cosette -n "__fish_cosette_using_subcommand pull" -l insecure -d 'Speak plain HTTP to the registry'
complete -c cosette -n "__fish_cosette_using_subcommand pull" -l dry-run -d 'Look for the image and verify it, and show what would be pulled'
complete -c cosette -n "__fish_cosette_using_subcommand pull" -l json -d 'Print the report as JSON, and nothing else, on standard output'
complete -c cosette -n "__fish_cosette_using_subcommand pull" -s v -l verbose -d 'Say more: what was so already, too'
complete -c cosette -n "__fish_cosette_using_subcommand pull" -s q -l quiet -d 'Say only what failed'
complete -c cosette -n "__fish_cosette_using_subcommand pull" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosette -n "__fish_cosette_using_subcommand init" -l without -d 'What to leave out' -r -f -a "binary\t'This program, as /usr/bin/cosette, if there is none'
units\t'The units of systemd for the stages, enabled, /oem to mount at, and an empty /etc/machine-id'
oem\t'The default set of documents, in /system/oem; what is there stays'
names\t'The names of the peers, as links to the binary: cos-setup, elemental, yip'
manual\t'The pages of the manual, and what lets bash, zsh and fish complete the command line'
dracut\t'The module for dracut'
initramfs\t'The initramfs of each kernel, built anew with dracut, and /boot/vmlinuz and /boot/initrd'"
complete -c cosette -n "__fish_cosette_using_subcommand init" -l root -d 'The root of the system to act on: all paths lie below it, and commands run chrooted into it' -r -F
complete -c cosette -n "__fish_cosette_using_subcommand init" -l color -d 'When to use colours' -r -f -a "auto\t'When standard output is a terminal and NO_COLOR is not set'
always\t'Always'
never\t'Never'"
complete -c cosette -n "__fish_cosette_using_subcommand init" -l dry-run -d 'Show what would be done, and do nothing'
complete -c cosette -n "__fish_cosette_using_subcommand init" -l json -d 'Print the report as JSON, and nothing else, on standard output'
complete -c cosette -n "__fish_cosette_using_subcommand init" -s v -l verbose -d 'Say more: what was so already, too'
complete -c cosette -n "__fish_cosette_using_subcommand init" -s q -l quiet -d 'Say only what failed'
complete -c cosette -n "__fish_cosette_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosette -n "__fish_cosette_using_subcommand install" -l system -d 'The same' -r
complete -c cosette -n "__fish_cosette_using_subcommand install" -l recovery-system -d 'Where the recovery system comes from; the same system if it is left out' -r
complete -c cosette -n "__fish_cosette_using_subcommand install" -s c -l cloud-init -d 'A document for /oem: a file or a URL. They are run in the order in which they are given' -r
complete -c cosette -n "__fish_cosette_using_subcommand install" -l root -d 'The root of the system to act on: all paths lie below it, and commands run chrooted into it' -r -F
complete -c cosette -n "__fish_cosette_using_subcommand install" -l color -d 'When to use colours' -r -f -a "auto\t'When standard output is a terminal and NO_COLOR is not set'
always\t'Always'
never\t'Never'"
complete -c cosette -n "__fish_cosette_using_subcommand install" -l no-format -d 'Use the partitions that are there: efi, oem, recovery and state, and persistent if it is there'
complete -c cosette -n "__fish_cosette_using_subcommand install" -l force -d 'Also onto a disk that holds a system, or anything else: it is lost'
complete -c cosette -n "__fish_cosette_using_subcommand install" -l disable-boot-entry -d 'Make no entry in the firmware'
complete -c cosette -n "__fish_cosette_using_subcommand install" -l dry-run -d 'Show what would be done, and do nothing'
complete -c cosette -n "__fish_cosette_using_subcommand install" -l reboot -d 'Restart when all is done'
complete -c cosette -n "__fish_cosette_using_subcommand install" -l poweroff -d 'Switch off when all is done'
complete -c cosette -n "__fish_cosette_using_subcommand install" -l json -d 'Print the report as JSON, and nothing else, on standard output'
complete -c cosette -n "__fish_cosette_using_subcommand install" -s v -l verbose -d 'Say more: what was so already, too'
complete -c cosette -n "__fish_cosette_using_subcommand install" -s q -l quiet -d 'Say only what failed'
complete -c cosette -n "__fish_cosette_using_subcommand install" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosette -n "__fish_cosette_using_subcommand build; and not __fish_seen_subcommand_from disk help" -l root -d 'The root of the system to act on: all paths lie below it, and commands run chrooted into it' -r -F
complete -c cosette -n "__fish_cosette_using_subcommand build; and not __fish_seen_subcommand_from disk help" -l color -d 'When to use colours' -r -f -a "auto\t'When standard output is a terminal and NO_COLOR is not set'
always\t'Always'
never\t'Never'"
complete -c cosette -n "__fish_cosette_using_subcommand build; and not __fish_seen_subcommand_from disk help" -l json -d 'Print the report as JSON, and nothing else, on standard output'
complete -c cosette -n "__fish_cosette_using_subcommand build; and not __fish_seen_subcommand_from disk help" -s v -l verbose -d 'Say more: what was so already, too'
complete -c cosette -n "__fish_cosette_using_subcommand build; and not __fish_seen_subcommand_from disk help" -s q -l quiet -d 'Say only what failed'
complete -c cosette -n "__fish_cosette_using_subcommand build; and not __fish_seen_subcommand_from disk help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosette -n "__fish_cosette_using_subcommand build; and not __fish_seen_subcommand_from disk help" -f -a "disk" -d 'Build the image of a disk with a system: as `install` would leave it'
complete -c cosette -n "__fish_cosette_using_subcommand build; and not __fish_seen_subcommand_from disk help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cosette -n "__fish_cosette_using_subcommand build; and __fish_seen_subcommand_from disk" -l size -d 'The size of the disk, in MiB or with a unit: 8GiB' -r
complete -c cosette -n "__fish_cosette_using_subcommand build; and __fish_seen_subcommand_from disk" -l system -d 'The same' -r
complete -c cosette -n "__fish_cosette_using_subcommand build; and __fish_seen_subcommand_from disk" -l recovery-system -d 'Where the recovery system comes from; the same system if it is left out' -r
complete -c cosette -n "__fish_cosette_using_subcommand build; and __fish_seen_subcommand_from disk" -s c -l cloud-init -d 'A document for /oem: a file or a URL. They are run in the order in which they are given' -r
complete -c cosette -n "__fish_cosette_using_subcommand build; and __fish_seen_subcommand_from disk" -l root -d 'The root of the system to act on: all paths lie below it, and commands run chrooted into it' -r -F
complete -c cosette -n "__fish_cosette_using_subcommand build; and __fish_seen_subcommand_from disk" -l color -d 'When to use colours' -r -f -a "auto\t'When standard output is a terminal and NO_COLOR is not set'
always\t'Always'
never\t'Never'"
complete -c cosette -n "__fish_cosette_using_subcommand build; and __fish_seen_subcommand_from disk" -l dry-run -d 'Show what would be done, and do nothing'
complete -c cosette -n "__fish_cosette_using_subcommand build; and __fish_seen_subcommand_from disk" -l json -d 'Print the report as JSON, and nothing else, on standard output'
complete -c cosette -n "__fish_cosette_using_subcommand build; and __fish_seen_subcommand_from disk" -s v -l verbose -d 'Say more: what was so already, too'
complete -c cosette -n "__fish_cosette_using_subcommand build; and __fish_seen_subcommand_from disk" -s q -l quiet -d 'Say only what failed'
complete -c cosette -n "__fish_cosette_using_subcommand build; and __fish_seen_subcommand_from disk" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosette -n "__fish_cosette_using_subcommand build; and __fish_seen_subcommand_from help" -f -a "disk" -d 'Build the image of a disk with a system: as `install` would leave it'
complete -c cosette -n "__fish_cosette_using_subcommand build; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cosette -n "__fish_cosette_using_subcommand upgrade" -l system -d 'The same' -r
complete -c cosette -n "__fish_cosette_using_subcommand upgrade" -l root -d 'The root of the system to act on: all paths lie below it, and commands run chrooted into it' -r -F
complete -c cosette -n "__fish_cosette_using_subcommand upgrade" -l color -d 'When to use colours' -r -f -a "auto\t'When standard output is a terminal and NO_COLOR is not set'
always\t'Always'
never\t'Never'"
complete -c cosette -n "__fish_cosette_using_subcommand upgrade" -l recovery -d 'Replace the recovery system instead'
complete -c cosette -n "__fish_cosette_using_subcommand upgrade" -l force -d 'Also if the system is there already'
complete -c cosette -n "__fish_cosette_using_subcommand upgrade" -l dry-run -d 'Show what would be done, and do nothing'
complete -c cosette -n "__fish_cosette_using_subcommand upgrade" -l reboot -d 'Restart when all is done'
complete -c cosette -n "__fish_cosette_using_subcommand upgrade" -l poweroff -d 'Switch off when all is done'
complete -c cosette -n "__fish_cosette_using_subcommand upgrade" -l json -d 'Print the report as JSON, and nothing else, on standard output'
complete -c cosette -n "__fish_cosette_using_subcommand upgrade" -s v -l verbose -d 'Say more: what was so already, too'
complete -c cosette -n "__fish_cosette_using_subcommand upgrade" -s q -l quiet -d 'Say only what failed'
complete -c cosette -n "__fish_cosette_using_subcommand upgrade" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosette -n "__fish_cosette_using_subcommand recover" -l from -l system -d 'Where the system comes from, as for `upgrade`; the recovery system if it is left out' -r
complete -c cosette -n "__fish_cosette_using_subcommand recover" -s c -l cloud-init -d 'A document for /oem, after that was wiped if it is: a file or a URL. In the order in which they are given' -r
complete -c cosette -n "__fish_cosette_using_subcommand recover" -l root -d 'The root of the system to act on: all paths lie below it, and commands run chrooted into it' -r -F
complete -c cosette -n "__fish_cosette_using_subcommand recover" -l color -d 'When to use colours' -r -f -a "auto\t'When standard output is a terminal and NO_COLOR is not set'
always\t'Always'
never\t'Never'"
complete -c cosette -n "__fish_cosette_using_subcommand recover" -l reset-persistent -d 'Wipe the persistent data (COS_PERSISTENT)'
complete -c cosette -n "__fish_cosette_using_subcommand recover" -l reset-oem -d 'Wipe the documents of this machine (COS_OEM)'
complete -c cosette -n "__fish_cosette_using_subcommand recover" -l dry-run -d 'Show what would be done, and do nothing'
complete -c cosette -n "__fish_cosette_using_subcommand recover" -l reboot -d 'Restart when all is done'
complete -c cosette -n "__fish_cosette_using_subcommand recover" -l poweroff -d 'Switch off when all is done'
complete -c cosette -n "__fish_cosette_using_subcommand recover" -l json -d 'Print the report as JSON, and nothing else, on standard output'
complete -c cosette -n "__fish_cosette_using_subcommand recover" -s v -l verbose -d 'Say more: what was so already, too'
complete -c cosette -n "__fish_cosette_using_subcommand recover" -s q -l quiet -d 'Say only what failed'
complete -c cosette -n "__fish_cosette_using_subcommand recover" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosette -n "__fish_cosette_using_subcommand rollback" -l to -d 'Which system, for the next boot' -r -f -a "active\t'The one in use'
passive\t'The one before'
recovery\t'The one that mends the others'"
complete -c cosette -n "__fish_cosette_using_subcommand rollback" -l root -d 'The root of the system to act on: all paths lie below it, and commands run chrooted into it' -r -F
complete -c cosette -n "__fish_cosette_using_subcommand rollback" -l color -d 'When to use colours' -r -f -a "auto\t'When standard output is a terminal and NO_COLOR is not set'
always\t'Always'
never\t'Never'"
complete -c cosette -n "__fish_cosette_using_subcommand rollback" -l once -d 'Only for the next boot'
complete -c cosette -n "__fish_cosette_using_subcommand rollback" -l dry-run -d 'Show what would be done, and do nothing'
complete -c cosette -n "__fish_cosette_using_subcommand rollback" -l reboot -d 'Restart when all is done'
complete -c cosette -n "__fish_cosette_using_subcommand rollback" -l poweroff -d 'Switch off when all is done'
complete -c cosette -n "__fish_cosette_using_subcommand rollback" -l json -d 'Print the report as JSON, and nothing else, on standard output'
complete -c cosette -n "__fish_cosette_using_subcommand rollback" -s v -l verbose -d 'Say more: what was so already, too'
complete -c cosette -n "__fish_cosette_using_subcommand rollback" -s q -l quiet -d 'Say only what failed'
complete -c cosette -n "__fish_cosette_using_subcommand rollback" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosette -n "__fish_cosette_using_subcommand state" -l root -d 'The root of the system to act on: all paths lie below it, and commands run chrooted into it' -r -F
complete -c cosette -n "__fish_cosette_using_subcommand state" -l color -d 'When to use colours' -r -f -a "auto\t'When standard output is a terminal and NO_COLOR is not set'
always\t'Always'
never\t'Never'"
complete -c cosette -n "__fish_cosette_using_subcommand state" -l good -d 'Tell the boot loader that the system that was booted is good'
complete -c cosette -n "__fish_cosette_using_subcommand state" -l json -d 'Print the report as JSON, and nothing else, on standard output'
complete -c cosette -n "__fish_cosette_using_subcommand state" -s v -l verbose -d 'Say more: what was so already, too'
complete -c cosette -n "__fish_cosette_using_subcommand state" -s q -l quiet -d 'Say only what failed'
complete -c cosette -n "__fish_cosette_using_subcommand state" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosette -n "__fish_cosette_using_subcommand plan" -s s -l stage -d 'The stage, when sources are given' -r
complete -c cosette -n "__fish_cosette_using_subcommand plan" -l root -d 'The root of the system to act on: all paths lie below it, and commands run chrooted into it' -r -F
complete -c cosette -n "__fish_cosette_using_subcommand plan" -l color -d 'When to use colours' -r -f -a "auto\t'When standard output is a terminal and NO_COLOR is not set'
always\t'Always'
never\t'Never'"
complete -c cosette -n "__fish_cosette_using_subcommand plan" -l json -d 'Print the report as JSON, and nothing else, on standard output'
complete -c cosette -n "__fish_cosette_using_subcommand plan" -s v -l verbose -d 'Say more: what was so already, too'
complete -c cosette -n "__fish_cosette_using_subcommand plan" -s q -l quiet -d 'Say only what failed'
complete -c cosette -n "__fish_cosette_using_subcommand plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosette -n "__fish_cosette_using_subcommand try" -s s -l stage -d 'The stage, when sources are given; of several, one runs after the other' -r
complete -c cosette -n "__fish_cosette_using_subcommand try" -l image -d 'Try it on this container image, not on this machine' -r
complete -c cosette -n "__fish_cosette_using_subcommand try" -l keep -d 'Keep what was written in a new directory, as a layer of an image' -r -F
complete -c cosette -n "__fish_cosette_using_subcommand try" -l network -d 'The network that steps see' -r -f -a "host\t'That of this machine'
none\t'None at all'"
complete -c cosette -n "__fish_cosette_using_subcommand try" -l root -d 'The root of the system to act on: all paths lie below it, and commands run chrooted into it' -r -F
complete -c cosette -n "__fish_cosette_using_subcommand try" -l color -d 'When to use colours' -r -f -a "auto\t'When standard output is a terminal and NO_COLOR is not set'
always\t'Always'
never\t'Never'"
complete -c cosette -n "__fish_cosette_using_subcommand try" -l boot -d 'Run rootfs, initramfs, fs, boot and network, as a machine does when it starts'
complete -c cosette -n "__fish_cosette_using_subcommand try" -l shell -d 'Open a shell in the result'
complete -c cosette -n "__fish_cosette_using_subcommand try" -l json -d 'Print the report as JSON, and nothing else, on standard output'
complete -c cosette -n "__fish_cosette_using_subcommand try" -s v -l verbose -d 'Say more: what was so already, too'
complete -c cosette -n "__fish_cosette_using_subcommand try" -s q -l quiet -d 'Say only what failed'
complete -c cosette -n "__fish_cosette_using_subcommand try" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosette -n "__fish_cosette_using_subcommand help; and not __fish_seen_subcommand_from run apply check schema mount status blame explain pull init install build upgrade recover rollback state plan try help" -f -a "run" -d 'Run a stage of this system: STAGE.before, STAGE and STAGE.after of all its sources'
complete -c cosette -n "__fish_cosette_using_subcommand help; and not __fish_seen_subcommand_from run apply check schema mount status blame explain pull init install build upgrade recover rollback state plan try help" -f -a "apply" -d 'Run a stage of the given sources'
complete -c cosette -n "__fish_cosette_using_subcommand help; and not __fish_seen_subcommand_from run apply check schema mount status blame explain pull init install build upgrade recover rollback state plan try help" -f -a "check" -d 'Show everything that is wrong with the given sources'
complete -c cosette -n "__fish_cosette_using_subcommand help; and not __fish_seen_subcommand_from run apply check schema mount status blame explain pull init install build upgrade recover rollback state plan try help" -f -a "schema" -d 'Print the JSON Schema of stage documents and cloud-configs, for editors'
complete -c cosette -n "__fish_cosette_using_subcommand help; and not __fish_seen_subcommand_from run apply check schema mount status blame explain pull init install build upgrade recover rollback state plan try help" -f -a "mount" -d 'Lay volumes, overlays and persistent directories over the root file system, in the initramfs'
complete -c cosette -n "__fish_cosette_using_subcommand help; and not __fish_seen_subcommand_from run apply check schema mount status blame explain pull init install build upgrade recover rollback state plan try help" -f -a "status" -d 'Show how the stages of a boot went, and first what failed and why'
complete -c cosette -n "__fish_cosette_using_subcommand help; and not __fish_seen_subcommand_from run apply check schema mount status blame explain pull init install build upgrade recover rollback state plan try help" -f -a "blame" -d 'Show what took the stages of a boot longest, and how much of that were programs'
complete -c cosette -n "__fish_cosette_using_subcommand help; and not __fish_seen_subcommand_from run apply check schema mount status blame explain pull init install build upgrade recover rollback state plan try help" -f -a "explain" -d 'Show which document, line and step made a file, a user or a unit what it is'
complete -c cosette -n "__fish_cosette_using_subcommand help; and not __fish_seen_subcommand_from run apply check schema mount status blame explain pull init install build upgrade recover rollback state plan try help" -f -a "pull" -d 'Put the files of a container image into a directory'
complete -c cosette -n "__fish_cosette_using_subcommand help; and not __fish_seen_subcommand_from run apply check schema mount status blame explain pull init install build upgrade recover rollback state plan try help" -f -a "init" -d 'Make the tree of an image boot with cosette: units, documents, initramfs'
complete -c cosette -n "__fish_cosette_using_subcommand help; and not __fish_seen_subcommand_from run apply check schema mount status blame explain pull init install build upgrade recover rollback state plan try help" -f -a "install" -d 'Install a system on a disk of this machine'
complete -c cosette -n "__fish_cosette_using_subcommand help; and not __fish_seen_subcommand_from run apply check schema mount status blame explain pull init install build upgrade recover rollback state plan try help" -f -a "build" -d 'Build images to be written to a medium'
complete -c cosette -n "__fish_cosette_using_subcommand help; and not __fish_seen_subcommand_from run apply check schema mount status blame explain pull init install build upgrade recover rollback state plan try help" -f -a "upgrade" -d 'Replace the active system by a new one, which becomes good when it has booted'
complete -c cosette -n "__fish_cosette_using_subcommand help; and not __fish_seen_subcommand_from run apply check schema mount status blame explain pull init install build upgrade recover rollback state plan try help" -f -a "recover" -d 'Make active and passive system anew, from the recovery system or another source'
complete -c cosette -n "__fish_cosette_using_subcommand help; and not __fish_seen_subcommand_from run apply check schema mount status blame explain pull init install build upgrade recover rollback state plan try help" -f -a "rollback" -d 'Make the passive system the active one, and the other way round'
complete -c cosette -n "__fish_cosette_using_subcommand help; and not __fish_seen_subcommand_from run apply check schema mount status blame explain pull init install build upgrade recover rollback state plan try help" -f -a "state" -d 'Show the systems of this machine: what was booted, what boots next, what runs now'
complete -c cosette -n "__fish_cosette_using_subcommand help; and not __fish_seen_subcommand_from run apply check schema mount status blame explain pull init install build upgrade recover rollback state plan try help" -f -a "plan" -d 'Show what a stage would do, and do nothing'
complete -c cosette -n "__fish_cosette_using_subcommand help; and not __fish_seen_subcommand_from run apply check schema mount status blame explain pull init install build upgrade recover rollback state plan try help" -f -a "try" -d 'Run a stage for real in a throw-away copy of this system, and show what it changed'
complete -c cosette -n "__fish_cosette_using_subcommand help; and not __fish_seen_subcommand_from run apply check schema mount status blame explain pull init install build upgrade recover rollback state plan try help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cosette -n "__fish_cosette_using_subcommand help; and __fish_seen_subcommand_from build" -f -a "disk" -d 'Build the image of a disk with a system: as `install` would leave it'
