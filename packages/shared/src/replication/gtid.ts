/** One transaction: domain, server, number within the domain. */
interface Gtid {
  readonly domain: number;
  readonly server: number;
  /** 64 bits. */
  readonly sequence: bigint;
}

const PATTERN = /^(\d{1,10})-(\d{1,10})-(\d{1,20})$/;

/** The GTIDs of a list such as `0-1-840,7-2-12`; undefined when it is not one. The empty text is the empty list. */
function parse(list: string): readonly Gtid[] | undefined {
  const gtids: Gtid[] = [];
  for (const text of list.split(',').map((part) => part.trim())) {
    if (text === '' && gtids.length === 0 && list.trim() === '') return [];
    const match = PATTERN.exec(text);
    if (match === null) return undefined;
    gtids.push({ domain: Number(match[1]), server: Number(match[2]), sequence: BigInt(match[3] ?? 0) });
  }
  return gtids;
}

const format = (gtids: readonly Gtid[]): string =>
  [...gtids]
    .sort((a, b) => a.domain - b.domain || a.server - b.server)
    .map(({ domain, server, sequence }) => `${domain}-${server}-${sequence}`)
    .join(',');

/** True for a GTID position as the server writes it, the empty one included. */
export const isGtidPosition = (text: string): boolean => parse(text) !== undefined;

/** True when two positions name the same transactions, in whatever order. */
export function sameGtidPosition(a: string, b: string): boolean {
  const [first, second] = [parse(a), parse(b)];
  return first !== undefined && second !== undefined && format(first) === format(second);
}

/**
 * Where a server stands: per domain the later one of what it logged itself and what it replicated. The same as
 * @@gtid_current_pos, but independent of its server_id, which a restored server may have got anew.
 */
export function currentGtidPosition(binlogPos: string, slavePos: string): string {
  const latest = new Map<number, Gtid>();
  for (const gtid of [...(parse(slavePos) ?? []), ...(parse(binlogPos) ?? [])]) {
    const known = latest.get(gtid.domain);
    if (known === undefined || gtid.sequence > known.sequence) latest.set(gtid.domain, gtid);
  }
  return format([...latest.values()]);
}
