"""Verifies our credentials, and signs some for us, with eddsa-jcs-2022 made from other parts: the Python
packages `rfc8785` and `cryptography`.

Usage: credentials_python.py CREDENTIAL SCRATCH, where CREDENTIAL is the example binary of
pagi-credentials and SCRATCH a file that one of our credentials is written to.
"""

import hashlib
import json
import subprocess
import sys

import base58
import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

CREDENTIAL, SCRATCH = sys.argv[1:3]
ISSUER_SEED = bytes([1] * 32)
SUBJECT = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
FROM, UNTIL = 1_800_000_000, 1_800_001_000


def ours(*arguments, stdin):
    done = subprocess.run(
        [CREDENTIAL, *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None


def hash_data(config, document):
    parts = (hashlib.sha256(rfc8785.dumps(part)).digest() for part in (config, document))
    return b"".join(parts)


def holds(credential):
    document = dict(credential)
    config = dict(document.pop("proof"))
    signature = base58.b58decode(config.pop("proofValue")[1:])
    key = base58.b58decode(config["verificationMethod"].split("#")[1][1:])
    assert key[:2] == b"\xed\x01"
    try:
        Ed25519PublicKey.from_public_bytes(key[2:]).verify(signature, hash_data(config, document))
    except InvalidSignature:
        return False
    return True


def sign(credential, seed):
    document = {name: value for name, value in credential.items() if name != "proof"}
    config = {name: value for name, value in credential["proof"].items() if name != "proofValue"}
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(hash_data(config, document))
    value = "z" + base58.b58encode(signature).decode()
    return {**document, "proof": {**config, "proofValue": value}}


failures = 0


def check(name, condition):
    global failures
    print(f"{'ok  ' if condition else 'FAIL'} {name}")
    failures += 0 if condition else 1


CASES = [
    (0.875, 7),
    (1e21, [{"cid": "bafy", "Ünicode": "€\u000f\"\\", "\ue000": 1, "😀": 2}]),
    (-1e-7, {"b": [None, True, 1.5], "a": {"10": 1, "9": 2}}),
    (0.1, []),
]
for score, contributions in CASES:
    text = ours(
        "issue", "jcs", ISSUER_SEED.hex(), SUBJECT, repr(score), str(FROM), str(UNTIL),
        stdin=json.dumps(contributions),
    )
    credential = json.loads(text)
    check(f"ours -> python, {score}", holds(credential))
    check(f"python -> ours, {score}, written down anew",
          ours("verify", str(FROM), stdin=json.dumps(credential, sort_keys=True, indent=3)) is not None)
    credential["credentialSubject"]["reputation_score"] = 5
    check(f"ours -> python, {score}, changed", not holds(credential))
    check(f"python -> ours, {score}, changed",
          ours("verify", str(FROM), stdin=json.dumps(credential)) is None)
    check(f"python -> ours, {score}, signed by python",
          ours("verify", str(FROM), stdin=json.dumps(sign(credential, ISSUER_SEED))) is not None)
    check(f"python -> ours, {score}, signed by another",
          ours("verify", str(FROM), stdin=json.dumps(sign(credential, bytes([9] * 32)))) is None)
    with open(SCRATCH, "w", encoding="utf-8") as scratch:
        scratch.write(text)

print(f"{failures} failures" if failures else "all crossings held")
sys.exit(1 if failures else 0)
