import { lookup } from 'node:dns/promises';
import { hostname, networkInterfaces } from 'node:os';

/** How long a name server may take: whoever looks at a node waits for it. */
const LOOKUP_MS = 2_000;

/** True for what every host calls itself, and so names none in a file that several hosts share. */
export const isLoopback = (name: string): boolean => name === 'localhost' || name === '::1' || /^127\.\d+\.\d+\.\d+$/.test(name);

/** This host in words, for messages: its name and its addresses. */
export const thisHost = (): string => [hostname(), ...ownAddresses()].join(', ');

/**
 * True when one of these names and addresses is that of this host. What it is called here counts first; then names are resolved, each
 * within 2 seconds. One that cannot be resolved is not this host.
 */
export async function isThisHost(names: readonly string[]): Promise<boolean> {
  const own = new Set([hostname().toLowerCase(), ...ownAddresses()]);
  const telling = names.map((name) => name.toLowerCase()).filter((name) => !isLoopback(name));
  if (telling.some((name) => own.has(name))) return true;
  const resolved = await Promise.all(telling.map(addressesOf));
  // Hosts commonly have their own name at a loopback address.
  return resolved.flat().some((address) => own.has(address) || isLoopback(address));
}

const ownAddresses = (): string[] =>
  Object.values(networkInterfaces())
    .flatMap((entries) => entries ?? [])
    .flatMap(({ internal, address }) => (internal ? [] : [address]));

function addressesOf(name: string): Promise<string[]> {
  const found = lookup(name, { all: true }).then(
    (entries) => entries.map(({ address }) => address),
    () => [],
  );
  const { promise: late, resolve } = Promise.withResolvers<string[]>();
  const timer = setTimeout(() => resolve([]), LOOKUP_MS);
  return Promise.race([found, late]).finally(() => clearTimeout(timer));
}
