# What is tried. Sourced by run.sh; each scenario runs in a subshell with `set -e` and cleans up
# through `finish`.

HEALTH="Check this machine's health and report anything above 80%"
SUM="Calculate 3.5 * 12 and tell me the result"

# Two machines behind routers of their own and a relay outside; everybody knows only the relay.
# NAT_KIND says how the routers choose ports.
two_lans() {
  bridge wan0
  bridge lan1
  bridge lan2
  host relay wan0 203.0.113.10/24
  router nat1 wan0 203.0.113.1/24 lan1 192.168.1.1/24
  router nat2 wan0 203.0.113.2/24 lan2 192.168.2.1/24
  host a lan1 192.168.1.11/24 192.168.1.1
  host b lan2 192.168.2.11/24 192.168.2.1
  reach relay relay --seed 1 --listen /ip4/203.0.113.10/tcp/4011 --relay-server --autonat
  local boot
  boot=$(last relay started '.addrs[0]')
  for name in a b; do
    reach "$name" "$name" --seed "$([ "$name" = a ] && echo 2 || echo 3)" \
      --listen /ip4/0.0.0.0/tcp/4011 --bootstrap "$boot" --relay-client --autonat
  done
  for name in a b; do
    until_ok 60 "$name holds a reservation" status_is "$name" '.reach.relays | length == 1'
    until_ok 60 "$name knows that it cannot be dialled" \
      status_is "$name" '.reach.reachability == "private"'
  done
  local id
  id=$(last b started .peer_id)
  until_ok 60 "a has met b" \
    status_is a "any(.peers[]; .peer_id == \"$id\" and .member)"
}

# Gossip and a block from b to a.
exchange() {
  local id cid
  id=$(last b started .peer_id)
  until_ok 30 "a and b are in one mesh" \
    status_is a "any(.peers[]; .peer_id == \"$id\" and .in_mesh)"
  tell b publish hello from the other side
  until_ok 30 "gossip arrived" said a '.event == "gossip" and .text == "hello from the other side"'
  tell b put 500000
  until_ok 30 "b has a block" said b '.event == "put"'
  cid=$(last b put .cid)
  tell a get "$cid" "$id"
  until_ok 60 "a has the block" said a '.event == "got"'
  echo "     half a megabyte took $(last a got .millis) ms"
}

# Routers that choose a new port for every destination: no hole can be punched.
scenario_relay() {
  NAT_KIND=fully-random two_lans
  local id
  id=$(last b started .peer_id)
  exchange
  until_ok 60 "hole punching was tried and given up" \
    eval 'status_is a ".stats.holes_failed >= 1" || status_is b ".stats.holes_failed >= 1"'
  until_ok 5 "a and b are still connected through the relay" \
    status_is a "any(.peers[]; .peer_id == \"$id\" and .relayed)"
  until_ok 5 "the relay counts the circuit" status_is relay '.stats.circuits >= 1'
}

# Routers that keep the port: the relay is needed for a moment only.
scenario_punch() {
  NAT_KIND= two_lans
  local id
  id=$(last b started .peer_id)
  until_ok 90 "a and b are connected directly" \
    status_is a "any(.peers[]; .peer_id == \"$id\" and (.relayed | not))"
  until_ok 60 "and no longer through the relay" eval \
    'status_is a ".stats.relayed == 0" && status_is b ".stats.relayed == 0"'
  exchange
}

# Two machines behind routers of their own and a relay outside, all of them the product; the two know
# only the relay. NAT_KIND as above.
lans() {
  if ! "$PAGI" run --help | grep -q -- --relay-server; then
    echo "SKIP: this pagi has no --relay-server" >"$summary"
    return 0
  fi
  bridge wan0
  bridge lan1
  bridge lan2
  host relay wan0 203.0.113.10/24
  router nat1 wan0 203.0.113.1/24 lan1 192.168.1.1/24
  router nat2 wan0 203.0.113.2/24 lan2 192.168.2.1/24
  host a lan1 192.168.1.11/24 192.168.1.1
  host b lan2 192.168.2.11/24 192.168.2.1
  pagi_node relay relay /ip4/203.0.113.10/tcp/4011 --no-mdns --relay-server
  local boot name old file cid did done
  boot=$(address_of relay)
  for name in a b; do
    pagi_node "$name" "$name" /ip4/0.0.0.0/tcp/4011 --no-mdns --bootstrap "$boot"
  done
  for name in relay a b; do twin "$name" >"$work/$name.twin"; done
  until_ok 90 "a and b have a connection, behind two routers" connected a b
  old=$(head_of a)

  file=$work/document.json
  echo '{"from": "the other side"}' >"$file"
  cid=$(pagi b ipfs put "$file" | jq -r .cid)
  until_ok 60 "a has a block of b" eval "pagi a ipfs get $cid | grep -q 'the other side'"
  did=$(pagi b twin list | jq -r '.[0].did')
  until_ok 60 "a knows b's twin" eval "pagi a status | grep -q $did"
  done=$(pagi a msg send "$did" "Are you there?")
  echo "$done" | jq -e '.status == "delivered"' >/dev/null || {
    echo "     not delivered: $done" >&2
    return 1
  }
  echo "     b's twin has taken a's message, and said so"
  pagi b msg allow "$(pagi a twin list | jq -r '.[0].did')" >/dev/null
  done=$(timeout 60 "$PAGI" --json --data-dir "$work/a" msg ask "$did" "What is 12 * (3 + 4)?")
  echo "$done" | grep -q 84 || {
    echo "     no answer: $done" >&2
    return 1
  }
  echo "     a has b's twin's private answer to a question: 84"
  cid=$(ask b "$HEALTH")
  until_ok 90 "all have b's lesson" merged "$cid" relay a b
  until_ok 90 "one swarm" one_swarm "$old" 4 relay a b
}

