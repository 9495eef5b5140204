import { createNetwork } from './harness/network.ts';
import { startNodeContainer } from './harness/node-container.ts';

// A test run that is killed as soon as it said that its node is up.
const network = await createNetwork();
const [name = '', directory = ''] = process.argv.slice(2);
await startNodeContainer({ name, address: network.address(1), directory, network, hosts: [] });
process.stdout.write('up\n');
setInterval(() => undefined, 1_000);
