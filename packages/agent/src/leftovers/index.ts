/** What dead operations leave behind on a node: in its repository, beside its data, in the agent's own directory. */
import type { Leftover, Search } from './leftover.ts';
import { captureLeftovers } from './of-captures.ts';
import { repositoryLeftovers } from './of-repository.ts';
import { restoreLeftovers } from './of-restores.ts';

export { changedMs, type Leftover, type Search } from './leftover.ts';

/** Everything that was left behind, as it is found. Throws the system's error, or the signal's reason. */
export async function* findLeftovers(search: Search): AsyncGenerator<Leftover> {
  yield* repositoryLeftovers(search);
  yield* captureLeftovers(search);
  yield* restoreLeftovers(search);
}