# Routers that keep the port: a hole is punched.
scenario_lans() {
  NAT_KIND= lans
}

# Routers that choose a new port for every destination: everything goes through the relay.
scenario_lans_relayed() {
  NAT_KIND=fully-random lans
}

# A local network without a word of configuration.
scenario_mdns() {
  bridge lan0
  local names=(m1 m2 m3) n=1 old cid
  for name in "${names[@]}"; do
    host "$name" lan0 "192.168.7.$n/24"
    pagi_node "$name" "$name" /ip4/0.0.0.0/tcp/4011
    twin "$name" >/dev/null
    n=$((n + 1))
  done
  for name in "${names[@]}"; do
    until_ok 60 "$name has met the others" eval "[ \$(peers $name) -ge 2 ]"
  done
  old=$(head_of m1)
  cid=$(ask m2 "$HEALTH")
  until_ok 90 "all have the lesson" merged "$cid" "${names[@]}"
  until_ok 60 "one swarm" one_swarm "$old" 4 "${names[@]}"
}

# five: five nodes of the product on one switch; all know the first.
five() {
  bridge lan0
  nodes=(n1 n2 n3 n4 n5)
  local n=1
  for name in "${nodes[@]}"; do
    host "$name" lan0 "192.168.8.$n/24"
    n=$((n + 1))
  done
}

start_five() {
  local boot=()
  for name in "${nodes[@]}"; do
    pagi_node "$name" "$name" "/ip4/192.168.8.${name#n}/tcp/4011" --no-mdns "${boot[@]}"
    twin "$name" >/dev/null
    [ ${#boot[@]} -gt 0 ] || boot=(--bootstrap "$(address_of n1)")
  done
}

scenario_loss() {
  five
  bad_cables 20 200 "${nodes[@]}"
  start_five
  for name in "${nodes[@]}"; do
    until_ok 180 "$name has met the others" eval "[ \$(peers $name) -ge 4 ]"
  done
  local old cid
  old=$(head_of n1)
  cid=$(ask n2 "$HEALTH")
  until_ok 300 "all have the lesson" merged "$cid" "${nodes[@]}"
  until_ok 180 "one swarm" one_swarm "$old" 6 "${nodes[@]}"
}

scenario_partition() {
  five
  start_five
  for name in "${nodes[@]}"; do
    until_ok 60 "$name has met the others" eval "[ \$(peers $name) -ge 4 ]"
  done
  local old one two
  old=$(head_of n1)
  bridge lan9
  for name in n4 n5; do ip link set "$name-eth0" master lan9; done
  until_ok 90 "three see each other only" eval '[ $(peers n1) = 2 ]'
  until_ok 90 "two see each other only" eval '[ $(peers n4) = 1 ]'
  one=$(ask n2 "$HEALTH")
  two=$(ask n5 "$SUM")
  until_ok 120 "three have their lesson" merged "$one" n1 n2 n3
  until_ok 120 "two have theirs" merged "$two" n4 n5
  [ "$(head_of n1)" != "$(head_of n4)" ]
  for name in n4 n5; do ip link set "$name-eth0" master lan0; done
  until_ok 180 "all see each other again" eval \
    '[ $(peers n1) = 4 ] && [ $(peers n5) = 4 ]'
  until_ok 180 "all have both lessons" eval \
    "merged $one ${nodes[*]} && merged $two ${nodes[*]}"
  until_ok 90 "one swarm" one_swarm "$old" 7 "${nodes[@]}"
}

# A cable that is cut: nobody says goodbye.
scenario_cut() {
  bridge lan0
  host c1 lan0 192.168.9.1/24
  host c2 lan0 192.168.9.2/24
  reach c1 c1 --seed 1 --listen /ip4/192.168.9.1/tcp/4011
  reach c2 c2 --seed 2 --listen /ip4/192.168.9.2/tcp/4011 \
    --bootstrap "$(last c1 started '.addrs[0]')"
  until_ok 20 "they have met" status_is c1 '.stats.connected == 1'
  ip link set c2-eth0 nomaster
  until_ok 60 "one notices" status_is c1 '.stats.connections == 0'
  until_ok 60 "the other notices" status_is c2 '.stats.connections == 0'
  ip link set c2-eth0 master lan0
  until_ok 90 "they are together again" status_is c1 '.stats.connected == 1'
}
