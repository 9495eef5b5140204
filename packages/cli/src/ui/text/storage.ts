import type { BackupPlan, VerifyReport } from '@stillpoint/controller';
import type { Style } from '../style.ts';
import { count, formatBytes } from '../units.ts';

/** How files will be stored, where that is not as usual; and how far work steps back that no writer waits for. */
export function storageLines({ compression, ionice, nice, recipients, throttle }: BackupPlan['storage']): readonly string[] {
  const priority = [...(nice === 0 ? [] : [`nice ${nice}`]), ...(ionice === undefined ? [] : [`ionice ${ionice}`])];
  return [
    ...(recipients.length === 0 ? [] : [`Files are encrypted for ${count(recipients.length, 'recipient')}: ${recipients.join(', ')}.`]),
    ...(compression === 'none' ? ['Data is not compressed.'] : []),
    ...(throttle === undefined
      ? []
      : [`Each node reads and writes at most ${formatBytes(throttle)}/s, but without limit while writers wait.`]),
    ...(priority.length === 0 ? [] : [`Work that no writer waits for runs with ${priority.join(' and ')}.`]),
  ];
}

/** What a verification could not look into. */
export const unopenedLines = (nodes: VerifyReport['nodes'], style: Style): readonly string[] =>
  nodes.flatMap(({ unopened }) =>
    unopened === undefined
      ? []
      : [`${style.paint('yellow', 'note:')} ${unopened}: their bytes were compared, what is in them was not looked at.`],
  );
