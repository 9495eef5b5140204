import { readdir, readFile, readlink } from 'node:fs/promises';

/** cmapi is a module that Python runs; by its program alone it could be anything. */
const MODULE = 'cmapi_server';

/** Processes of cmapi on this node; those of containers are nodes of their own. */
export async function cmapiProcesses(): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      // A zombie has no arguments any more.
      const argv = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
      const at = argv.indexOf('-m');
      return at >= 0 && argv[at + 1] === MODULE && (await isOfThisNode(pid));
    }),
  );
  return pids.filter((_, index) => found[index]);
}

/** True when we may not look: rather a false alarm than a cmapi that is overlooked. */
async function isOfThisNode(pid: number): Promise<boolean> {
  const namespaceOf = (process: number | 'self'): Promise<string | undefined> => readlink(`/proc/${process}/ns/pid`).catch(() => undefined);
  const [own, other] = await Promise.all([namespaceOf('self'), namespaceOf(pid)]);
  return other === undefined || other === own;
}
