import type { ContainerRuntimeClient } from 'testcontainers';

/** The API of the service that runs containers. */
export type Docker = ContainerRuntimeClient['container']['dockerode'];

/** Every container and network of ours carries the process id of the test run that made it. */
const OWNER = 'stillpoint.test.owner';

export const ownLabels = (): Record<string, string> => ({ [OWNER]: String(process.pid) });

/** Ids of the containers and networks of all test runs whose process id is among the wanted; others are not ours to look at. */
export async function ownedBy(docker: Docker, wanted: (owner: number) => boolean): Promise<{ containers: string[]; networks: string[] }> {
  const filters = JSON.stringify({ label: [OWNER] });
  const idsOf = (found: readonly { Id: string; Labels?: Record<string, string> | undefined }[]): string[] =>
    found.filter(({ Labels: labels }) => wanted(Number(labels?.[OWNER]))).map(({ Id: id }) => id);
  return {
    containers: idsOf(await docker.listContainers({ all: true, filters })),
    networks: idsOf(await docker.listNetworks({ filters })),
  };
}

/** Removes all of that. */
export async function removeOwned(docker: Docker, wanted: (owner: number) => boolean): Promise<void> {
  const { containers, networks } = await ownedBy(docker, wanted);
  await Promise.all(containers.map((id) => removeContainer(docker, id)));
  await Promise.all(networks.map((id) => docker.getNetwork(id).remove().catch(ignoreMissing)));
}

/** Without a chance to stop in order; also one that has gone already. */
async function removeContainer(docker: Docker, id: string): Promise<void> {
  await docker.getContainer(id).remove({ force: true, v: true }).catch(ignoreMissing);
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Error && 'statusCode' in error && error.statusCode === 404)) throw error;
}
