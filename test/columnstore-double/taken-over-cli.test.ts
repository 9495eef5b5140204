import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { CLUSTER, NODE } from '../agent-core/node.ts';
import { type Ended, runStillpoint, startStillpoint } from '../harness/cli.ts';
import { writeClusterConfig } from '../harness/node-files.ts';
import { killQuietly, ownProcesses } from '../harness/processes.ts';
import { engineTree, layOut } from './dbroot-tree.ts';
import { type GuardedNode, startGuardedNode } from './guarded-node.ts';

let node: GuardedNode;
let configFile: string;
beforeAll(async () => {
  node = await startGuardedNode();
  layOut(node.double.primary.dbroots[0]?.path ?? '', engineTree({ first: false, columns: 8, segmentBytes: 2_000_000 }));
  const { tls } = JSON.parse(readFileSync(node.configFile, 'utf8')) as { tls: { ca: string } };
  configFile = writeClusterConfig({
    ...{ name: CLUSTER, directory: dirname(node.configFile), pki: dirname(tls.ca), nodes: [{ name: NODE, address: node.address }] },
    backup: { lockTimeout: '5s', lockAttempts: 1, lease: '3s', maxBlock: '30s' },
  });
});
afterEach(() => node.process.start());
afterAll(() => node?.remove());

const CREATE = ['backup', 'create', '--capture', 'precopy'];
const kept = (): string => join(node.repository, CLUSTER, `.precopied.${NODE}`);
const withConfig = (...args: string[]): string[] => [...args, '--config', configFile];
const messages = ({ lines }: Ended): string => lines.map(({ message }) => message).join('\n');

/** A backup that stands where all dbroots were copied, and the image of the server is begun. */
async function standing() {
  const gate = node.gate('mariadb-backup', '--backup');
  const backup = startStillpoint(withConfig(...CREATE));
  await Promise.race([gate.reached(), backup.ended.then(({ stdout, stderr }) => expect.unreachable(stdout + stderr))]);
  const operationId = String((await backup.until(({ type }) => type === 'operation')).operationId);
  return { backup, gate, operationId };
}

/** The same command again uses what was copied, and its set is good. */
async function againUses(operationId: string): Promise<void> {
  const again = await runStillpoint(withConfig(...CREATE));
  expect(again.exitCode, again.stderr).toBe(0);
  expect(messages(again)).toMatch(
    new RegExp(`dbroot 1: [0-9.]+ MiB in \\d shards, copied by ${operationId} before it was interrupted, are used again`),
  );
  expect(existsSync(kept())).toBe(false);
  expect((await runStillpoint(withConfig('backup', 'verify', 'latest'))).exitCode).toBe(0);
}

test('a controller that was killed: the command again, at once', async () => {
  const { backup, gate, operationId } = await standing();
  backup.kill('SIGKILL');
  await backup.ended;
  gate.open();
  await againUses(operationId);
});

test('an agent that was killed: the command fails, and again', async () => {
  const { backup, gate, operationId } = await standing();
  await node.process.kill('SIGKILL');
  gate.open();
  expect((await backup.ended).exitCode).not.toBe(0);
  await node.process.start();
  expect(existsSync(kept())).toBe(true);
  await againUses(operationId);
});

test('a program that fails: the command fails, and again', async () => {
  const { backup, gate, operationId } = await standing();
  for (const { pid, argv } of ownProcesses()) if (argv.some((word) => word.endsWith('/mariadb-backup'))) killQuietly(pid, 'SIGKILL');
  gate.open();
  expect((await backup.ended).exitCode).not.toBe(0);
  expect(existsSync(kept())).toBe(true);
  await againUses(operationId);
});

test('a user who interrupts it wants nothing back but the space', async () => {
  const { backup, gate } = await standing();
  backup.kill('SIGINT');
  gate.open();
  expect((await backup.ended).exitCode).toBe(130);
  expect(existsSync(kept())).toBe(false);
});
