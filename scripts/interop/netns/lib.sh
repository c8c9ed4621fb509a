# Building networks and nodes, waiting for conditions. Sourced by run.sh; `work` is a directory that
# is removed at the end, together with every process and namespace.

pids=()

finish() {
  local status=$?
  if [ -n "${KEEP_LOGS:-}" ]; then
    mkdir -p "$KEEP_LOGS" && cp -r "$work"/*.log "$work"/*.out "$KEEP_LOGS" 2>/dev/null || true
  fi
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  for ns in $(ip netns list | awk '{print $1}'); do ip netns del "$ns"; done
  for bridge in $(ip -o link show type bridge | awk -F': ' '{print $2}'); do ip link del "$bridge"; done
  for link in $(ip -o link show type veth | awk -F': ' '{split($2, n, "@"); print n[1]}'); do
    ip link del "$link" 2>/dev/null || true
  done
  rm -rf "$work"
}

# until_ok SECONDS WHAT COMMAND...: waits until the command succeeds.
until_ok() {
  local deadline=$((SECONDS + $1)) what=$2 started=$SECONDS
  shift 2
  until "$@" >/dev/null 2>&1; do
    if [ $SECONDS -ge $deadline ]; then
      echo "     not in time: $what" >&2
      return 1
    fi
    sleep 0.5
  done
  echo "     $what: $((SECONDS - started)) s"
}

# bridge NAME: a switch.
bridge() {
  ip link add "$1" type bridge mcast_snooping 0
  ip link set "$1" up
}

# host NAME BRIDGE ADDRESS/LEN [GATEWAY]: a machine in a namespace, plugged into a switch.
host() {
  ip netns add "$1"
  ip netns exec "$1" ip link set lo up
  plug "$1" eth0 "$2" "$3"
  [ -z "${4:-}" ] || ip netns exec "$1" ip route add default via "$4"
}

# plug NAMESPACE INTERFACE BRIDGE ADDRESS/LEN: one more cable.
plug() {
  ip link add "$1-$2" type veth peer name "$2" netns "$1"
  ip link set "$1-$2" master "$3" up
  ip netns exec "$1" ip addr add "$4" dev "$2"
  ip netns exec "$1" ip link set "$2" up
  # Multicast needs a way out even without a default route.
  ip netns exec "$1" ip route add 224.0.0.0/4 dev "$2" 2>/dev/null || true
}

# router NAME WAN_BRIDGE WAN_ADDRESS/LEN LAN_BRIDGE LAN_ADDRESS/LEN: translates addresses, and lets
# nothing in that was not asked for.
router() {
  ip netns add "$1"
  ip netns exec "$1" ip link set lo up
  plug "$1" wan "$2" "$3"
  plug "$1" lan "$4" "$5"
  ip netns exec "$1" sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
  ip netns exec "$1" nft -f - <<RULES
table ip nat {
  chain out { type nat hook postrouting priority 100; oifname "wan" masquerade${NAT_KIND:+ $NAT_KIND}; }
}
table ip filter {
  chain through {
    type filter hook forward priority 0; policy drop;
    iifname "lan" accept
    ct state established,related accept
  }
  chain self { type filter hook input priority 0; iifname "wan" ct state new drop; }
}
RULES
}

# bad_cables LOSS_PERCENT DELAY_MS HOST...: spoils what these hosts send.
bad_cables() {
  local loss=$1 delay=$2 name pairs=()
  shift 2
  if ip netns exec "$1" tc qdisc add dev eth0 root netem loss "$loss%" delay "${delay}ms" 2>/dev/null; then
    for name in "${@:2}"; do
      ip netns exec "$name" tc qdisc add dev eth0 root netem loss "$loss%" delay "${delay}ms"
    done
    echo "     $loss % loss and $delay ms on every cable, by netem"
    return
  fi
  for name in "$@"; do
    # The cable is cut, and a program holds the two ends.
    local switch
    switch=$(ip -j link show "$name-eth0" | jq -r '.[0].master')
    ip link set "$name-eth0" nomaster promisc on
    ip link add "$name-x" type veth peer name "$name-y"
    ip link set "$name-y" master "$switch" up
    ip link set "$name-x" promisc on up
    pairs+=("$name-eth0:$name-x")
  done
  python3 "$here/wire.py" "$loss" "$delay" "${pairs[@]}" >"$work/wire.log" 2>&1 &
  pids+=($!)
  echo "     $loss % loss and $delay ms on every cable, by wire.py (this kernel has no netem)"
}

# ---- nodes of the example program ----

# reach NAME HOST ARGUMENTS...: starts one; it reads commands from $work/NAME.in.
reach() {
  local name=$1 host=$2
  shift 2
  mkfifo "$work/$name.in"
  ip netns exec "$host" env RUST_LOG="${RUST_LOG:-pagi_swarm=info,connexa=off,rust_ipfs=off,libp2p=off}" \
    "$REACH" --data "$work/$name" "$@" <"$work/$name.in" >"$work/$name.out" 2>"$work/$name.log" &
  pids+=($!)
  exec {fd}>"$work/$name.in"
  eval "in_$name=$fd"
  until_ok 20 "$name is up" grep -q '"event":"started"' "$work/$name.out"
}

# tell NAME COMMAND...: gives it a command.
tell() {
  local fd="in_$1"
  shift
  echo "$*" >&"${!fd}"
}

# said NAME FILTER: whether a document it printed passes a jq filter.
said() { jq -es "any(.[]; $2)" "$work/$1.out"; }

# last NAME EVENT FILTER: from its latest document of that kind.
last() { jq -rs "[.[] | select(.event == \"$2\")] | last | $3" "$work/$1.out"; }

# status_is NAME FILTER: asks for its status and looks at the answer.
status_is() {
  local before
  before=$(grep -c '"event":"status"' "$work/$1.out" || true)
  tell "$1" status
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ "$(grep -c '"event":"status"' "$work/$1.out" || true)" -gt "$before" ] && break
    sleep 0.1
  done
  [ "$(last "$1" status "$2")" = true ]
}

# ---- nodes of the product ----

# pagi_node NAME HOST LISTEN ARGUMENTS...: starts one in $work/NAME.
pagi_node() {
  local name=$1 host=$2 listen=$3
  shift 3
  ip netns exec "$host" "$PAGI" run ${PAGI_FLAGS:-} --json --no-control-tcp --data-dir "$work/$name" \
    --listen "$listen" "$@" >"$work/$name.out" 2>"$work/$name.log" &
  pids+=($!)
  until_ok 60 "$name is up" pagi "$name" status
}

# pagi NAME COMMAND...: asks it, over its control socket.
pagi() {
  local name=$1
  shift
  timeout 30 "$PAGI" --json --data-dir "$work/$name" "$@"
}

# peers NAME: with how many nodes it is connected.
peers() { pagi "$1" status | jq .node.peers; }

head_of() { pagi "$1" playbook show | jq -r .head; }

# peer_id NAME, did_of NAME, address_of NAME: who it is, and where it is dialled.
peer_id() { pagi "$1" status | jq -r .node.peer_id; }
did_of() { pagi "$1" status | jq -r .node.did; }
address_of() { pagi "$1" status | jq -r '.node.listen | map(select(contains("/127.") | not))[0]'; }

# twin NAME: makes one; prints its id.
twin() { pagi "$1" twin create --name "of-$1" | jq -r .twin_id; }

# connected NAME OTHER: whether it has a connection with another.
connected() {
  local id
  id=$(peer_id "$2")
  pagi "$1" peers | jq -e --arg id "$id" 'any(.[]; .peer_id == $id)' >/dev/null
}

# one_swarm OLD TWINS NAME...: whether all have one playbook head, and not the old one, follow one MO,
# and know the same so many twins. Leaves a line for the summary.
one_swarm() {
  local old=$1 count=$2 first= now name
  shift 2
  for name in "$@"; do
    now=$(pagi "$name" status |
      jq -c '[.mo.mo, .swarm.playbook, ([.swarm.twins[].twin_id] | sort)]') || return 1
    first=${first:-$now}
    [ "$now" = "$first" ] || return 1
    [ "$(pagi "$name" playbook show | jq '.heads | length')" = 1 ] || return 1
  done
  echo "$first" | jq -e --arg old "$old" --argjson count "$count" \
    '.[0] != null and .[1] != $old and (.[2] | length) == $count' >/dev/null || return 1
  echo "$# nodes, one swarm: $count twins known, head ...$(echo "$first" |
    jq -r '.[1][-8:]'), MO ...$(echo "$first" | jq -r '.[0][-8:]')" >"$summary"
}

# merged ARTIFACT NAME...: whether all of them have taken an artifact into their playbook.
merged() {
  local cid=$1 name
  shift
  for name in "$@"; do
    pagi "$name" playbook log | jq -e --arg cid "$cid" 'tostring | contains($cid)' >/dev/null || return 1
  done
}

# ask NAME GOAL: has a new twin reach a goal; prints the artifact's CID.
ask() {
  local name=$1 goal=$2 twin done
  twin=$(pagi "$name" twin create --name "t$RANDOM" | jq -r .twin_id)
  done=$(timeout 120 "$PAGI" --json --data-dir "$work/$name" ask --twin "$twin" "$goal")
  echo "$done" | jq -e '.status == "completed" and .artifact_cid' >/dev/null || {
    echo "     the goal failed: $done" >&2
    return 1
  }
  echo "$done" | jq -r .artifact_cid
}
