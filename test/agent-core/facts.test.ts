import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CheckPurpose, CheckStatus, Role } from '@stillpoint/shared/proto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { backUp, claimed } from './backup.ts';
import { type AgentClient, NODE, startBareNode, startNode, type TestNode } from './node.ts';

let node: TestNode;
let client: AgentClient;
beforeAll(async () => {
  node = await startNode();
  client = node.connect().client;
});
afterAll(() => node?.remove());

/** Results by name. */
async function checked(purpose: CheckPurpose): Promise<Record<string, { status: CheckStatus; code: string; hint: string }>> {
  const { results } = await client.checkNode({ purpose });
  return Object.fromEntries(results.map(({ name, status, code, hint }) => [name, { status, code, hint }]));
}

const failedOf = (results: Awaited<ReturnType<typeof checked>>): Record<string, string> =>
  Object.fromEntries(Object.entries(results).flatMap(([name, { status, code }]) => (status === CheckStatus.FAILED ? [[name, code]] : [])));

/** With the server stopped, which runs again afterwards. */
async function withoutServer(work: () => Promise<void>): Promise<void> {
  await node.server.stop();
  try {
    await work();
  } finally {
    await node.server.start();
  }
}

describe('a description', () => {
  test('names the node, its roles, its server, its repository and whose it is', async () => {
    const operationId = await claimed(client, 'verify');
    const { facts } = await client.describeNode({});
    await client.releaseNode({ operationId });
    expect(facts).toMatchObject({
      node: NODE,
      roles: [Role.SQL, Role.PRIMARY],
      mariadb: { running: true, datadir: node.server.datadir, port: node.server.port, serverId: 1, sources: [], replicationAccount: true },
      repository: { path: node.repository },
      claim: { operationId, kind: 'verify' },
      unfinishedRestore: '',
    });
    expect(facts?.agentVersion).toMatch(/^\d+\.\d+\.\d+/);
    expect(facts?.repository?.freeBytes).toBeGreaterThan(0n);
    expect(facts?.columnstore).toBeUndefined();
  });

  test('works with the server stopped', async () => {
    await withoutServer(async () => {
      const { facts } = await client.describeNode({});
      expect(facts).toMatchObject({ roles: [Role.SQL], mariadb: { running: false, datadir: node.server.datadir } });
      expect(facts?.mariadb?.version).toMatch(/^\d+\.\d+\.\d+/);
      expect(facts?.mariadb?.position).toBeUndefined();
    });
  });

  test('works without a server', async () => {
    const bare = await startBareNode();
    try {
      const { facts } = await bare.connect().client.describeNode({});
      expect(facts).toMatchObject({ node: NODE, roles: [] });
      expect(facts?.mariadb).toBeUndefined();
    } finally {
      await bare.remove();
    }
  });
});

describe('a check', () => {
  test('looks at the agent and at its server, and finds nothing wrong', async () => {
    for (const purpose of [CheckPurpose.BACKUP, CheckPurpose.RESTORE]) {
      const results = await checked(purpose);
      expect(Object.keys(results)).toEqual(expect.arrayContaining(['agent.certificate', 'agent.clock', 'repository.writable']));
      expect(Object.keys(results)).toEqual(expect.arrayContaining(['columnstore.configuration', 'mariadb.server', 'mariadb.privileges']));
      expect(failedOf(results)).toEqual({});
    }
  });

  test('finds the server stopped, which only a backup minds', async () => {
    await withoutServer(async () => {
      const results = await checked(CheckPurpose.BACKUP);
      expect(failedOf(results)).toEqual({ 'mariadb.server': 'SERVER_DOWN' });
      expect(results['mariadb.server']?.hint).not.toBe('');
      expect(failedOf(await checked(CheckPurpose.RESTORE))).toEqual({});
    });
  });
});

describe('what is written down', () => {
  test('tells every step of an operation with its node, and no secret', async () => {
    const { operationId, setId } = await backUp(client);
    const seeding = await claimed(client, 'restore');
    const { ticket } = await client.grantSeed({ operationId: seeding, setId });
    await client.releaseNode({ operationId: seeding });

    const records = node.process
      .log()
      .split('\n')
      .filter((line) => line.startsWith('{'));
    const steps = records
      .map((line) => JSON.parse(line) as { operation?: string; node: string; task?: string; msg: string })
      .filter(({ operation }) => operation === operationId);
    expect(steps.every((step) => step.node === NODE)).toBe(true);
    const told = steps.map(({ msg, task }) => (task === undefined ? msg : `${task}: ${msg}`));
    for (const step of [
      ...['node claimed', 'hold requested', 'hold in force', 'capture: task started', 'capture: task succeeded', 'hold released'],
      ...['publish: task started', 'publish: task succeeded', 'commit started', 'set committed', 'node given back'],
    ]) {
      expect(told).toContain(step);
    }

    const journals = join(node.stateDir, 'operations');
    const written = [node.process.log(), ...readdirSync(journals).map((name) => readFileSync(join(journals, name), 'utf8'))].join('\n');
    expect(written).not.toContain('secret-of-');
    expect(written).not.toContain(ticket);
  });

  test('can be read by the agent alone', () => {
    for (const path of [node.stateDir, join(node.stateDir, 'operations')]) expect(statSync(path).mode & 0o777).toBe(0o700);
  });
});
