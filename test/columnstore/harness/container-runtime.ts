import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { type ContainerRuntimeClient, getContainerRuntimeClient } from 'testcontainers';
import { eventually } from '../../harness/eventually.ts';
import { testDirectory } from '../../harness/mariadb-server.ts';
import { guardProcesses, unmarked } from '../../harness/processes.ts';
import { removeOwned } from './owned.ts';

/** Where `./dev columnstore` keeps the engine, its image and podman's settings. */
const cache = (): string => process.env.STILLPOINT_COLUMNSTORE_CACHE ?? '/var/cache/stillpoint/columnstore';

/** Beside what podman itself keeps there while it runs. */
const SOCKETS = '/run/stillpoint/columnstore';

/** Name of the engine's image; undefined when there is none and none was named. */
export function engineImage(): string | undefined {
  const named = process.env.STILLPOINT_COLUMNSTORE_IMAGE;
  if (named !== undefined && named !== '') return named;
  const file = join(cache(), 'image');
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
}

let ready: Promise<ContainerRuntimeClient> | undefined;

/** The service that runs containers: the one of DOCKER_HOST when it answers, otherwise a podman of this process's own. */
export function containerRuntime(): Promise<ContainerRuntimeClient> {
  ready ??= prepare();
  return ready;
}

async function prepare(): Promise<ContainerRuntimeClient> {
  guardProcesses();
  // Its helper container would have to come from a registry; the keeper does its work.
  process.env.TESTCONTAINERS_RYUK_DISABLED = 'true';
  await startKeeper((await givenServiceAnswers()) ? undefined : ownSocket());
  const client = await getContainerRuntimeClient();
  await removeOwned(client.container.dockerode, (owner) => !existsSync(`/proc/${owner}`));
  return client;
}

async function givenServiceAnswers(): Promise<boolean> {
  const given = process.env.DOCKER_HOST;
  if (given === undefined || given === '') return false;
  return given.startsWith('unix://') ? answers(given.slice('unix://'.length)) : true;
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const end = (answer: boolean) => (): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', end(true)).once('error', end(false));
  });
}

/** Sets what podman and its clients read, in this process and all that it starts. */
function ownSocket(): string {
  if (process.getuid?.() !== 0)
    throw new Error('containers with addresses of their own need root: run the ColumnStore tests as root, or set DOCKER_HOST');
  const settings = join(cache(), 'podman');
  if (!existsSync(join(settings, 'containers.conf'))) throw new Error(`no settings for podman in ${settings}: run ./dev columnstore`);
  process.env.CONTAINERS_CONF = join(settings, 'containers.conf');
  process.env.CONTAINERS_STORAGE_CONF = join(settings, 'storage.conf');
  mkdirSync(SOCKETS, { recursive: true });
  const socket = join(SOCKETS, `service-${process.pid}.sock`);
  process.env.DOCKER_HOST = `unix://${socket}`;
  return socket;
}

/** Starts what outlives this process for a moment: see keeper-child.ts. */
async function startKeeper(socket: string | undefined): Promise<void> {
  const logFile = join(testDirectory('keeper'), 'log');
  const log = openSync(logFile, 'a');
  const command = [join(import.meta.dirname, 'keeper-child.ts'), String(process.pid), ...(socket === undefined ? [] : [socket])];
  const keeper = spawn(process.execPath, command, { detached: true, stdio: ['pipe', log, log], env: unmarked(process.env) });
  keeper.unref();
  (keeper.stdin as Socket).unref();
  if (socket === undefined) return;
  await eventually(() => {
    if (keeper.exitCode !== null)
      throw new Error(`podman's service did not start: run ./dev columnstore\n${readFileSync(logFile, 'utf8')}`);
    return answers(socket);
  });
}
