// Checks our credentials with the JavaScript JSON-LD processor: in safe mode it refuses a document with
// any term that no context maps, so what passes here means something to everybody.
//
// Usage: node credentials.mjs < credential.json

import {readFileSync} from 'node:fs';
import {contexts} from '@digitalcredentials/credentials-v2-context';
import jsonld from 'jsonld';

const documentLoader = async url => {
  const document = contexts.get(url);
  if(!document) {
    throw new Error(`the credential wants ${url}, which nobody should have to fetch`);
  }
  return {contextUrl: null, documentUrl: url, document};
};

const credential = JSON.parse(readFileSync(0, 'utf8'));
const quads = await jsonld.canonize(credential, {
  algorithm: 'RDFC-1.0', format: 'application/n-quads', documentLoader, safe: true
});
for(const term of ['reputation_score', 'contributions', 'ReputationCredential']) {
  if(!quads.includes(`<urn:pagi:credentials#${term}>`)) {
    throw new Error(`${term} is lost`);
  }
}
let refused = false;
credential.credentialSubject.unmapped = 1;
try {
  await jsonld.canonize(credential, {
    algorithm: 'RDFC-1.0', format: 'application/n-quads', documentLoader, safe: true
  });
} catch {
  refused = true;
}
if(!refused) {
  throw new Error('an unmapped term passed, so this check checks nothing');
}
console.log('ok   every term of our credential has a meaning in JSON-LD');
