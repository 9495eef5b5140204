import { posix } from 'node:path';
import type { PartColumnstore, PartDbroot } from '@stillpoint/shared/manifest';
import { contentOf, quote } from './shell.ts';

/** Steps that restore the dbroots of a node, around those that restore its server. */
export interface EngineSteps {
  /** Definitions for the head of the section. */
  readonly variables: string;
  /** Before anything is touched. */
  readonly before: readonly string[];
  /** With everything stopped. */
  readonly inPlace: readonly string[];
  /** Once that is done on all nodes. */
  readonly after: readonly string[];
}

const variableOf = ({ number }: PartDbroot): string => `DBROOT${number}`;

/** What a person does about the engine on one node; `primary` is the node that owned dbroot 1, where that is known. */
export function engineSteps(engine: PartColumnstore, primary: string): EngineSteps {
  return {
    variables: variables(engine),
    before: engine.dbroots.length === 0 ? [] : [extract(engine.dbroots)],
    inPlace: [
      stopped(engine),
      ...(engine.dbroots.length === 0 ? [] : [swap(engine.dbroots)]),
      ...(engine.primary ? [] : [emptyDbrm]),
      clearShm,
    ],
    after: [loadBrm(engine, primary), start(engine), check],
  };
}

const variables = ({ dbroots, dbrmRoot, owner }: PartColumnstore): string => `${dbroots
  .map((dbroot) => `${variableOf(dbroot)}=${quote(dbroot.path)}\n`)
  .join('')}DBRM=${quote(posix.dirname(dbrmRoot))}
ENGINE_OWNER=$(stat -c %u:%g ${quote(posix.dirname(dbroots[0]?.path ?? posix.dirname(posix.dirname(posix.dirname(dbrmRoot)))))} || echo ${quote(owner)})
`;

const extract = (
  dbroots: readonly PartDbroot[],
): string => `Extract the dbroots beside the present ones, shards in order: the last has the directories.
${dbroots.map(extractOne).join('\n')}`;

const extractOne = (dbroot: PartDbroot): string => {
  const variable = `"$${variableOf(dbroot)}"`;
  const borrowed = dbroot.borrowed?.shards ?? [];
  const unpacked = [...borrowed, ...dbroot.shards].map((name) => `${contentOf(name)} | tar -xp -C ${variable}.coming`);
  return `mkdir -m 755 ${variable}.coming
${dbroot.superseded || borrowed.length > 0 ? unpackedByList(dbroot, variable, unpacked) : unpacked.join('\n')}
chown -R "$ENGINE_OWNER" ${variable}.coming`;
};

const BEFORE_CUT =
  'The first shards were written before the still point: the last has what had changed by then, and what the list does not have was gone.';
const OF_OTHERS =
  'The first shards are those of other sets, oldest first: later ones have what had changed since, and what the list does not have was gone.';

/**
 * Shards that were written before the still point, or for other sets, hold what had changed by then, or was gone: what the list does not have is removed before
 * the next one is unpacked. Types are compared too, as a directory may have taken the place of a file.
 */
const unpackedByList = (
  { borrowed, list }: PartDbroot,
  variable: string,
  unpacked: readonly string[],
): string => `# ${borrowed === undefined ? BEFORE_CUT : OF_OTHERS}
${contentOf(list)} | sed -nE 's/^\\{"type":"(.)[a-z]*","path":"(([^"\\]|\\\\.)*)".*/\\1 \\2/p' \\
  | sed -E 's/\\\\(["\\])/\\1/g' | LC_ALL=C sort >${variable}.listed
${unpacked.join(`\n${removed(variable)}\n`)}
rm ${variable}.listed`;

const removed = (
  variable: string,
): string => `(cd ${variable}.coming && find . -mindepth 1 -printf '%y %P\\n' | LC_ALL=C sort | LC_ALL=C comm -23 - ${variable}.listed \\
  | cut -c3- | tr '\\n' '\\0' | xargs -0r rm -rf)`;

/** As pgrep sees them: the kernel keeps 15 characters of a name. */
const PROCESSES = 'workernode|controllernode|PrimProc|WriteEngineServ|ExeMgr|DMLProc|DDLProc';

const stopped = ({ generation }: PartColumnstore): string => `Only when ALL nodes have come this far: stop the engine on all of them,
# and cmapi, which would start it again. All dbroots and the block resolution manager (BRM) belong together:
# restore every node that has any, or none.
${HOW_TO_STOP[generation]}
test -z "$(pgrep -l -x '${PROCESSES}')"`;

