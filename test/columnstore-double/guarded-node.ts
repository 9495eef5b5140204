import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startNode, type TestNode } from '../agent-core/node.ts';
import { type Double, startDouble } from '../fixtures/columnstore/double.ts';
import { type OwnProcess, ownProcesses } from '../harness/processes.ts';

/** A node with a real server, a real agent, and the double of an engine. */
export interface GuardedNode extends TestNode {
  readonly double: Double;
  /** The guardian of the agent, or what is left of one. */
  guardians(): readonly OwnProcess[];
  /** True while the record of a suspension is on disk. */
  isRecorded(): boolean;
  /** True once it says that the engine was seen read-only: until then a guardian watches for minutes whether the request is carried out yet. */
  isConfirmed(): boolean;
  /** Starts a client of the server that writes all the time. */
  observe(): Observer;
}

/** A client that looks, after each write of its own, whether that one could have met a read-only engine. */
export interface Observer {
  readonly written: number;
  /** Writes that went through while the engine was read-only, and errors: the order of release was broken. */
  readonly violations: readonly string[];
  stop(): Promise<void>;
}

/** Starts one. `server: false` for an agent that knows of no server; the server is there all the same, for the observer. */
export async function startGuardedNode({ server = true } = {}): Promise<GuardedNode> {
  const double = await startDouble();
  const { bin, columnstore } = double.primary;
  const node = await startNode({
    path: [bin],
    configure: ({ mariadb, ...config }) => ({ ...config, columnstore, ...(server ? { mariadb } : {}) }),
  });
  const record = join(node.stateDir, 'suspension.json');
  return {
    ...node,
    double,
    guardians: () => ownProcesses().filter(({ argv }) => argv.some((word) => word.endsWith('guardian/main.ts'))),
    isRecorded: () => existsSync(record),
    isConfirmed: () => existsSync(record) && JSON.parse(readFileSync(record, 'utf8')).isConfirmed === true,
    observe: () => observe(node, double),
    remove: async () => {
      await node.remove();
      await double.stop();
    },
  };
}

function observe({ server }: TestNode, double: Double): Observer {
  const violations: string[] = [];
  let written = 0;
  let isOver = false;
  const write = async (): Promise<void> => {
    const client = await server.root();
    while (!isOver) {
      try {
        await client.query('INSERT INTO shop.guarded () VALUES ()');
        // By now a write to a ColumnStore table would have reached the engine.
        if (double.state().readOnly) violations.push(`write ${written} went through while the engine was read-only`);
        written += 1;
      } catch (error) {
        violations.push(`write ${written}: ${(error as Error).message}`);
      }
      await delay(2);
    }
    client.destroy();
  };
  const writing = write();
  return {
    get written() {
      return written;
    },
    violations,
    stop: async () => {
      isOver = true;
      await writing;
    },
  };
}
