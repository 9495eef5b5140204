import type { NodeAgent } from '../agents/pool.ts';
import type { Listing } from '../catalog/judge.ts';
import { listRepositories, takeIn } from '../catalog/rescan.ts';
import type { ControllerContext } from '../context.ts';
import type { JournalState } from '../journal/journal.ts';
import type { RetainedSet } from '../retention/policy.ts';
import type { SilentNode } from '../retention/report.ts';

/** A restore in one of these may yet read its set. */
const STILL_READING: readonly JournalState[] = ['running', 'failed', 'interrupted'];

/** What there is to keep or to remove, as all nodes that answer have it. */
export interface Outlook {
  /** Good and incomplete ones, newest first. */
  readonly sets: readonly (RetainedSet & { readonly nodes: readonly string[]; readonly storedBytes: number; readonly reason: string })[];
  readonly listings: readonly Listing[];
  readonly silent: readonly SilentNode[];
}

/** Nodes whose repositories answer, and those that do not. Throws the first failure when none does. */
export async function presentNodes(
  { agents }: ControllerContext,
  signal: AbortSignal,
): Promise<{ readonly present: readonly NodeAgent[]; readonly silent: readonly SilentNode[] }> {
  const silent = silentIn(await listRepositories(agents.all, signal));
  const present = agents.all.filter(({ node }) => !silent.some((other) => other.node === node));
  if (present.length === 0 && silent[0] !== undefined) throw silent[0].error;
  return { present, silent };
}

const silentIn = (listings: readonly Listing[]): SilentNode[] =>
  listings.flatMap((listing) => ('error' in listing ? [{ node: listing.node, error: listing.error }] : []));

/** Looks into the repositories of the present nodes, and brings the catalog up to what they hold. */
export async function outlook(
  { config, store }: ControllerContext,
  { present, silent }: { readonly present: readonly NodeAgent[]; readonly silent: readonly SilentNode[] },
  signal: AbortSignal,
): Promise<Outlook> {
  const { catalog } = store;
  const since = catalog.generation();
  const listings = [...(await listRepositories(present, signal)), ...silent];
  const scan = takeIn(catalog, config.cluster, listings, since);
  const readers = new Map(scan.sets.map(({ setId, readBy }) => [setId, readBy]));
  const ours = readersOf(store);
  const sets = catalog.list(false).flatMap(({ setId, cutAt, state, isProtected, nodes, storedBytes, reason }) => {
    if (state === 'failed') return [];
    const uses = catalog.find(setId)?.set?.uses ?? [];
    const readBy = ours.get(setId) ?? readers.get(setId) ?? '';
    return [{ setId, cutAt, state, isProtected, uses, readBy, nodes, storedBytes, reason }];
  });
  forgetDeleted(catalog, scan.sets, silentIn(listings).length);
  return { sets, listings, silent: silentIn(listings) };
}

/** A deletion of which no node holds anything any more has come to its end. */
function forgetDeleted(catalog: ControllerContext['store']['catalog'], found: readonly { setId: string }[], silent: number): void {
  if (silent > 0) return;
  for (const { setId } of catalog.deletions()) if (!found.some((set) => set.setId === setId)) catalog.remove(setId);
}

/** Restores of this controller that may yet read a set, by set. */
export function readersOf({ journal }: ControllerContext['store']): Map<string, string> {
  journal.settleDead();
  return new Map(
    journal
      .list('restore')
      .flatMap(({ id, setId, state }) => (setId !== '' && STILL_READING.includes(state) ? [[setId, id] as const] : [])),
  );
}
