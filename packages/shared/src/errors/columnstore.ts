import type { ErrorRow } from './row.ts';

/** The rows of the error table that are about the ColumnStore engine. */
export const COLUMNSTORE_ERRORS = {
  COLUMNSTORE_UNSUPPORTED: {
    exit: 'CHECK_FAILED',
    grpc: 'UNIMPLEMENTED',
    summary: 'The node runs ColumnStore in a way that this version cannot bring to a still point: data in object storage above all.',
    hint: 'A backup of the MariaDB data alone would be inconsistent with the dbroots, so none is made.',
  },
  COLUMNSTORE_CONFIG: {
    exit: 'CHECK_FAILED',
    grpc: 'FAILED_PRECONDITION',
    summary: 'Columnstore.xml cannot be read, contradicts what is to be seen on the node, or is not the same on all nodes.',
    hint: 'Correct the file, or bring the named node to the configuration that the others have.',
  },
  ENGINE_NOT_READY: {
    exit: 'CHECK_FAILED',
    grpc: 'FAILED_PRECONDITION',
    retryable: true,
    summary: 'The ColumnStore engine does not run, or is not ready for queries.',
    hint: 'Start it, or wait until `dbrmctl -v status` says that it is ready.',
  },
  ENGINE_READ_ONLY: {
    exit: 'CHECK_FAILED',
    grpc: 'FAILED_PRECONDITION',
    summary: 'The ColumnStore engine was read-only before; Stillpoint did not do that and will not undo it.',
    hint: 'Find out why: the engine does so by itself after a fault. When it is sound again, run `dbrmctl readwrite` on its primary.',
  },
  DRAIN_TIMEOUT: {
    exit: 'LOCK',
    grpc: 'ABORTED',
    retryable: true,
    summary: 'Table locks of ColumnStore were not gone within the bound; everything was released again.',
    hint: 'Let the named sessions commit and the named loads end. A lock whose process has died is yours to end: `cleartablelock ID`.',
  },
  CPIMPORT_RUNNING: {
    exit: 'LOCK',
    grpc: 'ABORTED',
    retryable: true,
    summary: 'A bulk load (cpimport) runs, and the configuration says not to wait for it.',
    hint: 'Try again when it has ended, or set `backup.columnstore.cpimport` to wait.',
  },
  SUSPEND_FAILED: {
    exit: 'BACKUP_FAILED',
    grpc: 'INTERNAL',
    retryable: true,
    summary: 'The engine could not be set read-only, or did not confirm that it is; writes were resumed.',
    hint: 'See the named answer of the engine; `stillpoint cluster check` looks at its state.',
  },
  RESUME_FAILED: {
    exit: 'BACKUP_FAILED',
    grpc: 'INTERNAL',
    summary: 'The engine did not confirm that it is read-write again. Its agent goes on trying.',
    hint: 'Look at `dbrmctl status` on the primary. When controllernode was restarted: restart DMLProc, and ExeMgr or PrimProc, too.',
  },
  BRM_FAILED: {
    exit: 'BACKUP_FAILED',
    grpc: 'INTERNAL',
    retryable: true,
    summary: 'The block resolution manager could not be saved, read or loaded.',
    hint: 'Read the named lines of save_brm or load_brm.',
  },
  ENGINE_RUNNING: {
    exit: 'RESTORE_REFUSED',
    grpc: 'FAILED_PRECONDITION',
    summary: 'Processes of the ColumnStore engine run on a node whose data is to be replaced.',
    hint: 'Stop the engine, cmapi and the servers on all nodes, or add --stop-servers.',
  },
  ENGINE_SERVICE_FAILED: {
    exit: 'RESTORE_FAILED',
    grpc: 'INTERNAL',
    retryable: true,
    summary: 'The engine did not start or stop by the configured service driver.',
    hint: 'Correct `columnstore.service` in agent.yaml, or read the log of the named process; then resume.',
  },
  ENGINE_PROOF_FAILED: {
    exit: 'RESTORE_FAILED',
    grpc: 'DATA_LOSS',
    summary: 'After the restore a ColumnStore table cannot be read whole, nodes read different data, or the engine is not writable.',
    hint: 'Nothing is lost: `stillpoint restore rollback` brings the data back that was there before.',
  },
} as const satisfies Readonly<Record<string, ErrorRow>>;
