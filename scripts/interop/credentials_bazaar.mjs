// Crosses credentials with @digitalbazaar/vc and its EdDSA suites, both ways and offline: every context
// and key the library asks for comes from memory.
//
// Usage: node credentials_bazaar.mjs CREDENTIAL SCRATCH, where CREDENTIAL is the example binary of
// pagi-credentials and SCRATCH a directory for files.

import {spawnSync} from 'node:child_process';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import * as Ed25519Multikey from '@digitalbazaar/ed25519-multikey';
import * as vc from '@digitalbazaar/vc';
import {checkStatus} from '@digitalbazaar/vc-bitstring-status-list';
import {DataIntegrityProof} from '@digitalbazaar/data-integrity';
import {Ed25519Signature2020} from '@digitalbazaar/ed25519-signature-2020';
import {contexts as v2} from '@digitalcredentials/credentials-v2-context';
import {cryptosuite} from '@digitalbazaar/eddsa-rdfc-2022-cryptosuite';

const [CREDENTIAL, SCRATCH] = process.argv.slice(2);
const seed = byte => Buffer.alloc(32, byte);
const SUBJECT = 'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK';
const NOW = Math.floor(Date.now() / 1000) - 1;
const now = new Date(NOW * 1000);
const SUITE_2020 = 'https://w3id.org/security/suites/ed25519-2020/v1';
const keys = new Map();
const lists = new Map();

async function identity(byte) {
  const key = await Ed25519Multikey.generate({seed: new Uint8Array(seed(byte))});
  const fingerprint = key.publicKeyMultibase;
  key.controller = `did:key:${fingerprint}`;
  key.id = `${key.controller}#${fingerprint}`;
  keys.set(key.controller, key);
  return key;
}

const known = new Map([...v2, [SUITE_2020, Ed25519Signature2020.CONTEXT]]);
async function documentLoader(url) {
  const answer = document => ({contextUrl: null, documentUrl: url, document});
  if(known.has(url)) {
    return answer(known.get(url));
  }
  if(lists.has(url)) {
    return answer(lists.get(url));
  }
  const [did, fragment] = url.split('#');
  const key = keys.get(did);
  if(!key) {
    throw new Error(`nobody should have to fetch ${url}`);
  }
  const method = await key.export({publicKey: true, includeContext: true});
  if(fragment) {
    return answer(method);
  }
  return answer({
    '@context': ['https://www.w3.org/ns/did/v1', 'https://w3id.org/security/multikey/v1'],
    id: did, assertionMethod: [method], authentication: [method]
  });
}

function ours(args, stdin = '') {
  const done = spawnSync(CREDENTIAL, args.map(String), {input: stdin, encoding: 'utf8', timeout: 60_000});
  return {ok: done.status === 0, out: done.stdout.trim(), error: done.stderr.trim()};
}

let failures = 0;
function check(name, condition, detail) {
  console.log(`${condition ? 'ok  ' : 'FAIL'} ${name}${condition ? '' : `: ${detail}`}`);
  failures += condition ? 0 : 1;
}

const issuer = await identity(1);
const mallory = await identity(9);
const suites = {
  rdfc: key => new DataIntegrityProof({
    cryptosuite, signer: Object.assign(key.signer(), {id: key.id}), date: now
  }),
  2020: key => new Ed25519Signature2020({key, date: now})
};
const verifier = name => name === 'rdfc' ?
  new DataIntegrityProof({cryptosuite}) : new Ed25519Signature2020();

async function theirs(name, credential, at = now) {
  const done = await vc.verifyCredential({
    credential, suite: verifier(name), documentLoader, now: at,
    checkStatus: ({credential}) => checkStatus({
      credential, documentLoader, suite: verifier('rdfc'), verifyBitstringStatusListCredential: true
    })
  });
  const causes = error => error ?
    [error.message, ...(error.errors ?? []).map(causes), causes(error.cause)] : [];
  if(done.verified && done.statusResult?.results.some(({status}) => status)) {
    return {ok: false, error: 'its place in the status list is taken back'};
  }
  return {ok: done.verified, error: causes(done.error ?? done.statusResult?.error).flat(9).join(' | ')};
}

