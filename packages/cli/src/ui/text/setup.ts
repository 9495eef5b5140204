import type { Finding, ResultOf } from '../result.ts';
import type { Style } from '../style.ts';
import { pairs } from '../table.ts';
import { count, formatTime } from '../units.ts';
import { marked } from './cluster.ts';

/** What an agent says about itself on stdout; its log goes to stderr. */
export const agentText = ({ state, cluster, node, address }: ResultOf<'agent'>): readonly string[] => [
  state === 'ready' ? `Agent of node ${node}, cluster ${cluster}, serves ${address}.` : `Agent of node ${node} has stopped.`,
];

/** SQL that can be run as it is, but for a password of one's own. */
export const grantsText = ({ sql }: ResultOf<'grants'>): readonly string[] =>
  sql.some((line) => line.includes("'<password>'")) ? ['-- Replace <password> before you run this.', ...sql] : sql;

/** A new CA. */
export const authorityText = ({ cluster, cert, key, expiresAt }: ResultOf<'authority'>, style: Style): readonly string[] => [
  `Cluster ${style.paint('bold', cluster)} has a certificate authority of its own, valid until ${formatTime(expiresAt)}.`,
  ...pairs(
    [
      ['certificate', `${cert} (goes to every node)`],
      ['key', `${key} (stays here, on no node)`],
    ],
    style,
  ),
];

/** A new certificate, as the configuration file wants it. */
export const certificateText = ({ role, name, ca, cert, key, expiresAt }: ResultOf<'certificate'>, style: Style): readonly string[] => [
  `Certificate for ${role} ${style.paint('bold', name)}, valid until ${formatTime(expiresAt)}. For its configuration file:`,
  '',
  'tls:',
  `  ca: ${ca}`,
  `  cert: ${cert}`,
  `  key: ${key}`,
  ...(role === 'agent' ? ['', `Copy these three files to the node ${name}.`] : []),
];

/** What `config check` found, file by file. */
export function findingsText({ findings }: ResultOf<'findings'>, style: Style): readonly string[] {
  const files = [...new Set(findings.map((finding) => finding.file))];
  const failed = findings.filter((finding) => finding.status === 'failed').length;
  return [
    ...files.flatMap((file) => [
      style.paint('bold', file),
      ...findings.filter((finding) => finding.file === file).flatMap((one) => findingLines(one, style)),
    ]),
    '',
    failed === 0 ? style.paint('green', 'In order.') : style.paint('red', `${count(failed, 'problem')} found.`),
  ];
}

const findingLines = ({ key, status, message, hint }: Finding, style: Style): readonly string[] =>
  marked(status, key === '' ? message : `${key}: ${message}`, hint, style);
