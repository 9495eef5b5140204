import type { TlsSetting } from '@stillpoint/shared/config';
import { StillpointError } from '@stillpoint/shared/errors';
import { AgentService } from '@stillpoint/shared/proto';
import {
  type Connection,
  createClient,
  createServer,
  type Implementation,
  type RunningServer,
  type ServerOptions,
} from '@stillpoint/shared/rpc';

type Agent = Implementation<typeof AgentService>;

/** An agent's service in this process, of which only some calls do something. */
export interface ServedAgent {
  readonly address: string;
  readonly server: RunningServer;
  /** What the server refused: who, why. */
  readonly refused: (readonly [who: string, why: string])[];
}

/** Serves the given calls as node db1 of cluster shop. All others fail. */
export async function serveAgent(
  tls: TlsSetting,
  calls: Partial<Agent>,
  options: Partial<ServerOptions<typeof AgentService>> = {},
): Promise<ServedAgent> {
  const refused: [string, string][] = [];
  const server = await createServer({
    tls,
    cluster: 'shop',
    node: 'db1',
    listen: '127.0.0.1:0',
    service: AgentService,
    implementation: { ...NOTHING, ...calls },
    allowedRoles: () => ['controller'],
    onRefused: (who, why) => refused.push([who, why]),
    ...options,
  });
  return { server, refused, address: `127.0.0.1:${server.port}` };
}

/** A client of node db1 of cluster shop. */
export const agentClient = (tls: TlsSetting, address: string, node = 'db1'): Connection<typeof AgentService> =>
  createClient(AgentService, { node, address }, { tls, cluster: 'shop' });

/** The error that `work` ends with, which must be one of ours. */
export async function failureOf(work: Promise<unknown>): Promise<StillpointError> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof StillpointError) return error;
  throw new Error('did not fail with a StillpointError', { cause: error });
}

/** Everything that comes, or the error. */
export async function drain<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of source) all.push(item);
  return all;
}

const unserved = (): never => {
  throw new Error('not served in this test');
};

const NOTHING: Agent = {
  describeNode: unserved,
  checkNode: unserved,
  claimNode: unserved,
  releaseNode: unserved,
  hold: unserved,
  startTask: unserved,
  watchTask: unserved,
  cancelTask: unserved,
  listSets: unserved,
  readPart: unserved,
  commitSet: unserved,
  deletePart: unserved,
  protectSet: unserved,
  cleanNode: unserved,
  grantSeed: unserved,
  fetchShard: unserved,
};
