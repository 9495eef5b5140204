import { randomInt } from 'node:crypto';
import { containerRuntime } from './container-runtime.ts';
import { ownLabels } from './owned.ts';

/** A network that leads nowhere but between its containers and this machine. */
export interface TestNetwork {
  readonly name: string;
  /** Address of the n-th host, from 1. */
  address(host: number): string;
  remove(): Promise<void>;
}

/** Names are in each node's hosts file: no DNS server takes part. Addresses are fixed, for they stand in Columnstore.xml. */
export async function createNetwork(): Promise<TestNetwork> {
  const { container } = await containerRuntime();
  const docker = container.dockerode;
  for (let attempt = 1; ; attempt++) {
    const prefix = `10.${randomInt(200, 250)}.${randomInt(1, 255)}`;
    const name = `stillpoint-${process.pid}-${prefix.replaceAll('.', '-')}`;
    try {
      const network = await docker.createNetwork({
        Name: name,
        Driver: 'bridge',
        Internal: true,
        IPAM: { Config: [{ Subnet: `${prefix}.0/24` }] },
        Labels: ownLabels(),
      });
      return { name, address: (host) => `${prefix}.${10 + host}`, remove: async () => void (await network.remove()) };
    } catch (error) {
      // Taken, by a network of ours or by a route of this machine.
      if (attempt === 10) throw error;
    }
  }
}
