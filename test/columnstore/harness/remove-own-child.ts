import { getContainerRuntimeClient } from 'testcontainers';
import { removeOwned } from './owned.ts';

// Run by an ending test run, whose process id it is told.
const owner = Number(process.argv[2]);
const { container } = await getContainerRuntimeClient();
await removeOwned(container.dockerode, (one) => one === owner);
