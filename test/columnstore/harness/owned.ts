import type { ContainerRuntimeClient } from 'testcontainers';

/** The API of the service that runs containers. */
export type Docker = ContainerRuntimeClient['container']['dockerode'];

/** Every container and network of ours carries the process id of the test run that made it. */
const OWNER = 'stillpoint.test.owner';

export const ownLabels = (): Record<string, string> => ({ [OWNER]: String(process.pid) });

/** Removes the containers and networks of all test runs whose process id is among the wanted; others' are never touched. */
export async function removeOwned(docker: Docker, wanted: (owner: number) => boolean): Promise<void> {
  const filters = JSON.stringify({ label: [OWNER] });
  const isWanted = ({ Labels: labels }: { Labels?: Record<string, string> | undefined }): boolean => wanted(Number(labels?.[OWNER]));
  const containers = await docker.listContainers({ all: true, filters });
  await Promise.all(containers.filter(isWanted).map(({ Id: id }) => removeContainer(docker, id)));
  const networks = await docker.listNetworks({ filters });
  await Promise.all(networks.filter(isWanted).map(({ Id: id }) => docker.getNetwork(id).remove().catch(ignoreMissing)));
}

/** Without a chance to stop in order; also one that has gone already. */
async function removeContainer(docker: Docker, id: string): Promise<void> {
  await docker.getContainer(id).remove({ force: true, v: true }).catch(ignoreMissing);
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Error && 'statusCode' in error && error.statusCode === 404)) throw error;
}
