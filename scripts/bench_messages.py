"""Measures private messages in one run and prints the figures as Markdown tables: packing and unpacking
1 KiB beside the Python library `didcomm` and beside the raw operations it is made of, and a ping and
its answer between the twins of two nodes over libp2p on loopback.

Usage: bench_messages.py PAGI ENVELOPE BENCH, where ENVELOPE is the example binary of pagi-didcomm and
BENCH its benchmark; `bench_messages.sh` builds both.
"""

import asyncio
import base64
import copy
import hashlib
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from didcomm.common.resolvers import ResolversConfig
from didcomm.common.types import (
    VerificationMaterial,
    VerificationMaterialFormat,
    VerificationMethodType,
)
from didcomm.did_doc.did_doc import DIDDoc
from didcomm.did_doc.did_resolver_in_memory import DIDResolverInMemory
from didcomm.message import Message
from didcomm.pack_encrypted import PackEncryptedConfig, pack_encrypted
from didcomm.secrets.secrets_resolver import Secret
from didcomm.secrets.secrets_resolver_in_memory import SecretsResolverInMemory
from didcomm.unpack import unpack

import bench

PAGI, ENVELOPE, BENCH = sys.argv[1:4]
TYPE = "https://didcomm.org/basicmessage/2.0/message"
PING = "https://didcomm.org/trust-ping/2.0/ping"
ROUNDS = 300
# A twin takes 60 messages of one sender at once, and 5 a second after that.
PINGS, PAUSE_S = 200, 0.2


