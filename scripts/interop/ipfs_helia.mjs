// A helia node driven by lines of JSON: one command in, one answer out. It listens on loopback, knows no
// bootstrap nodes, and speaks the Kademlia of the swarm `interop`.
//
// Usage: node ipfs_helia.mjs

import {createReadStream} from 'node:fs';
import {open} from 'node:fs/promises';
import {createInterface} from 'node:readline';
import {noise} from '@chainsafe/libp2p-noise';
import {yamux} from '@chainsafe/libp2p-yamux';
import {bitswap} from '@helia/block-brokers';
import {unixfs} from '@helia/unixfs';
import {Helia} from '@helia/utils';
import {identify} from '@libp2p/identify';
import {kadDHT, passthroughMapper} from '@libp2p/kad-dht';
import {ping} from '@libp2p/ping';
import {tcp} from '@libp2p/tcp';
import {multiaddr} from '@multiformats/multiaddr';
import {MemoryBlockstore} from 'blockstore-core';
import {MemoryDatastore} from 'datastore-core';
import {fixedSize} from 'ipfs-unixfs-importer/chunker';
import {balanced} from 'ipfs-unixfs-importer/layout';
import {createLibp2p} from 'libp2p';
import {CID} from 'multiformats/cid';

const libp2p = await createLibp2p({
  addresses: {listen: ['/ip4/127.0.0.1/tcp/0']},
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  peerDiscovery: [],
  services: {
    identify: identify(),
    ping: ping(),
    dht: kadDHT({
      protocol: '/pagi/interop/kad/1', peerInfoMapper: passthroughMapper, clientMode: true
    })
  }
});
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
