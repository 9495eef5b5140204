import { readdir, readFile } from 'node:fs/promises';

/** cmapi is a module that Python runs; by its program alone it could be anything. */
const MODULE = 'cmapi_server';

/** Processes of cmapi on this host, those in other containers included. */
export async function cmapiProcesses(): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      // A zombie has no arguments any more.
      const argv = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
      const at = argv.indexOf('-m');
      return at >= 0 && argv[at + 1] === MODULE;
    }),
  );
  return pids.filter((_, index) => found[index]);
}
