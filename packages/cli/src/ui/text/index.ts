import type { Result, ResultOf, ResultType } from '../result.ts';
import type { Style } from '../style.ts';
import { backupPlanText, backupText, deleteText, setDetailText, setsText, verifyText } from './backup.ts';
import { checksText, clusterText } from './cluster.ts';
import { restorePlanText, restoresText, restoreText } from './restore.ts';
import { cleanText, protectionText, pruneText } from './retention.ts';
import { agentText, authorityText, certificateText, findingsText, grantsText } from './setup.ts';

export { tableLocksTable } from './columnstore.ts';
export { blockersTable, errorText } from './error.ts';

type Writers = { readonly [T in ResultType]: (result: ResultOf<T>, style: Style) => readonly string[] };

const WRITERS: Writers = {
  cluster: clusterText,
  checks: checksText,
  'backup-plan': backupPlanText,
  backup: backupText,
  sets: setsText,
  'set-detail': setDetailText,
  verify: verifyText,
  delete: deleteText,
  prune: pruneText,
  protection: protectionText,
  clean: cleanText,
  'restore-plan': restorePlanText,
  restore: restoreText,
  restores: restoresText,
  agent: agentText,
  grants: grantsText,
  authority: authorityText,
  certificate: certificateText,
  findings: findingsText,
  completion: ({ script }) => [script.trimEnd()],
  version: ({ version, node, platform }) => [`stillpoint ${version} (node ${node}, ${platform})`],
  help: ({ text }) => [text.trimEnd()],
};

/** A result as lines for people. */
export function resultText(result: Result, style: Style): readonly string[] {
  const writer = WRITERS[result.type] as (result: Result, style: Style) => readonly string[];
  return writer(result, style);
}
