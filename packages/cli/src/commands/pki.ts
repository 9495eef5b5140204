import type { CertificateRole } from '@stillpoint/shared/rpc';
import { type Command, Option } from 'commander';
import type { Perform, Session } from '../session.ts';
import { integer, list } from './arguments.ts';
import { noun, verb } from './verb.ts';

const DIRECTORY = '/etc/stillpoint/pki';

/** `stillpoint pki`. */
export const pkiCommand = (perform: Perform): Command =>
  noun('pki', 'Certificates: who may talk to whom', [initCommand(perform), issueCommand(perform)]);

function initCommand(perform: Perform): Command {
  return verb('init', 'Make the certificate authority of a cluster', {
    examples: [{ line: 'stillpoint pki init --cluster shop', about: `makes ca.crt and ca.key in ${DIRECTORY}` }],
    exits: ['CONFIG'],
  })
    .requiredOption('--cluster <name>', 'name of the cluster')
    .option('--directory <path>', 'where the authority is kept', DIRECTORY)
    .option('--days <number>', 'days of validity (default: ten years)', integer(1, 36_500))
    .action(
      perform(async ({ clock }: Session, options: { cluster: string; directory: string; days?: number }) => {
        const { initAuthority } = await import('@stillpoint/controller');
        const { cluster, directory, days } = options;
        const { cert, key, expiresAt } = await initAuthority({
          directory,
          cluster,
          clock,
          ...(days === undefined ? {} : { validDays: days }),
        });
        return { type: 'authority', cluster, cert, key, expiresAt: expiresAt.toISOString() };
      }),
    );
}

interface IssueOptions {
  readonly role: CertificateRole;
  readonly name: string;
  readonly directory: string;
  readonly out?: string;
  readonly address?: readonly string[];
  readonly days?: number;
}

function issueCommand(perform: Perform): Command {
  return verb('issue', 'Issue a certificate for an agent or a controller', {
    examples: [
      { line: 'stillpoint pki issue --role controller --name ops', about: 'for the host that drives the cluster' },
      { line: 'stillpoint pki issue --role agent --name db1 --out ./db1', about: 'for a node, with the files it needs in one directory' },
    ],
    exits: ['CONFIG', 'SECURITY'],
  })
    .addOption(new Option('--role <role>', 'what it entitles to').choices(['agent', 'controller']).makeOptionMandatory())
    .requiredOption('--name <name>', 'node name of an agent; any name for a controller')
    .option('--directory <path>', 'where the authority is kept', DIRECTORY)
    .option('--out <path>', 'where to write the certificate (default: beside the authority)')
    .option('--address <host>', 'address to write into the certificate; may be repeated', list)
    .option('--days <number>', 'days of validity (default: 825)', integer(1, 36_500))
    .action(
      perform(async ({ clock }: Session, { role, name, directory, out, address, days }: IssueOptions) => {
        const { issueCertificate } = await import('@stillpoint/controller');
        const issued = await issueCertificate({
          ...{ role, name, directory, clock },
          ...(out === undefined ? {} : { out }),
          ...(address === undefined ? {} : { addresses: address }),
          ...(days === undefined ? {} : { validDays: days }),
        });
        return { type: 'certificate', role, name, ...issued, expiresAt: issued.expiresAt.toISOString() };
      }),
    );
}
