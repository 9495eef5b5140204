/** True when two GTID positions (comma lists of domain-server-sequence) mean the same transactions. */
export const sameGtidPosition = (a: string, b: string): boolean => normalised(a) === normalised(b);

const normalised = (position: string): string =>
  position
    .split(',')
    .map((gtid) => gtid.trim())
    .filter((gtid) => gtid !== '')
    .toSorted()
    .join(',');
