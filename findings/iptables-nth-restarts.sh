#!/usr/bin/env bash
# Tool and version: iptables 1.8.9 as iptables-legacy and as iptables-nft, match statistic (--mode nth); Linux 6.18
# Guess: the counter of an nth rule goes on when an unrelated rule is added elsewhere, or at least both variants
#        of iptables do the same.
# Seen:  iptables-nft goes on counting; iptables-legacy, which replaces the whole table at each change, makes
#        every nth counter begin anew. With a rule added before each packet, "--every 4 --packet 3" never matches.
#          8 packets, --every 4:                          nft 2 matches, legacy 2
#          the same, an unrelated rule added before each: nft 2 matches, legacy 0
set -euo pipefail

PATH="$PATH:/usr/sbin:/sbin"
echo "Linux $(uname -r), $(iptables-nft --version), $(iptables-legacy --version)"
exec timeout 60 unshare --user --map-root-user --net --mount bash -euo pipefail -c '
mount -t tmpfs tmpfs /run
ip link set lo up
matches() {
    "$1" -t filter -A OUTPUT -p udp --dport 9 -m statistic --mode nth --every 4 --packet 3
    for k in 1 2 3 4 5 6 7 8; do
        [ "$2" = quiet ] || "$1" -t filter -A FORWARD -p tcp --dport "$k"
        : >/dev/udp/127.0.0.1/9 && printf x >/dev/udp/127.0.0.1/9
    done
    "$1" -t filter -L OUTPUT -v -x -n | awk "/statistic/ { print \$1 }"
    "$1" -t filter -F
}
nft_quiet=$(matches iptables-nft quiet)
nft_changed=$(matches iptables-nft changed)
legacy_quiet=$(matches iptables-legacy quiet)
legacy_changed=$(matches iptables-legacy changed)
echo "8 packets, --every 4:                          nft $nft_quiet matches, legacy $legacy_quiet"
echo "the same, an unrelated rule added before each: nft $nft_changed matches, legacy $legacy_changed"
[ "$nft_quiet" -eq 2 ] && [ "$legacy_quiet" -eq 2 ] && [ "$nft_changed" -eq 2 ] && [ "$legacy_changed" -eq 0 ]
'
