import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type ContainerRuntimeClient, getContainerRuntimeClient } from 'testcontainers';
import { eventually } from '../../harness/eventually.ts';
import { testDirectory } from '../../harness/mariadb-server.ts';
import { guardProcesses, killQuietly } from '../../harness/processes.ts';
import { removeOwned } from './owned.ts';

/** Where `./dev columnstore` keeps the engine, its image and podman's settings. */
const cache = (): string => process.env.STILLPOINT_COLUMNSTORE_CACHE ?? '/var/cache/stillpoint/columnstore';

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
  // Its helper container would have to come from a registry; we sweep ourselves.
  process.env.TESTCONTAINERS_RYUK_DISABLED = 'true';
  if (!(await givenServiceAnswers())) await startService();
  const client = await getContainerRuntimeClient();
  await removeOwned(client.container.dockerode, (owner) => !existsSync(`/proc/${owner}`));
  // Handlers of an exit cannot wait, another process can. Before those that end the service.
  process.prependOnceListener('exit', () =>
    spawnSync(process.execPath, [join(import.meta.dirname, 'remove-own-child.ts'), String(process.pid)]),
  );
  return client;
}

function givenServiceAnswers(): Promise<boolean> {
  const given = process.env.DOCKER_HOST;
  if (given === undefined) return Promise.resolve(false);
  return given.startsWith('unix://') ? answers(given.slice('unix://'.length)) : Promise.resolve(true);
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

async function startService(): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new Error('containers with addresses of their own need root: run the ColumnStore tests as root, or set DOCKER_HOST');
  const settings = join(cache(), 'podman');
  if (!existsSync(join(settings, 'containers.conf'))) throw new Error(`no settings for podman in ${settings}: run ./dev columnstore`);
  // Whatever is run below this process uses the same images.
  process.env.CONTAINERS_CONF = join(settings, 'containers.conf');
  process.env.CONTAINERS_STORAGE_CONF = join(settings, 'storage.conf');
  const socket = join(testDirectory('podman'), 'podman.sock');
  const service = spawn('podman', ['system', 'service', '--time=0', `unix://${socket}`], { stdio: ['ignore', 'ignore', 'inherit'] });
  process.once('exit', () => killQuietly(service.pid ?? 0, 'SIGTERM'));
  service.unref();
  await eventually(() => {
    if (service.exitCode !== null) throw new Error(`podman's service ended with ${service.exitCode}: run ./dev columnstore`);
    return answers(socket);
  });
  process.env.DOCKER_HOST = `unix://${socket}`;
}