const CLUSTER_STOP = `#   several nodes:  mcs cluster stop; then on each node: systemctl stop mariadb-columnstore-cmapi
#   a single node:  systemctl stop mariadb-columnstore`;
const MCSADMIN_STOP = '#   on the parent module: mcsadmin shutdownSystem y';
const HOW_TO_STOP = { oam: MCSADMIN_STOP, '1.4': MCSADMIN_STOP, '5': CLUSTER_STOP, '22.08': CLUSTER_STOP } as const;

const swap = (
  dbroots: readonly PartDbroot[],
): string => `Put them in the place of the present ones, which are kept. A dbroot that is a mount point or a
# link cannot be renamed: there, move what is in it to a directory beside it, and the new files into it.
${dbroots.map(swapOne).join('\n')}`;

const swapOne = (
  dbroot: PartDbroot,
): string => `test ! -e "$${variableOf(dbroot)}" || mv "$${variableOf(dbroot)}" "$${variableOf(dbroot)}".before-restore
mv "$${variableOf(dbroot)}".coming "$${variableOf(dbroot)}"`;

const emptyDbrm = `This node does not own dbroot 1. A copy of the BRM that was left here would be believed, and
# without its directory the first UPDATE fails: so there is an empty one.
test ! -e "$DBRM" || mv "$DBRM" "$DBRM".before-restore
mkdir -p "$DBRM"
chown "$ENGINE_OWNER" "$(dirname "$(dirname "$DBRM")")" "$(dirname "$DBRM")" "$DBRM"`;

const clearShm = `Clear the shared memory of the engine: what is in it is of the old data.
# Also remove copies of the BRM: BRM_saves* in rdwrscratch below SystemTempFileDir (/tmp/columnstore_tmp_files/rdwrscratch).
clearShm`;

const loadBrm = ({ primary, brmCurrent }: PartColumnstore, owner: string): string =>
  primary
    ? `Load the BRM. The units of systemd and mcsadmin do that by themselves when they start the engine: then leave it out.
# It must say "Successfully loaded BRM snapshot" and "Successfully replayed ... BRM transactions".
#   runuser -u "$(stat -c %U "$DBRM")" -- load_brm "$DBRM"/${quote(brmCurrent)}`
    : `Load the BRM of the primary (${owner || 'the node with dbroot 1'}). The units of systemd and mcsadmin do that by themselves when they start the engine:
# then leave it out. Of its BRM directory, copy the files *_em, *_vbbm and *_vss of the set that its BRM_saves_current
# names, and BRM_saves_journal, as BRM_saves_em, _vbbm, _vss and _journal into a directory of this node:
#   runuser -u "$(stat -c %U "$DBRM")" -- load_brm /tmp/columnstore_tmp_files/rdwrscratch/BRM_saves`;

const start = ({ generation }: PartColumnstore): string => `When all nodes have come this far, and their servers run, start the engine.
# Keep the Columnstore.xml of this system: addresses, dbroots and keys in it are its own. Of the old one only tuning values count
# (memory, threads). .secrets, the key of a password in it, is needed where it is missing.
${HOW_TO_START[generation]}
# Process by process, each on all of its nodes before the next: workernode (all), controllernode (primary), PrimProc,
# WriteEngineServer, ExeMgr before 22.08 (all), DMLProc, DDLProc (primary).`;

const CLUSTER_START = `#   several nodes:  on each node: systemctl start mariadb-columnstore-cmapi; then mcs cluster start
#   a single node:  systemctl start mariadb-columnstore`;
const MCSADMIN_START = `#   on the parent module: mcsadmin startSystem; then mcsadmin resumeDatabaseWrites y, for the data was suspended when it was copied`;
const HOW_TO_START = { oam: MCSADMIN_START, '1.4': MCSADMIN_START, '5': CLUSTER_START, '22.08': CLUSTER_START } as const;

const check = `See that it is right, on every SQL node. Words of the engine do not prove it: only reading whole tables does.
#   dbrmctl status      must say: OK.
#   viewtablelock       must say: No tables are locked in the database.
#   SELECT COUNT(*), SUM(some_column) FROM each.table    must be the same on every node
# When all is well, remove what is called .before-restore.`;