const list = ours(['list', seed(1).toString('hex'), NOW, 4]);
const document = JSON.parse(list.out);
lists.set(document.id, document);
const listFile = join(SCRATCH, 'list.json');
writeFileSync(listFile, list.out);

const CASES = [
  [0.875, [{cid: 'bafy', 'Ünicode': '€\u000f"\\\u007f', '😀': 2}, null, 1.5]],
  [7, 3],
  [-12.5, {b: [true], a: {10: 1, 9: 2}}],
  [0.1 + 0.2, []],
  [1e21, 'text\nof two lines']
];
for(const name of ['rdfc', '2020']) {
  for(const [score, contributions] of CASES) {
    const label = `${name}, ${score}`;
    const made = ours(
      ['issue', name, seed(1).toString('hex'), SUBJECT, score, NOW, NOW + 1000, 3],
      JSON.stringify(contributions));
    check(`ours issued, ${label}`, made.ok, made.error);
    const credential = JSON.parse(made.out);
    const held = await theirs(name, credential);
    check(`ours -> bazaar, ${label}`, held.ok, held.error);

    // Theirs: the same content, proven by the library.
    const {proof: _, ...content} = credential;
    const suite = suites[name](issuer);
    const signed = await vc.issue({credential: structuredClone(content), suite, documentLoader, now});
    const taken = ours(['verify', NOW, listFile], JSON.stringify(signed));
    check(`bazaar -> ours, ${label}`, taken.ok, taken.error);
    check(`the same signature, ${label}`, signed.proof.proofValue === credential.proof.proofValue,
      JSON.stringify([signed.proof, credential.proof]));
  }

  // Each failure, there and here, with its reason.
  const make = (from, until, place) => JSON.parse(ours(
    ['issue', name, seed(1).toString('hex'), SUBJECT, 0.5, from, until, place], '[]').out);
  const good = make(NOW, NOW + 1000, 3);
  const bent = change => {
    const other = structuredClone(good);
    change(other);
    return other;
  };
  const reasons = new Set();
  const FAILURES = [
    ['a changed claim', bent(c => { c.credentialSubject.reputation_score = 1; }), 'signature'],
    ['an unmapped term', bent(c => { c.credentialSubject.trustMe = true; }), 'trustMe'],
    ['another issuer', bent(c => { c.issuer = mallory.controller; }), 'issued by'],
    ['an expired one', make(NOW - 5000, NOW - 1000, 3), 'valid until'],
    ['a revoked one', make(NOW, NOW + 1000, 4), 'revoked']
  ];
  for(const [what, credential, reason] of FAILURES) {
    const refused = await theirs(name, credential);
    check(`ours -> bazaar, ${name}, ${what}: ${refused.error.slice(0, 90)}`, !refused.ok, 'accepted');
    const told = ours(['verify', NOW, listFile], JSON.stringify(credential));
    check(`ours -> ours, ${name}, ${what}: ${told.error.slice(0, 90)}`,
      !told.ok && told.error.includes(reason), told.error);
    reasons.add(told.error);
  }
  check(`${name}: each with its own reason`, reasons.size === FAILURES.length, [...reasons]);

  // Somebody else signs, soundly, in the issuer's name.
  const {proof: _, ...content} = good;
  const suite = suites[name](mallory);
  const forged = await vc.issue({credential: structuredClone(content), suite, documentLoader, now});
  const told = ours(['verify', NOW], JSON.stringify(forged));
  check(`bazaar -> ours, ${name}, forged: ${told.error.slice(0, 90)}`, !told.ok, 'accepted');
}

console.log(failures ? `${failures} failures` : 'all crossings held');
process.exit(failures ? 1 : 0);