def p(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def identity(seed):
    """A DID document as our side makes it, and the agreement secret that belongs to it."""
    made = subprocess.run([ENVELOPE, "identity", seed.hex()], capture_output=True, text=True, check=True)
    document = json.loads(made.stdout)
    method = document["keyAgreement"][0]
    digest = bytearray(hashlib.sha512(seed).digest()[:32])
    digest[0] &= 248
    digest[31] = (digest[31] & 127) | 64
    private = X25519PrivateKey.from_private_bytes(bytes(digest))
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    value = {"kty": "OKP", "crv": "X25519", "kid": method["id"], "x": b64(public), "d": b64(digest)}
    secret = Secret(
        kid=method["id"],
        type=VerificationMethodType.JSON_WEB_KEY_2020,
        verification_material=VerificationMaterial(
            format=VerificationMaterialFormat.JWK, value=json.dumps(value)
        ),
    )
    # The library looks for methods in `verificationMethod` alone.
    document = copy.deepcopy(document)
    document["verificationMethod"] += document["keyAgreement"]
    document["keyAgreement"] = [method["id"]]
    return DIDDoc.deserialize(document), secret


async def python_pack_and_unpack():
    """Microseconds to pack, and to unpack, 1 KiB of authcrypt with the Python library."""
    (alice, alice_key), (bob, bob_key) = identity(bytes([1] * 32)), identity(bytes([2] * 32))
    resolvers = ResolversConfig(
        secrets_resolver=SecretsResolverInMemory([alice_key, bob_key]),
        did_resolver=DIDResolverInMemory([alice, bob]),
    )
    config = PackEncryptedConfig(forward=False)
    packing, unpacking = [], []
    for number in range(ROUNDS):
        message = Message(
            id=str(number), type=TYPE, body={"content": "x" * 1024}, frm=alice.id, to=[bob.id]
        )
        start = time.perf_counter()
        packed = await pack_encrypted(resolvers, message, bob.id, frm=alice.id, pack_config=config)
        between = time.perf_counter()
        await unpack(resolvers, packed.packed_msg)
        packing.append((between - start) * 1e6)
        unpacking.append((time.perf_counter() - between) * 1e6)
    return packing, unpacking


def ours():
    """What the benchmark prints: name -> (median, 99 %) in microseconds."""
    done = subprocess.run([BENCH, "--bench"], capture_output=True, text=True, check=True, timeout=200)
    line = re.compile(r"^(.*\S)\s+([\d.]+) µs\s+([\d.]+) µs$")
    found = map(line.match, done.stdout.splitlines())
    return {one[1]: (float(one[2]), float(one[3])) for one in found if one}


def round_trips(folder):
    """Milliseconds of a ping and its answer, each stored by its recipient's node before it counts;
    of a request to the node's own control API; and of an fdatasync."""
    bench.PAGI = PAGI
    first = bench.Node(folder / "one")
    second = bench.Node(folder / "two", first.ready["listen"][0])
    try:
        twins = [node.call("POST", "/twins", {}) for node in (first, second)]
        alice, bob = twins
        second.call("PATCH", f"/contacts/{bob['twin_id']}", {"allow": [alice["did"]]})
        for node, did in ((first, bob["did"]), (second, alice["did"])):
            deadline = time.monotonic() + 30
            while not any(twin["did"] == did for twin in node.call("GET", "/swarm")["twins"]):
                if time.monotonic() > deadline:
                    raise SystemExit("the twins do not hear of each other")
                time.sleep(0.1)
        path = f"/messages/{alice['twin_id']}"
        ping = {"to_did": bob["did"], "msg_type": PING, "body": {}, "wait_s": 10}
        pings, calls = [], []
        for number in range(PINGS + 5):
            start = time.perf_counter()
            sent = first.call("POST", path, ping)
            took = (time.perf_counter() - start) * 1e3
            if sent.get("reply", {}).get("thid") != sent["id"]:
                raise SystemExit(f"no answer in the thread: {sent}")
            if number >= 5:
                pings.append(took)
            start = time.perf_counter()
            first.call("GET", "/healthz")
            calls.append((time.perf_counter() - start) * 1e3)
            time.sleep(PAUSE_S)
        return pings, calls, syncs(folder / "sync")
    finally:
        first.stop()
        second.stop()


def syncs(file):
    import os

    times = []
    with open(file, "wb") as out:
        for _ in range(200):
            out.write(b"x" * 4096)
            out.flush()
            start = time.perf_counter()
            os.fdatasync(out.fileno())
            times.append((time.perf_counter() - start) * 1e3)
    return times


def main():
    figures = ours()
    packing, unpacking = asyncio.run(python_pack_and_unpack())
    both = [one + other for one, other in zip(packing, unpacking)]
    our_both = figures["pack 1 KiB, authcrypt"][0] + figures["unpack 1 KiB, authcrypt"][0]
    print("| operation | median µs | 99 % µs | beside ours |\n|---|---:|---:|---:|")
    for name, (median, high) in figures.items():
        print(f"| {name} | {median:.1f} | {high:.1f} | {median / our_both:.3f} |")
    for name, values in (("pack", packing), ("unpack", unpacking), ("pack and unpack", both)):
        median = statistics.median(values)
        print(f"| Python didcomm: {name} 1 KiB, authcrypt | {median:.0f} | {p(values, 0.99):.0f} "
              f"| {median / our_both:.2f} |")
    print(f"\nOurs, pack and unpack 1 KiB of authcrypt: {our_both:.1f} µs.\n")
    with tempfile.TemporaryDirectory() as folder:
        pings, calls, disk = round_trips(pathlib.Path(folder))
    print("| round trip | p50 ms | p99 ms | in calls of the control API | in fdatasyncs |")
    print("|---|---:|---:|---:|---:|")
    call, sync = statistics.median(calls), statistics.median(disk)
    for name, values in (
        ("ping and answer, twin to twin over libp2p", pings),
        ("a call of the control API", calls),
        ("an fdatasync of a page", disk),
    ):
        middle = statistics.median(values)
        print(f"| {name} | {middle:.2f} | {p(values, 0.99):.2f} | {middle / call:.1f} | {middle / sync:.1f} |")


if __name__ == "__main__":
    main()
