/** How an installed server relates to the one an image was taken from. */
export type VersionRelation = 'same' | 'other-patch' | 'other-series' | 'unknown';

/** Compares server versions such as 10.11.19-MariaDB-0+deb12u1 by their numbers. */
export function relateVersions(installed: string, image: string): VersionRelation {
  const a = numbers(installed);
  const b = numbers(image);
  if (a === undefined || b === undefined) return 'unknown';
  if (a.series !== b.series) return 'other-series';
  return a.patch === b.patch ? 'same' : 'other-patch';
}

/** major.minor of a server version; the text itself when it has none. */
export const seriesOf = (version: string): string => numbers(version)?.series ?? version;

function numbers(version: string): { series: string; patch: string } | undefined {
  const match = /(\d+\.\d+)\.(\d+)/.exec(version);
  return match?.[1] === undefined || match[2] === undefined ? undefined : { series: match[1], patch: match[2] };
}
