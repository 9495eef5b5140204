import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { getContainerRuntimeClient } from 'testcontainers';
import { removeOwned } from './owned.ts';

// Runs beside a test run, in a session of its own, and knows its end by the end of its own input, however that came: then it removes the
// containers and networks of that run. With a second argument it also keeps podman's service on that socket until then.
const [owner, socket] = process.argv.slice(2);

// The service goes with the keeper, even if that is killed.
const service =
  socket === undefined
    ? undefined
    : spawn('setpriv', ['--pdeathsig', 'TERM', 'podman', 'system', 'service', '--time=0', `unix://${socket}`], {
        stdio: ['ignore', 'inherit', 'inherit'],
      });
service?.once('exit', (code) => process.exit(code ?? 1));

await once(process.stdin.resume(), 'end');
const { container } = await getContainerRuntimeClient();
await removeOwned(container.dockerode, (one) => one === Number(owner));
service?.removeAllListeners('exit').kill();
if (socket !== undefined) rmSync(socket, { force: true });
process.exit();
