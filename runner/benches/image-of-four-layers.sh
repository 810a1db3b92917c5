#!/usr/bin/env bash
# For the other scripts, which read it: makes an image of four layers in layout/, as an operating system has them, and
# leaves the layers beside it. $directories says how large it is, 4 MB each beside 240 MB. Then serve_image starts a
# registry with it, and tell_medians says what $runs runs of both programs took.
: "${directories:?}" "${runs:?}"

# Files as an operating system has them: many small texts, fewer programs, a few large ones; always the same.
cat >content.pl <<'PERL'
my ($directory, $state, $directories) = @ARGV;
sub next_number { $state = ($state * 1103515245 + 12345) % 2147483648; return int($state / 65536) % $_[0] }
my @words = map { join "", map { chr(97 + next_number(26)) } 1 .. 3 + next_number(7) } 1 .. 4000;
my @parts = map { join "", map { chr(next_number(4) ? next_number(64) : next_number(256)) } 1 .. 4096 } 1 .. 256;
sub text { my $size = shift; my $text = ""; $text .= $words[next_number(4000)] . (next_number(9) ? " " : "\n") while length($text) < $size; return $text }
sub program { my $size = shift; my $text = ""; while (length($text) < $size) { my $part = $parts[next_number(256)]; substr($part, next_number(4096), 1) = chr(next_number(256)); $text .= $part } return $text }
sub put { my ($path, $content) = @_; open my $file, ">", "$directory/$path" or die; print $file $content; close $file }
for my $at (0 .. $directories - 1) {
    mkdir "$directory/d$at";
    put("d$at/t$_", text(500 + next_number(15000))) for 0 .. 49;
    put("d$at/p$_", program(100000 + next_number(400000))) for 0 .. 4;
    symlink "t$_", "$directory/d$at/l$_" for 0 .. 9;
}
put("large$_", program(15000000)) for 0 .. 3;
PERL

descriptor() { # descriptor TYPE FILE: puts a blob into the layout and says what describes it
    local digest
    digest=$(sha256sum <"$2" | cut -d' ' -f1)
    cp "$2" "layout/blobs/sha256/$digest"
    printf '{"mediaType":"%s","digest":"sha256:%s","size":%s}' "$1" "$digest" "$(stat -c %s "$2")"
}

mkdir -p layout/blobs/sha256
layers='' contents='' total=0
for layer in 1 2 3 4; do
    mkdir -p "tree/layer$layer"
    perl content.pl "tree/layer$layer" "$layer" "$directories"
    tar --sort=name --mtime=@0 -C tree -cf "$layer.tar" "layer$layer"
    contents="$contents${contents:+,}\"sha256:$(sha256sum <"$layer.tar" | cut -d' ' -f1)\""
    total=$((total + $(find "tree/layer$layer" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum }')))
    gzip -6 "$layer.tar"
    layers="$layers${layers:+,}$(descriptor application/vnd.oci.image.layer.v1.tar+gzip "$layer.tar.gz")"
done
rm -r tree
printf '{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[%s]}}' "$contents" >config
config=$(descriptor application/vnd.oci.image.config.v1+json config)
printf '{"schemaVersion":2,"config":%s,"layers":[%s]}' "$config" "$layers" >manifest
manifest=$(descriptor application/vnd.oci.image.manifest.v1+json manifest)
printf '{"schemaVersion":2,"manifests":[%s]}' "$manifest" >layout/index.json
printf '{"imageLayoutVersion":"1.0.0"}' >layout/oci-layout
echo "--- an image of $((total / 1000000)) MB in four layers, $(cat ./*.tar.gz | wc -c | awk '{print int($1 / 1000000)}') MB compressed"

serve_image() { # Moves the image to a registry, 127.0.0.1:$port/image:1, whose process is $registry.
    port=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')
    printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "127.0.0.1:%s"}\n' \
        "$PWD/storage" "$port" >registry.yml
    docker-registry serve registry.yml >/dev/null 2>&1 &
    registry=$!
    until skopeo copy --quiet --insecure-policy --dest-tls-verify=false oci:layout "docker://127.0.0.1:$port/image:1" 2>/dev/null; do
        sleep 0.2
    done
    rm -r layout
}

# Of a field of what time(1) has written.
median() { cut -d' ' -f"$2" "$1" | sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

tell_medians() { # tell_medians OTHERS: of the files reference and cosette
    local what
    for what in reference cosette; do
        echo "--- $what: median of $runs: $(median $what 1) s, $(median $what 2) s of the processor and $(median $what 3) s in the kernel," \
            "$(cut -d' ' -f1 $what | sort -n | sed -n '1p;$p' | paste -sd- -) s; at most $(cut -d' ' -f4 $what | sort -n | tail -1) KiB"
    done
    echo "$(median cosette 1) $(median reference 1)" | awk -v others="$1" '{ printf "--- %.2f times as long as %s\n", $1 / $2, others }'
}
