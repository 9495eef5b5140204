import type { Controller, ReplicaImage, RestorePlan, RestoreReport, RunOptions } from '@stillpoint/controller';
import { type Command, Option } from 'commander';
import type { Perform, Session } from '../session.ts';
import { confirmed, list } from './arguments.ts';
import { CLUSTER_EXITS, noun, verb } from './verb.ts';

interface PlanOptions {
  readonly replicas: ReplicaImage;
  readonly replication: 'start' | 'print';
  readonly keepConfiguration?: true;
  readonly leaveReplicas?: true;
  readonly node?: readonly string[];
}

/** `stillpoint restore`. */
export const restoreCommand = (perform: Perform): Command =>
  noun('restore', 'Bring the cluster back to a set: plan, run, then finish or roll back', [
    planCommand(perform),
    runCommand(perform),
    resumeCommand(perform),
    rollbackCommand(perform),
    finishCommand(perform),
    listCommand(perform),
  ]);

function planCommand(perform: Perform): Command {
  return verb('plan', 'Plan a restore and touch nothing; the id of the plan confirms it', {
    examples: [
      { line: 'stillpoint restore plan latest', about: 'all nodes, to the newest set' },
      { line: 'stillpoint restore plan latest --replication start', about: 'replicas follow the primary afterwards' },
      { line: 'stillpoint restore plan 20261121-091500-3fa94c01 --node db3', about: 'one node only' },
    ],
    exits: [...CLUSTER_EXITS, 'CHECK_FAILED', 'NOT_FOUND', 'VERIFY_FAILED', 'RESTORE_REFUSED'],
  })
    .argument('<set>', 'set id, or latest')
    .addOption(
      new Option(
        '--replicas <image>',
        'image of a replica: its own part, that of the primary, or its own if it stood where the primary did',
      )
        .choices(['auto', 'own', 'primary'])
        .default('auto'),
    )
    .addOption(
      new Option('--replication <how>', 'start it afterwards, or print the SQL for it').choices(['start', 'print']).default('print'),
    )
    .option('--keep-configuration', 'leave the configuration files as they are now')
    .option('--node <name>', 'restore this node only; may be repeated', list)
    .option('--leave-replicas', 'accept that replicas of restored servers are left as they are')
    .action(
      perform(async (session: Session, options: PlanOptions, setId: string) =>
        session.withController(async ({ controller }) => {
          const { replicas, replication, keepConfiguration, leaveReplicas = false, node } = options;
          const request = { setId, replicas, replication, leaveReplicas, restoreConfiguration: keepConfiguration !== true };
          const plan = await controller.planRestore(node === undefined ? request : { ...request, nodes: node }, session.run.signal);
          return { type: 'restore-plan', plan, next: nextCommand(session, plan) };
        }),
      ),
    );
}

/** The command that carries a plan out; servers and an engine that run must be stopped for it, so it says that too. */
function nextCommand({ command }: Session, { id, nodes }: RestorePlan): string {
  return `${command} restore run ${id}${nodes.some(({ engine, serverRunning }) => serverRunning || (engine?.running.length ?? 0) > 0) ? ' --stop-servers' : ''}`;
}

interface WithoutOption {
  readonly without?: readonly string[];
}

const WITHOUT = ['--without <name>', 'leave a node that is out of reach as it is; may be repeated'] as const;
const leaving = (without: readonly string[] | undefined) => (without === undefined ? {} : { without });

/** Runs a part of a restore and hands its report on. */
const reported = (session: Session, work: (controller: Controller, run: RunOptions) => Promise<RestoreReport>) =>
  session.withController(async ({ controller }) => ({
    type: 'restore' as const,
    report: await work(controller, session.run),
    command: session.command,
  }));

