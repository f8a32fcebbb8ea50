#!/usr/bin/env bash
# Tool and version: Linux 6.18, IPv4 multipath routes; iproute2 6.1
# Guess: when one device of a multipath route is removed, its next hop goes and the others stay.
# Seen:  the whole route vanishes, the next hops over devices that are still there included, and the destination
#        is unreachable. A route to a nexthop group (ip nexthop) loses the one member and goes on.
#          multipath route after one of three links is deleted: ""
#          nexthop group after the same: … nexthop via 198.19.1.2 dev a1 … nexthop via 198.19.2.2 dev a2
set -euo pipefail

echo "Linux $(uname -r), $(ip -V)"
exec timeout 60 unshare --user --map-root-user --net bash -euo pipefail -c '
next_hops() { ip route show "$1" | grep -c . || true; }
links() {
    for k in 0 1 2; do
        ip link add "a$k" type veth peer name "b$k"
        ip address add "198.19.$k.1/24" dev "a$k"
        ip link set "a$k" up
        ip link set "b$k" up
    done
}

links
ip route add 198.18.0.0/24 nexthop via 198.19.0.2 nexthop via 198.19.1.2 nexthop via 198.19.2.2
ip link delete a0
multipath=$(ip route show 198.18.0.0/24)
ip link delete a1
ip link delete a2

links
for k in 0 1 2; do ip nexthop add id "$((k + 1))" via "198.19.$k.2" dev "a$k"; done
ip nexthop add id 9 group 1/2/3
ip route add 198.18.1.0/24 nhid 9
ip link delete a0
group=$(ip route show 198.18.1.0/24)

echo "multipath route after one of three links is deleted: \"$multipath\""
echo "nexthop group after the same: $group"
[ -z "$multipath" ] && [ "$(grep -c "nexthop via" <<<"$group")" -eq 2 ]
'
