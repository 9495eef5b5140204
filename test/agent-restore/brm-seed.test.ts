import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import type { SeedSource } from '@stillpoint/shared/proto';
import { SeedSourceSchema } from '@stillpoint/shared/proto';
import { systemClock } from '@stillpoint/shared/time';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { currentBrm } from '../../packages/agent/src/columnstore/brm/current.ts';
import { fetchBrm } from '../../packages/agent/src/columnstore/brm/load-fetch.ts';
import { type AgentConfig, agentConfigSchema } from '../../packages/agent/src/config/schema.ts';
import { openRepository } from '../../packages/agent/src/repository/index.ts';
import { createTickets, fetchShard, openSeedClient, type Tickets } from '../../packages/agent/src/seed/index.ts';
import { type TestAuthority, testAuthority } from '../harness/certificates.ts';
import { type ServedAgent, serveAgent } from '../harness/served.ts';
import { type EnginePart, type EngineRig, engineRig, fillDbroot, owner, takeEnginePart } from './engine-rig.ts';
import { SET } from './rig.ts';

let authority: TestAuthority;
let tickets: Tickets;
let served: ServedAgent;
let primary: EngineRig;
let part: EnginePart;
let replica: AgentConfig;
let scratch: string;

/** The primary, with set B as its current one, and a node that has nothing. */
beforeAll(async () => {
  authority = await testAuthority('shop');
  primary = engineRig(1, [[1], [2]]);
  fillDbroot(primary.dbroot(1), 1, 'cut');
  part = await takeEnginePart(primary, [1]);
  const dbrm = join(primary.dbroot(1), 'systemFiles', 'dbrm');
  for (const name of ['em', 'vbbm', 'vss']) writeFileSync(join(dbrm, `BRM_savesB_${name}`), `B ${name}`);
  writeFileSync(join(dbrm, 'BRM_saves_journal'), Buffer.alloc(3_000_000, 'journal'));
  writeFileSync(join(dbrm, 'BRM_saves_current'), 'BRM_savesB\n');
  tickets = createTickets(systemClock);
  const brm = async () => (await currentBrm(join(dbrm, 'BRM_saves'))).files;
  const seed = { repository: openRepository(primary.config), tickets, node: 'pm1', brm };
  served = await serveAgent(
    await authority.issue('agent', 'pm1'),
    { fetchShard: (request, { signal }) => fetchShard(seed, request, signal) },
    { node: 'pm1', allowedRoles: () => ['agent'] },
  );
  const rig = engineRig(2, [[1], [2]]);
  replica = agentConfigSchema.parse({ ...rig.config, stopGrace: '10s', tls: await authority.issue('agent', 'pm2') });
  scratch = join(rig.home, 'tmp', 'rdwrscratch');
});
afterAll(async () => {
  await served.server.close();
  authority.remove();
});
beforeEach(() => rmSync(scratch, { recursive: true, force: true }));

const signal = new AbortController().signal;
const seedOf = (ticket: string): SeedSource => create(SeedSourceSchema, { address: served.address, ticket });
const fetchAll = (ticket = tickets.grantBrm('restore-1', 60_000).ticket, node = 'pm1') =>
  fetchBrm(replica, { node, seed: seedOf(ticket), prefix: join(scratch, 'BRM_saves'), owner }, signal);

test('the current set of the primary is fetched under the plain name, for the owner of the data', async () => {
  await fetchAll();
  expect(readdirSync(scratch).sort()).toEqual(['BRM_saves_em', 'BRM_saves_journal', 'BRM_saves_vbbm', 'BRM_saves_vss']);
  for (const name of ['em', 'vbbm', 'vss']) expect(readFileSync(join(scratch, `BRM_saves_${name}`), 'utf8')).toBe(`B ${name}`);
  expect(statSync(join(scratch, 'BRM_saves_journal'))).toMatchObject({ ...owner, size: 3_000_000 });
  // What is there already is replaced.
  await fetchAll();
});

test('a name that leads elsewhere in a directory that is everybody’s is not followed', async () => {
  const elsewhere = join(scratch, '..', 'elsewhere');
  mkdirSync(scratch, { recursive: true });
  writeFileSync(elsewhere, 'precious');
  symlinkSync(elsewhere, join(scratch, 'BRM_saves_em'));
  await fetchAll();
  expect(readFileSync(elsewhere, 'utf8')).toBe('precious');
  expect(lstatSync(join(scratch, 'BRM_saves_em')).isFile()).toBe(true);
});

test('a ticket is good for what it was given for, and for nothing else', async () => {
  await expect(fetchAll('guess')).rejects.toMatchObject({ code: 'TICKET_REFUSED' });
  await expect(fetchAll(tickets.grant('restore-1', SET, 60_000).ticket)).rejects.toMatchObject({ code: 'TICKET_REFUSED' });
  await expect(fetchAll(tickets.grant('restore-1', part.part.setId, 60_000).ticket)).rejects.toMatchObject({ code: 'TICKET_REFUSED' });
  const { fetch, close } = openSeedClient(replica, 'pm1', seedOf(tickets.grantBrm('restore-1', 60_000).ticket));
  try {
    for (const name of ['part.json', 'current', 'tablelocks', '../../../../etc/passwd', 'constructor', '']) {
      await expect(Array.fromAsync(fetch({ name }, signal)), name).rejects.toMatchObject({ code: 'TICKET_REFUSED' });
    }
  } finally {
    close();
  }
});

test('another node than the primary is not believed, and a task must name it', async () => {
  await expect(fetchAll(undefined, 'pm3')).rejects.toMatchObject({ code: 'NODE_MISMATCH' });
  await expect(fetchAll(undefined, '')).rejects.toMatchObject({ code: 'USAGE' });
});
