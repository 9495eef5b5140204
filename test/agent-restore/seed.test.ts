import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TlsSetting } from '@stillpoint/shared/config';
import { LAYOUT } from '@stillpoint/shared/manifest';
import { AgentService } from '@stillpoint/shared/proto';
import { createClient } from '@stillpoint/shared/rpc';
import { systemClock } from '@stillpoint/shared/time';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { agentConfigSchema } from '../../packages/agent/src/config/schema.ts';
import { openRepository } from '../../packages/agent/src/repository/index.ts';
import { createTickets, fetchShard, type Tickets } from '../../packages/agent/src/seed/index.ts';
import { type TestAuthority, testAuthority } from '../harness/certificates.ts';
import { loadShop, shopChecksums } from '../harness/data.ts';
import { type ServedAgent, serveAgent } from '../harness/served.ts';
import { agentOf, type Rig, SET, startRig, type TakenPart, takePart } from './rig.ts';
import { tasksOf } from './tasks.ts';

let authority: TestAuthority;
let source: Rig;
let target: Rig;
let part: TakenPart;
let tickets: Tickets;
let served: ServedAgent;
let sourceTls: TlsSetting;

/** Two nodes; the first serves its parts over mutual TLS, the second has an empty repository. */
beforeAll(async () => {
  authority = await testAuthority('shop');
  source = await startRig({ node: 'db1' });
  await loadShop(source.server, 6);
  part = await takePart(source);
  const empty = await startRig({ node: 'db2', server: { serverId: 2 } });
  const config = agentConfigSchema.parse({ ...empty.config, stopGrace: '10s', tls: await authority.issue('agent', 'db2') });
  target = { ...empty, config, agent: agentOf(config) };
  tickets = createTickets(systemClock);
  const seed = seedOf();
  sourceTls = await authority.issue('agent', 'db1');
  served = await serveAgent(
    sourceTls,
    { fetchShard: (request, { signal }) => fetchShard(seed, request, signal) },
    { allowedRoles: (method) => (method === 'fetchShard' ? ['controller', 'agent'] : ['controller']) },
  );
});
afterAll(async () => {
  await served.server.close();
  await Promise.all([source.server.remove(), target.server.remove()]);
  authority.remove();
});

const seedOf = () => ({
  repository: openRepository(source.config),
  tickets,
  node: 'db1',
  brm: () => Promise.reject(new Error('no engine')),
});
const ticketFor = (setId = SET): string => tickets.grant('restore-1', setId, 60_000).ticket;
const stage = (ticket: string) =>
  tasksOf(target, 'restore-1').stage(part, { sourceNode: 'db1', seed: { address: served.address, ticket } });
const leftBehind = (): string[] => readdirSync(dirname(target.server.datadir)).filter((name) => name.startsWith('.stillpoint'));

test('a node without the part fetches it, and restores it', async () => {
  const restore = tasksOf(target, 'restore-1');
  const staged = await stage(ticketFor());
  expect(staged.result).toMatchObject({ value: { tablesEqual: 6 } });
  await restore.stop();
  await restore.doSwitch();
  await restore.start();
  expect(await shopChecksums(target.server)).toEqual(await shopChecksums(source.server));
  await restore.rollback(true);
  await restore.finish();
  rmSync(join(target.config.stateDir, 'restore'), { recursive: true });
});

test('a guessed ticket, one for another set, and one taken back are refused', async () => {
  await expect(stage('guess')).rejects.toMatchObject({ code: 'TICKET_REFUSED', node: 'db1' });
  await expect(stage(ticketFor('20261121-091500-bbbbbbbb'))).rejects.toMatchObject({ code: 'PART_NOT_FOUND' });
  const ticket = ticketFor();
  tickets.revoke('restore-1');
  await expect(stage(ticket)).rejects.toMatchObject({ code: 'TICKET_REFUSED' });
  expect(leftBehind()).toEqual([]);
});

test('what the part does not name is not served', async () => {
  writeFileSync(join(part.directory, 'secret.txt'), 'x');
  const { client, close } = createClient(
    AgentService,
    { node: 'db1', address: served.address },
    { tls: target.config.tls, cluster: 'shop' },
  );
  try {
    for (const shard of ['secret.txt', '../set.json', '../../../../etc/passwd', '']) {
      const fetched = Array.fromAsync(client.fetchShard({ ticket: ticketFor(), shard }));
      await expect(fetched, shard).rejects.toMatchObject({ code: 'TICKET_REFUSED' });
    }
    const pieces = await Array.fromAsync(client.fetchShard({ ticket: ticketFor(), shard: LAYOUT.mariadbFull }));
    expect(Buffer.concat(pieces.map(({ data }) => data)).equals(readFileSync(join(part.directory, LAYOUT.mariadbFull)))).toBe(true);
  } finally {
    close();
  }
});

test('bytes that were changed on the way or at the source are refused, and nothing is left', async () => {
  const file = join(part.directory, LAYOUT.mariadbFull);
  const good = readFileSync(file);
  const bad = Buffer.from(good);
  bad[1000] = (bad[1000] ?? 0) ^ 1;
  writeFileSync(file, bad);
  await expect(stage(ticketFor())).rejects.toMatchObject({ code: 'PART_CORRUPT' });
  writeFileSync(file, good);
  const manifest = join(part.directory, LAYOUT.partManifest);
  const text = readFileSync(manifest, 'utf8');
  writeFileSync(manifest, text.replace('"hostname": "host"', '"hostname": "evil"'));
  await expect(stage(ticketFor())).rejects.toMatchObject({ code: 'PART_CORRUPT' });
  writeFileSync(manifest, text);
  expect(leftBehind()).toEqual([]);
});

test('a source that goes away in the middle leaves nothing', async () => {
  const other = await serveAgent(
    sourceTls,
    {
      fetchShard: async function* (request, { signal }) {
        const seed = seedOf();
        for await (const piece of fetchShard(seed, request, signal)) {
          yield piece;
          if (request.shard !== LAYOUT.partManifest) void other.server.close();
        }
      },
    },
    { allowedRoles: () => ['agent'] },
  );
  const run = tasksOf(target, 'restore-1').stage(part, { sourceNode: 'db1', seed: { address: other.address, ticket: ticketFor() } });
  await expect(run).rejects.toMatchObject({ node: 'db1' });
  expect(leftBehind()).toEqual([]);
});
