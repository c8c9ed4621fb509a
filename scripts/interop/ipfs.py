"""The checks of ipfs.sh: blocks both ways over bitswap between our node, Kubo and helia, the CIDs that
each gives to the same content, providers in the DHT, and 100 MiB in each direction beside Kubo to Kubo.

Usage: ipfs.py PAGI [KUBO-PYTHON] [HELIA-SCRIPT]; an empty argument skips what needs it.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

PAGI = os.path.abspath(sys.argv[1])
KUBO = sys.argv[2] if len(sys.argv) > 2 else ''
HELIA = sys.argv[3] if len(sys.argv) > 3 else ''
HERE = os.path.dirname(os.path.abspath(__file__))
SIZE = int(os.environ.get('MIB', '100')) * 1024 * 1024
ROUNDS = int(os.environ.get('ROUNDS', '3'))
# What helia's packages want of node 22, for node 20.
WITH_RESOLVERS = ('data:text/javascript,Promise.withResolvers=Promise.withResolvers||function(){let%20a,b;const%20c='
                  'new%20Promise((d,e)=>{a=d;b=e});return{promise:c,resolve:a,reject:b}}')
root = tempfile.mkdtemp(prefix='pagi-interop-')
started = []
failures = 0


def check(name, passed, detail=''):
    global failures
    failures += not passed
    print(f"{'ok' if passed else 'FAILED'}: {name}{': ' + detail if detail else ''}", flush=True)


def skipped(name, why):
    print(f'skipped: {name}: {why}', flush=True)


class Child:
    """A process that takes lines of JSON and answers each with one."""

    def __init__(self, name, command):
        self.name = name
        self.log = open(os.path.join(root, f'{name}.log'), 'w', encoding='utf-8')
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True)
        started.append(self.process)
        self.ready = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f'{self.name} ended; see {self.log.name}')
        answer = json.loads(line)
        if 'error' in answer:
            raise RuntimeError(f"{self.name}: {answer['error']}")
        return answer

    def ask(self, *request):
        self.process.stdin.write(json.dumps(request) + '\n')
        self.process.stdin.flush()
        return self.read()


class Kubo(Child):
    def __init__(self, name):
        folder = os.path.join(root, name)
        super().__init__(name, [KUBO, os.path.join(HERE, 'ipfs_kubo.py'), folder])
        self.peer = self.ask('id', None)['result']
        self.addr = self.ask('addrs', None)['result'][0]
        if '/p2p/' not in self.addr:
            self.addr += f'/p2p/{self.peer}'


class Pagi:
    def __init__(self, name, *bootstrap):
        self.data = os.path.join(root, name)
        self.log = open(os.path.join(root, f'{name}.log'), 'w', encoding='utf-8')
        command = [PAGI, 'run', '--json', '--no-mdns', '--control', '127.0.0.1:0', '--data-dir', self.data,
                   '--swarm', 'interop', '--listen', '/ip4/127.0.0.1/tcp/0']
        for addr in bootstrap:
            command += ['--bootstrap', addr]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        started.append(self.process)
        ready = json.loads(self.process.stdout.readline())
        self.peer, self.addr = ready['peer_id'], ready['listen'][0]

    def run(self, *args):
        return subprocess.run([PAGI, *args, '--data-dir', self.data], capture_output=True, text=True,
                              timeout=600, check=False)

    def ask(self, *args):
        done = self.run(*args, '--json')
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)
        return json.loads(done.stdout)

    def add(self, path):
        return self.ask('ipfs', 'add', '-r', path)['added'][0]['cid']

    def get(self, cid, to, timeout=30):
        return self.run('ipfs', 'get', cid, '-o', to, '--force', '--quiet', '--timeout', str(timeout))


def wait(what, look, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if look():
            return True
        time.sleep(0.1)
    check(what, False, f'not within {seconds} s')
    return False


def digest(path):
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def make(name, size, seed=b''):
    path = os.path.join(root, name)
    with open(path, 'wb') as file:
        file.write(os.urandom(size) if not seed else (seed * (size // len(seed) + 1))[:size])
    return path


def fresh(name):
    path = os.path.join(root, name)
    shutil.rmtree(path, ignore_errors=True)
    if os.path.isfile(path):
        os.remove(path)
    return path


def median(values):
    return sorted(values)[len(values) // 2]


def same(path, other):
    return os.path.isfile(other) and digest(path) == digest(other)


def with_kubo():
    kubo = Kubo('kubo')
    pagi = Pagi('pagi', kubo.addr)
    if not wait('our node dials a plain Kubo', lambda: any(
            peer['peer_id'] == kubo.peer for peer in pagi.ask('peers'))):
        return
    check('our node dials a plain Kubo and stays connected', True)
    for size in (0, 11, 256 * 1024, 1024 * 1024 + 3):
        theirs, out = make('theirs', size), fresh('out')
        cid = kubo.ask('add', theirs)['result']
        got = pagi.get(cid, out)
        check(f'bitswap from Kubo, {size} bytes', same(theirs, out), got.stderr.strip())
        ours, out = make('ours', size), fresh('out')
        cid = pagi.add(ours)
        kubo.ask('get', cid, out)
        check(f'bitswap to Kubo, {size} bytes', same(ours, out))
    folder = fresh('folder')
    os.makedirs(os.path.join(folder, 'in', 'größe'))
    for name, text in (('a', 'one'), ('in/größe/ä', 'two'), ('in/empty', '')):
        with open(os.path.join(folder, name), 'w', encoding='utf-8') as file:
            file.write(text)
    compare = ['diff', '-r', folder]
    out = fresh('folder-out')
    got = pagi.get(kubo.ask('add', folder)['result'], out)
    done = subprocess.run([*compare, out], capture_output=True, text=True, check=False)
    check('a folder from Kubo', done.returncode == 0, (got.stderr + done.stdout).strip())
    out = fresh('folder-out')
    kubo.ask('get', pagi.add(folder), out)
    done = subprocess.run([*compare, out], capture_output=True, text=True, check=False)
    check('a folder to Kubo', done.returncode == 0, done.stdout.strip())
    dialled = Pagi('dialled')
    kubo.ask('connect', dialled.addr)
    small = make('small', 5000)
    out = fresh('out')
    kubo.ask('get', dialled.add(small), out)
    check('Kubo dials our node and fetches', same(small, out))
    skipped('gossipsub with Kubo', 'our gossipsub carries the name of the swarm in its protocol ids, so that '
            'swarms do not mix; and every message must hold a body signed by the peer that published it')
    skipped('the DHT of Kubo', 'our Kademlia carries the name of the swarm too; blocks need a direct connection')
    if os.environ.get('MIB') != '0':
        speed(kubo, pagi)


def speed(kubo, pagi):
    other = Kubo('kubo-2')
    other.ask('connect', kubo.addr)
    figures = {name: [] for name in ('kubo adds', 'we add', 'kubo from kubo', 'we from kubo', 'kubo from us',
                                     'we from us')}
    second = Pagi('pagi-2', pagi.addr)
    wait('our two nodes are connected', lambda: second.ask('peers'))
    for _ in range(ROUNDS):
        files = [make(f'large-{n}', SIZE) for n in range(2)]
        added = kubo.ask('add', files[0])
        theirs = added['result']
        figures['kubo adds'].append(added['seconds'])
        start = time.monotonic()
        ours = pagi.add(files[1])
        figures['we add'].append(time.monotonic() - start)
        out = fresh('large-out')
        figures['kubo from kubo'].append(other.ask('get', theirs, out)['seconds'])
        check('Kubo from Kubo', same(files[0], out))
        out = fresh('large-out')
        start = time.monotonic()
        got = pagi.get(theirs, out)
        figures['we from kubo'].append(time.monotonic() - start)
        check('ours from Kubo', same(files[0], out), got.stderr.strip()[-200:])
        out = fresh('large-out')
        figures['kubo from us'].append(kubo.ask('get', ours, out)['seconds'])
        check('Kubo from ours', same(files[1], out))
        out = fresh('large-out')
        start = time.monotonic()
        got = second.get(ours, out)
        figures['we from us'].append(time.monotonic() - start)
        check('ours from ours', same(files[1], out), got.stderr.strip()[-200:])
    middle = {name: median(values) for name, values in figures.items()}
    for name, of in (('we add', 'kubo adds'), ('we from kubo', 'kubo from kubo'),
                     ('kubo from us', 'kubo from kubo'), ('we from us', 'kubo from kubo')):
        print(f'figure: {SIZE >> 20} MiB, {name}: {middle[name]:.2f} s, {middle[name] / middle[of]:.2f} times '
              f'"{of}" ({middle[of]:.2f} s), median of {ROUNDS}', flush=True)


def with_helia():
    pagi = Pagi('pagi-h')
    helia = Child('helia', ['node', '--import', WITH_RESOLVERS, HELIA])
    helia.ask('connect', pagi.addr)
    for size in (0, 11, 1024 * 1024 + 3):
        theirs, out = make('theirs', size), fresh('out')
        cid = helia.ask('add', theirs)['result']
        check(f'the same CID from helia, {size} bytes', cid == pagi.add(theirs))
        other = make('theirs', size + 1)
        cid = helia.ask('add', other)['result']
        got = pagi.get(cid, out)
        check(f'bitswap from helia, {size + 1} bytes', same(other, out), got.stderr.strip())
        ours, out = make('ours', size + 2), fresh('out')
        helia.ask('get', pagi.add(ours), out)
        check(f'bitswap to helia, {size + 2} bytes', same(ours, out))
    # helia speaks our Kademlia when it is told its name: our node answers who has a block.
    cid = pagi.add(make('ours', 4000))
    found = []
    wait('helia finds a provider in our DHT',
         lambda: pagi.peer in found or found.extend(helia.ask('providers', cid)['result']))
    check('helia finds our node as a provider in the DHT of the swarm', pagi.peer in found)
    helia.ask('provide', theirs_cid := helia.ask('add', make('theirs', 5000))['result'])
    third = Pagi('pagi-h2', pagi.addr)
    wait('a third node is connected', lambda: third.ask('peers'))
    check('a third node is not connected with helia', all(
        peer['peer_id'] != helia.ready['result'] for peer in third.ask('peers')))
    out = fresh('out')
    got = third.get(theirs_cid, out)
    check('our node finds helia as a provider in the DHT, dials it and fetches',
          same(os.path.join(root, 'theirs'), out), got.stderr.strip())
    gossip(helia, pagi)


def gossip(helia, pagi):
    """js-libp2p's gossipsub, under the protocol ids of the swarm, with bodies signed as ours are."""
    did = pagi.ask('status')['node']['did']
    heard = lambda: any(message['author'] == did for message in helia.ask('heard')['result'])
    passed = wait('js-libp2p hears our node, signed by it', heard, 60)
    if passed:
        check('gossipsub to js-libp2p: our node is heard, and its signatures hold', True)
    sent = helia.ask('broadcast', 'from-js', True)['result']
    told = lambda name: [event for event in pagi.ask('events', '--type', 'task_broadcast', '--limit', '50')
                         if event['payload']['task']['id'] == name]
    if wait('our node takes a signed message of js-libp2p', lambda: told('from-js')):
        author = told('from-js')[0]['subject']
        check('gossipsub from js-libp2p: a signed message is taken', author == sent['author'])
    helia.ask('broadcast', 'forged', False)
    helia.ask('broadcast', 'from-js-2', True)
    if wait('our node takes another message of js-libp2p', lambda: told('from-js-2')):
        check('gossipsub from js-libp2p: a message that is not signed rightly is not taken', not told('forged'))



try:
    for name, part, needed in (('Kubo', with_kubo, KUBO), ('helia', with_helia, HELIA)):
        if not needed:
            skipped(name, 'it is not installed')
            continue
        try:
            part()
        except Exception as error:  # noqa: BLE001 - one part must not hide the other
            check(f'{name}, to the end', False, str(error)[-500:])
finally:
    for process in started:
        process.terminate()
    for process in started:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
    if failures:
        print(f'logs are in {root}')
    else:
        shutil.rmtree(root, ignore_errors=True)
print(f'{failures} failures')
sys.exit(1 if failures else 0)