function runCommand(perform: Perform): Command {
  return verb('run', 'Carry a plan out: stage beside the live data, verify, then switch by renames', {
    examples: [
      { line: 'stillpoint restore run plan-20261121-100000-5be1d9a7', about: 'servers are stopped already' },
      { line: 'stillpoint restore run plan-20261121-100000-5be1d9a7 --stop-servers', about: 'servers that run are stopped' },
    ],
    exits: [...CLUSTER_EXITS, 'CHECK_FAILED', 'BUSY', 'NOT_FOUND', 'VERIFY_FAILED', 'RESTORE_REFUSED', 'RESTORE_FAILED'],
  })
    .argument('<plan>', 'id that `stillpoint restore plan` printed')
    .option(
      '--stop-servers',
      'stop what runs: servers, and on nodes of ColumnStore the engine and cmapi, by the service drivers of their agents',
      false,
    )
    .action(
      perform(async (session: Session, { stopServers }: { stopServers: boolean }, plan: string) =>
        reported(session, (controller, run) => controller.runRestore(plan, { ...run, stopServers })),
      ),
    );
}

function resumeCommand(perform: Perform): Command {
  return verb('resume', 'Go on with a restore that failed or was interrupted', {
    examples: [{ line: 'stillpoint restore resume restore-20261121-100100-77c01f2e', about: 'ids come from `stillpoint restore list`' }],
    exits: [...CLUSTER_EXITS, 'CHECK_FAILED', 'BUSY', 'NOT_FOUND', 'VERIFY_FAILED', 'RESTORE_REFUSED', 'RESTORE_FAILED'],
  })
    .argument('<operation>', 'id of the restore')
    .option(
      '--stop-servers',
      'stop what runs: servers, and on nodes of ColumnStore the engine and cmapi, by the service drivers of their agents',
      false,
    )
    .option(...WITHOUT, list)
    .action(
      perform(async (session: Session, { stopServers, without }: WithoutOption & { stopServers: boolean }, operation: string) =>
        reported(session, (controller, run) => controller.resumeRestore(operation, { ...run, ...leaving(without), stopServers })),
      ),
    );
}

function rollbackCommand(perform: Perform): Command {
  return verb('rollback', 'Go back to the data that was there before the restore', {
    examples: [{ line: 'stillpoint restore rollback restore-20261121-100100-77c01f2e --yes', about: 'by renames, servers restarted' }],
    exits: [...CLUSTER_EXITS, 'BUSY', 'NOT_FOUND', 'RESTORE_REFUSED', 'RESTORE_FAILED'],
  })
    .argument('<operation>', 'id of the restore')
    .option('--yes', 'really do it')
    .option(...WITHOUT, list)
    .action(
      perform(async (session: Session, options: WithoutOption & { yes?: true }, operation: string) => {
        confirmed(options, `This would put back what was there before restore ${operation}, on every node.`);
        return reported(session, (controller, run) => controller.rollbackRestore(operation, { ...run, ...leaving(options.without) }));
      }),
    );
}

function finishCommand(perform: Perform): Command {
  return verb('finish', 'Discard what a restore keeps aside; there is no way back then', {
    examples: [{ line: 'stillpoint restore finish restore-20261121-100100-77c01f2e --yes', about: 'gives the space back' }],
    exits: [...CLUSTER_EXITS, 'BUSY', 'NOT_FOUND', 'RESTORE_REFUSED', 'RESTORE_FAILED'],
  })
    .argument('<operation>', 'id of the restore')
    .option('--yes', 'really do it')
    .option(...WITHOUT, list)
    .action(
      perform(async (session: Session, options: WithoutOption & { yes?: true }, operation: string) => {
        confirmed(options, `This would discard what restore ${operation} keeps aside, on every node, for good: there is no way back then.`);
        return reported(session, (controller, run) => controller.finishRestore(operation, { ...run, ...leaving(options.without) }));
      }),
    );
}

function listCommand(perform: Perform): Command {
  return verb('list', 'List the restores and where each stands', {
    examples: [{ line: 'stillpoint restore list', about: 'ids for resume, rollback and finish' }],
    exits: CLUSTER_EXITS,
  }).action(
    perform(async ({ withController }) =>
      withController(async ({ controller }) => ({ type: 'restores', restores: controller.listRestores() })),
    ),
  );
}
