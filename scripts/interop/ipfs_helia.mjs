// A helia node driven by lines of JSON: one command in, one answer out. It listens on loopback, knows no
// bootstrap nodes, and speaks the Kademlia of the swarm `interop`.
//
// Usage: node ipfs_helia.mjs

import {createReadStream} from 'node:fs';
import {open} from 'node:fs/promises';
import {createInterface} from 'node:readline';
import {gossipsub} from '@chainsafe/libp2p-gossipsub';
import {noise} from '@chainsafe/libp2p-noise';
import {yamux} from '@chainsafe/libp2p-yamux';
import {bitswap} from '@helia/block-brokers';
import {unixfs} from '@helia/unixfs';
import {Helia} from '@helia/utils';
import * as cbor from '@ipld/dag-cbor';
import {generateKeyPair} from '@libp2p/crypto/keys';
import {identify} from '@libp2p/identify';
import {kadDHT, passthroughMapper} from '@libp2p/kad-dht';
import {peerIdFromString} from '@libp2p/peer-id';
import {ping} from '@libp2p/ping';
import {tcp} from '@libp2p/tcp';
import {multiaddr} from '@multiformats/multiaddr';
import {MemoryBlockstore} from 'blockstore-core';
import {MemoryDatastore} from 'datastore-core';
import {fixedSize} from 'ipfs-unixfs-importer/chunker';
import {balanced} from 'ipfs-unixfs-importer/layout';
import {createLibp2p} from 'libp2p';
import {base58btc} from 'multiformats/bases/base58';
import {CID} from 'multiformats/cid';

const TOPIC = 'pagi-swarm-coordination-v1/interop';
const key = await generateKeyPair('Ed25519');
const libp2p = await createLibp2p({
  privateKey: key,
  start: false,
  addresses: {listen: ['/ip4/127.0.0.1/tcp/0']},
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  peerDiscovery: [],
  services: {
    identify: identify(),
    ping: ping(),
    pubsub: gossipsub({allowPublishToZeroTopicPeers: true}),
    dht: kadDHT({
      protocol: '/pagi/interop/kad/1', peerInfoMapper: passthroughMapper, clientMode: true
    })
  }
});
// The protocol ids carry the name of the swarm.
libp2p.services.pubsub.multicodecs = ['/pagi/interop/meshsub/1.1.0', '/pagi/interop/meshsub/1.0.0'];
await libp2p.start();
const heard = [];
libp2p.services.pubsub.addEventListener('message', ({detail}) => {
  if(detail.topic === TOPIC) {
    heard.push({from: detail.from.toString(), data: detail.data});
  }
});
libp2p.services.pubsub.subscribe(TOPIC);

const signed = body => {
  const domain = new TextEncoder().encode('pagi-signed/coordination/1\0');
  const bytes = cbor.encode(body);
  const all = new Uint8Array(domain.length + bytes.length);
  all.set(domain);
  all.set(bytes, domain.length);
  return all;
};
const didOf = publicKey => {
  const raw = publicKey.raw;
  const bytes = new Uint8Array(raw.length + 2);
  bytes.set([0xed, 0x01]);
  bytes.set(raw, 2);
  return `did:key:${base58btc.encode(bytes)}`;
};

const helia = new Helia({
  libp2p,
  blockstore: new MemoryBlockstore(),
  datastore: new MemoryDatastore(),
  blockBrokers: [bitswap()],
  routers: []
});
await helia.start();
const files = unixfs(helia);
// Kubo's `ipfs add --cid-version=1 --raw-leaves`.
const settings = {
  cidVersion: 1, rawLeaves: true, chunker: fixedSize({chunkSize: 262144}),
  layout: balanced({maxChildrenPerNode: 174}), shardSplitThresholdBytes: 262144
};

const commands = {
  connect: async addr => {
    await libp2p.dial(multiaddr(addr));
    return true;
  },
  add: async path => (await files.addByteStream(createReadStream(path), settings)).toString(),
  get: async (cid, path) => {
    const file = await open(path, 'w');
    for await (const piece of files.cat(CID.parse(cid), {signal: AbortSignal.timeout(30000)})) {
      await file.write(piece);
    }
    await file.close();
    return true;
  },
  provide: async cid => {
    for await (const event of libp2p.services.dht.provide(CID.parse(cid))) {
      void event;
    }
    return true;
  },
  // Messages heard whose body is signed by the peer that published them: their types and authors.
  heard: async () => {
    const good = [];
    for (const {from, data} of heard) {
      const {author, body, signature} = cbor.decode(data);
      const {publicKey} = peerIdFromString(from);
      const valid = await publicKey.verify(signed(body), base58btc.decode(signature));
      if(valid && author === didOf(publicKey)) {
        good.push({author, type: body.type});
      }
    }
    return good;
  },
  broadcast: async (id, honest) => {
    const body = {type: 'task_broadcast', task: {id, goal: 'say hello'}, timestamp: Date.now()};
    const author = didOf(key.publicKey);
    const over = honest ? signed(body) : signed({...body, timestamp: 0});
    const signature = base58btc.encode(await key.sign(over));
    const {recipients} = await libp2p.services.pubsub.publish(
      TOPIC, cbor.encode({author, body, signature}));
    return {author, recipients: recipients.length};
  },
  providers: async cid => {
    const found = [];
    const options = {signal: AbortSignal.timeout(10000)};
    for await (const event of libp2p.services.dht.findProviders(CID.parse(cid), options)) {
      for (const provider of event.providers ?? []) {
        found.push(provider.id.toString());
      }
    }
    return found;
  }
};

console.log(JSON.stringify({result: libp2p.peerId.toString()}));
for await (const line of createInterface({input: process.stdin})) {
  try {
    const [command, ...args] = JSON.parse(line);
    console.log(JSON.stringify({result: await commands[command](...args)}));
  } catch (error) {
    console.log(JSON.stringify({error: String(error?.stack ?? error)}));
  }
}
process.exit(0);
