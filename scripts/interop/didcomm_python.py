"""Crosses DIDComm messages with the Python library `didcomm`, both ways.

Usage: didcomm_python.py ENVELOPE, where ENVELOPE is the example binary of pagi-didcomm. Both sides use
the same two did:key identities; the Python side reads the DID documents that our side prints.
"""

import asyncio
import base64
import copy
import hashlib
import json
import subprocess
import sys
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from didcomm.common.algorithms import AnonCryptAlg
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
from didcomm.pack_signed import pack_signed
from didcomm.secrets.secrets_resolver import Secret
from didcomm.secrets.secrets_resolver_in_memory import SecretsResolverInMemory
from didcomm.unpack import unpack

ENVELOPE = sys.argv[1]
ALICE_SEED, BOB_SEED = bytes([1] * 32), bytes([2] * 32)
TYPE = "https://didcomm.org/basicmessage/2.0/message"


def ours(*arguments, stdin=""):
    """What our side answers; None where it refuses."""
    done = subprocess.run(
        [ENVELOPE, *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode != 0:
        return None, done.stderr
    return done.stdout.strip(), ""


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwk(kid, curve, private, public):
    value = json.dumps({"kty": "OKP", "crv": curve, "kid": kid, "x": b64(public), "d": b64(private)})
    material = VerificationMaterial(format=VerificationMaterialFormat.JWK, value=value)
    return Secret(kid=kid, type=VerificationMethodType.JSON_WEB_KEY_2020, verification_material=material)


def identity(seed):
    """The DID document our side prints, and the secrets that belong to it, made by other means."""
    document = json.loads(ours("identity", seed.hex())[0])
    agreement = document["keyAgreement"][0]
    signing = Ed25519PrivateKey.from_private_bytes(seed)
    digest = bytearray(hashlib.sha512(seed).digest()[:32])
    digest[0] &= 248
    digest[31] = (digest[31] & 127) | 64
    agreeing = X25519PrivateKey.from_private_bytes(bytes(digest))
    raw = (Encoding.Raw, PublicFormat.Raw)
    secrets = [
        jwk(document["authentication"][0], "Ed25519", seed, signing.public_key().public_bytes(*raw)),
        jwk(agreement["id"], "X25519", bytes(digest), agreeing.public_key().public_bytes(*raw)),
    ]
    return document, secrets


def referenced(document):
    """The same document with the embedded key agreement method referenced instead: DID Core allows both,
    but the library looks for methods in `verificationMethod` alone."""
    document = copy.deepcopy(document)
    document["verificationMethod"] += document["keyAgreement"]
    document["keyAgreement"] = [method["id"] for method in document["keyAgreement"]]
    return DIDDoc.deserialize(document)


async def main():
    (alice_doc, alice_secrets), (bob_doc, bob_secrets) = identity(ALICE_SEED), identity(BOB_SEED)
    alice, bob = alice_doc["id"], bob_doc["id"]
    resolvers = ResolversConfig(
        secrets_resolver=SecretsResolverInMemory(alice_secrets + bob_secrets),
        did_resolver=DIDResolverInMemory(
            [referenced(document) for document in (alice_doc, bob_doc)]
        ),
    )
    now = int(time.time())
    body = {"content": "Grüße, 世界", "n": [1, None, True, {"deep": 1.5}]}
    failures = 0

    def check(name, condition, detail=""):
        nonlocal failures
        print(f"{'ok  ' if condition else 'FAIL'} {name}{'' if condition else ': ' + str(detail)}")
        failures += 0 if condition else 1

    # Ours to Python.
    for packing, has_from in [
        ("authcrypt", True),
        ("hidden-authcrypt", True),
        ("anoncrypt", False),
        ("signed", True),
        ("signed-then-encrypted", True),
    ]:
        message = {"id": "m-1", "type": TYPE, "to": [bob], "created_time": now, "body": body}
        if has_from:
            message["from"] = alice
        packed, error = ours("pack", packing, ALICE_SEED.hex(), bob, stdin=json.dumps(message))
        if packed is None:
            check(f"ours -> python, {packing}", False, error)
            continue
        try:
            result = await unpack(resolvers, packed)
            meta = result.metadata
            right = (
                result.message.body == body
                and result.message.id == "m-1"
                and result.message.frm == (alice if has_from else None)
                and meta.encrypted == (packing != "signed")
                and meta.non_repudiation == packing.startswith("signed")
                and meta.authenticated == (packing != "anoncrypt")
                and ("authcrypt" not in packing or meta.encrypted_from.startswith(alice + "#z6LS"))
            )
            check(f"ours -> python, {packing}", right, (result.message, meta))
        except Exception as error:  # pylint: disable=broad-except
            check(f"ours -> python, {packing}", False, repr(error))

    # Python to ours.
    def made(sender):
        return Message(id="m-2", type=TYPE, body=body, frm=sender, to=[bob], created_time=now)

    plain = PackEncryptedConfig(forward=False)
    def with_alg(alg):
        return PackEncryptedConfig(forward=False, enc_alg_anon=alg)

    # The library's own choice for anoncrypt is XC20P.
    hidden = PackEncryptedConfig(forward=False, protect_sender_id=True)
    cases = {
        "authcrypt": lambda: pack_encrypted(resolvers, made(alice), bob, frm=alice, pack_config=plain),
        "anoncrypt(authcrypt)": lambda: pack_encrypted(
            resolvers, made(alice), bob, frm=alice, pack_config=hidden
        ),
        "anoncrypt": lambda: pack_encrypted(resolvers, made(None), bob, pack_config=plain),
        "anoncrypt, A256GCM": lambda: pack_encrypted(
            resolvers, made(None), bob, pack_config=with_alg(AnonCryptAlg.A256GCM_ECDH_ES_A256KW)
        ),
        "anoncrypt, A256CBC-HS512": lambda: pack_encrypted(
            resolvers, made(None), bob, pack_config=with_alg(AnonCryptAlg.A256CBC_HS512_ECDH_ES_A256KW)
        ),
        "anoncrypt(signed)": lambda: pack_encrypted(
            resolvers, made(alice), bob, sign_frm=alice, pack_config=plain
        ),
        "authcrypt(signed)": lambda: pack_encrypted(
            resolvers, made(alice), bob, frm=alice, sign_frm=alice, pack_config=plain
        ),
        "signed": lambda: pack_signed(resolvers, made(alice), sign_frm=alice),
    }
    for name, pack in cases.items():
        try:
            packed = (await pack()).packed_msg
        except Exception as error:  # pylint: disable=broad-except
            check(f"python -> ours, {name}", False, repr(error))
            continue
        answer, error = ours("unpack", BOB_SEED.hex(), str(now), stdin=packed)
        if answer is None:
            check(f"python -> ours, {name}", False, error)
            continue
        answer = json.loads(answer)
        right = (
            answer["message"]["body"] == body
            and answer["message"].get("from") == (None if name.split(",")[0] == "anoncrypt" else alice)
            and answer["authenticated_sender"] == (alice if "authcrypt" in name else None)
            and answer["signed_by"] == (alice if "signed" in name else None)
            and answer["encrypted"] == (name != "signed")
        )
        check(f"python -> ours, {name}", right, answer)

        # The same envelope with one byte of its ciphertext or payload changed.
        bent = json.loads(packed)
        member = "ciphertext" if "ciphertext" in bent else "payload"
        text = bent[member]
        bent[member] = text[:8] + ("A" if text[8] != "A" else "B") + text[9:]
        answer, _ = ours("unpack", BOB_SEED.hex(), str(now), stdin=json.dumps(bent))
        check(f"python -> ours, {name}, bent", answer is None, answer)

    print(f"{failures} failures" if failures else "all crossings held")
    return 1 if failures else 0


sys.exit(asyncio.run(main()))
