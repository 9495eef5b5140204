import { StillpointError } from '@stillpoint/shared/errors';
import type { BackupRequest } from '../api.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { ChosenParent } from '../plan/parent.ts';

/**
 * Chooses the set that was named, else the newest good one. Throws SET_NOT_FOUND for one that is named and not good: whoever names one wants no
 * other.
 */
export function chooseParent(catalog: Pick<Catalog, 'find' | 'list'>, { incremental }: BackupRequest): ChosenParent {
  if (incremental === undefined) return { parent: undefined, warnings: [] };
  const { parent: wanted } = incremental;
  if (wanted === undefined || wanted === 'latest') {
    const newest = catalog.list(false).find(({ state }) => state === 'good')?.setId;
    if (newest !== undefined) return { parent: newest, warnings: [] };
    return { parent: undefined, warnings: ['there is no good set to make an increment of: this one is full'] };
  }
  const found = catalog.find(wanted);
  if (found?.summary.state === 'good') return { parent: wanted, warnings: [] };
  throw new StillpointError(
    'SET_NOT_FOUND',
    found === undefined ? `the catalog knows no set ${wanted}` : `set ${wanted} is ${found.summary.state}: ${found.summary.reason}`,
    { hint: 'An increment is made of a good set. See `stillpoint backup list --rescan`; without --parent the newest good one is taken.' },
  );
}
