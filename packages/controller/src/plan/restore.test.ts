import { StillpointError } from '@stillpoint/shared/errors';
import { describe, expect, it } from 'vitest';
import { follows, member, nodeView, partOf, restoreFacts } from '../../../../test/controller/builders.ts';
import type { RestoreRequest } from '../api.ts';
import { changesSince } from './changes.ts';
import { type PlannedNode, planRestore, type RestoreFacts, type RestorePlan } from './restore.ts';
import { phasesBeforeBarrier, phasesBehindBarrier } from './restore-phases.ts';

const REQUEST: RestoreRequest = { setId: 'latest', replicas: 'auto', replication: 'start', restoreConfiguration: false };
const LAGGING = member('db3', { gtidSlavePos: '0-1-800', gtidBinlogPos: '0-1-800' });

const plan = (facts: RestoreFacts, request: Partial<RestoreRequest> = {}): RestorePlan =>
  planRestore('plan-1', new Date('2026-11-21T10:00:00Z'), { ...REQUEST, ...request }, facts);

const nodeOf = ({ nodes }: RestorePlan, node: string): PlannedNode => {
  const found = nodes.find((other) => other.node === node);
  if (found === undefined) throw new Error(`${node} is not planned`);
  return found;
};
const images = ({ nodes }: RestorePlan): Record<string, string> => Object.fromEntries(nodes.map(({ node, image }) => [node, image]));
const problems = ({ problems: all }: RestorePlan): string[] => all.map(({ node, message }) => `${node}: ${message}`);
const unreadable = (code: 'PART_NOT_FOUND' | 'MANIFEST_INVALID', message: string) => ({ error: new StillpointError(code, message) });

describe('a plan for the whole set', () => {
  it('has no problems when everything is as it should be', () => {
    const made = plan(restoreFacts());
    expect(made.problems).toEqual([]);
    expect(made.warnings).toEqual([]);
    expect(nodeOf(made, 'db1')).toMatchObject({ image: 'db1', gtidPosition: '0-1-840', replicateFrom: undefined, serverRunning: false });
    expect(nodeOf(made, 'db2')).toMatchObject({ replicateFrom: { node: 'db1', host: '10.0.0.1', port: 3306, user: 'repl' } });
  });

  it('stages on all nodes before anything is touched, and starts sources before those that follow them', () => {
    const made = plan(restoreFacts());
    expect(phasesBeforeBarrier(made).map(({ phase }) => phase)).toEqual(['check', 'stage']);
    expect(phasesBehindBarrier(made).map(({ phase, steps }) => [phase, steps.map(({ node }) => node)])).toEqual([
      ['switch', ['db1', 'db2', 'db3']],
      ['start', ['db1']],
      ['start-replicas', ['db2', 'db3']],
      ['replicate', ['db2', 'db3']],
    ]);
    expect(phasesBehindBarrier(plan(restoreFacts(), { replication: 'print' })).map(({ phase }) => phase)).not.toContain('replicate');
  });

  it('notes a running server, which the restore may be allowed to stop', () => {
    const made = plan(restoreFacts(undefined, { nodes: [nodeView('db1')] }));
    expect(made.problems).toEqual([]);
    expect(made.warnings.join()).toContain('db1: the server is running');
    expect(nodeOf(made, 'db1').serverRunning).toBe(true);
  });
});

describe('the image of a replica', () => {
  it('is its own part when it stood exactly where its primary did', () => {
    expect(images(plan(restoreFacts()))).toEqual({ db1: 'db1', db2: 'db2', db3: 'db3' });
  });

  it("is the primary's when it lagged behind", () => {
    const made = plan(restoreFacts([member('db1'), member('db2'), LAGGING]));
    expect(images(made)).toEqual({ db1: 'db1', db2: 'db2', db3: 'db1' });
    expect(nodeOf(made, 'db3')).toMatchObject({ gtidPosition: '0-1-840', imageSha256: member('db1').partSha256 });
  });

  it("is the primary's when its own part is gone", () => {
    const made = plan(restoreFacts(undefined, { parts: { db2: unreadable('PART_NOT_FOUND', 'no part.json on db2') } }));
    expect(images(made)).toMatchObject({ db2: 'db1' });
    expect(made.problems).toEqual([]);
    expect(made.warnings.join()).toContain('db2: its own part cannot be used: no part.json on db2');
  });

  it("is the primary's for all when asked for", () => {
    expect(images(plan(restoreFacts(), { replicas: 'primary' }))).toEqual({ db1: 'db1', db2: 'db1', db3: 'db1' });
  });

  it('may be its own although it lagged, but replication cannot be started then', () => {
    const facts = restoreFacts([member('db1'), member('db2'), LAGGING]);
    const started = plan(facts, { replicas: 'own' });
    expect(images(started)).toMatchObject({ db3: 'db3' });
    expect(problems(started)).toEqual([expect.stringContaining('db3: its own part is behind that of its source (0-1-800)')]);
    const printed = plan(facts, { replicas: 'own', replication: 'print' });
    expect(printed.problems).toEqual([]);
    expect(printed.warnings.join()).toContain('db3: its own part is behind that of its source');
    expect(nodeOf(printed, 'db3').gtidPosition).toBe('0-1-800');
  });

  it('is its own when the primary is not restored, since that still has what came later', () => {
    const made = plan(restoreFacts([member('db1'), member('db2'), LAGGING]), { nodes: ['db3'] });
    expect(images(made)).toEqual({ db3: 'db3' });
    expect(made.problems).toEqual([]);
    expect(nodeOf(made, 'db3').gtidPosition).toBe('0-1-800');
  });

  it('comes from the server that it follows in a chain of replicas', () => {
    const made = plan(restoreFacts([member('db1'), member('db2'), member('db3', { source: 'db2', gtidSlavePos: '0-1-1' })]));
    expect(images(made)).toMatchObject({ db3: 'db2' });
    expect(nodeOf(made, 'db3')).toMatchObject({ gtidPosition: '0-1-840', replicateFrom: { node: 'db2' } });
  });

  it('comes from the nearest restored server above it, which may have gone on while the replica lagged', () => {
    const chain = [member('db1'), member('db2'), member('db3', { source: 'db2', gtidSlavePos: '0-1-800', gtidBinlogPos: '0-1-800' })];
    const made = plan(restoreFacts(chain), { nodes: ['db2', 'db3'] });
    expect(images(made)).toEqual({ db2: 'db2', db3: 'db2' });
    expect(nodeOf(made, 'db3')).toMatchObject({ gtidPosition: '0-1-840', imageSha256: member('db2').partSha256 });
    expect(problems(plan(restoreFacts(chain), { nodes: ['db2', 'db3'], replicas: 'own' }))).toEqual([
      expect.stringContaining('db3: its own part is behind that of its source (0-1-800)'),
    ]);
  });

  it('goes on, like the primary, from what that once replicated when its binary log is empty', () => {
    const fresh = restoreFacts([member('db1', { gtidBinlogPos: '', gtidSlavePos: '0-1-840' }), member('db2'), LAGGING]);
    const made = plan(fresh);
    expect(images(made)).toEqual({ db1: 'db1', db2: 'db2', db3: 'db1' });
    expect(made.nodes.map(({ gtidPosition }) => gtidPosition)).toEqual(['0-1-840', '0-1-840', '0-1-840']);
  });

  it('is its own in a ring, which cannot be started', () => {
    const ring = [member('db1', { roles: ['sql'], source: 'db2' }), member('db2')];
    const made = plan(restoreFacts(ring));
    expect(images(made)).toEqual({ db1: 'db1', db2: 'db2' });
    expect(problems(made)).toEqual([expect.stringContaining('db1: is part of a ring'), expect.stringContaining('db2: is part of a ring')]);
  });
});

describe('a node that is not in the set', () => {
  const withNew = () => {
    const facts = restoreFacts();
    return { ...facts, nodes: [...facts.nodes, nodeView('db4', { running: false })] };
  };

  it('becomes a new replica, seeded from the primary', () => {
    const made = plan(withNew(), { nodes: ['db4'], replicas: 'own', restoreConfiguration: true });
    expect(made.problems).toEqual([]);
    expect(nodeOf(made, 'db4')).toMatchObject({
      ...{ image: 'db1', imageSha256: member('db1').partSha256, gtidPosition: '0-1-840', storedBytes: member('db1').storedBytes },
      ...{ restoreConfiguration: false, replicateFrom: { node: 'db1' } },
    });
    expect(made.warnings.join()).toContain('db4: will follow db1 from 0-1-840');
  });

  it('is left alone unless it is named', () => {
    expect(plan(withNew()).nodes.map(({ node }) => node)).toEqual(['db1', 'db2', 'db3']);
  });
});

describe('an agent without an account to replicate with', () => {
  const db2 = nodeView('db2', { running: false, replicationAccount: false, ...follows('db1') });

  it('is told before anything is touched, when its server is to replicate', () => {
    const made = plan(restoreFacts(undefined, { nodes: [db2] }));
    expect(made.problems).toEqual([
      {
        node: 'db2',
        message: 'its agent knows no account to replicate from db1 with',
        hint: 'Add mariadb.replication (user, passwordFile) to its agent.yaml, or plan with --replication print.',
      },
    ]);
  });

  it('is fine when replication is only printed, or the node replicates from nobody', () => {
    expect(plan(restoreFacts(undefined, { nodes: [db2] }), { replication: 'print' }).problems).toEqual([]);
    const db1 = nodeView('db1', { running: false, replicationAccount: false });
    expect(plan(restoreFacts(undefined, { nodes: [db1] })).problems).toEqual([]);
  });
});

describe('the address to replicate from', () => {
  it('is the one that the agent of the source advertises', () => {
    const db1 = nodeView('db1', { running: false, advertisedHost: 'db1-new', port: 3311 });
    expect(nodeOf(plan(restoreFacts(undefined, { nodes: [db1] })), 'db2').replicateFrom).toMatchObject({ host: 'db1-new', port: 3311 });
  });

  it('is the host of its agent when nobody knows better', () => {
    const db2 = member('db2');
    const { part, sha256 } = partOf(db2);
    const { mariadb } = part;
    const silent = { part: { ...part, ...(mariadb && { mariadb: { ...mariadb, sources: [] } }) }, sha256 };
    const made = plan(restoreFacts(undefined, { parts: { db2: silent } }));
    expect(nodeOf(made, 'db2').replicateFrom).toEqual({ node: 'db1', host: 'db1.example.com', port: 3306 });
  });
});

describe('problems', () => {
  it.each([
    ['10.6.18-MariaDB', 'older series'],
    ['11.4.2-MariaDB', 'newer series'],
  ])('a server of %s (%s)', (version) => {
    const made = plan(restoreFacts(undefined, { nodes: [nodeView('db2', { running: false, version })] }));
    expect(problems(made)).toEqual([expect.stringContaining(`db2: has MariaDB ${version}`)]);
  });

  it('another patch of the same series is only a warning', () => {
    const made = plan(restoreFacts(undefined, { nodes: [nodeView('db2', { running: false, version: '10.11.22-MariaDB' })] }));
    expect(made.problems).toEqual([]);
    expect(made.warnings).toEqual([expect.stringContaining('db2: has MariaDB 10.11.22')]);
  });

  it('no mariadb-backup', () => {
    const made = plan(restoreFacts(undefined, { nodes: [nodeView('db2', { running: false, backupToolVersion: '' })] }));
    expect(problems(made)).toEqual(['db2: mariadb-backup is not installed']);
  });

  it('too little space beside the live data', () => {
    const made = plan(restoreFacts(undefined, { nodes: [nodeView('db3', { running: false, datadirFreeBytes: 1_000_000n })] }));
    expect(problems(made)).toEqual([expect.stringMatching(/^db3: needs \d+ bytes beside \/var\/lib\/mysql, 1000000 are free$/)]);
  });

  it('a primary without its part', () => {
    const made = plan(restoreFacts(undefined, { parts: { db1: unreadable('PART_NOT_FOUND', 'no part.json on db1') } }));
    expect(problems(made)).toEqual(['db1: the part of db1 cannot be used: no part.json on db1']);
  });

  it('a part that is not the one that was committed', () => {
    const made = plan(restoreFacts(undefined, { parts: { db1: { ...partOf(member('db1')), sha256: 'f'.repeat(64) } } }));
    expect(problems(made)).toEqual(['db1: part.json of db1 is not the one that the set recorded']);
  });

  it('a node that is neither in the set nor configured', () => {
    expect(problems(plan(restoreFacts(), { nodes: ['db1', 'db2', 'db3', 'db9'] }))).toEqual([
      expect.stringContaining('db9: is not in set'),
    ]);
  });

  it('a node outside of a set that has no single primary to follow', () => {
    const facts = restoreFacts([member('db1'), member('db2', { roles: ['sql', 'primary'], source: '' })]);
    expect(problems(plan({ ...facts, nodes: [...facts.nodes, nodeView('db4')] }, { nodes: ['db4'] }))).toEqual([
      expect.stringContaining('db4: is not in set'),
    ]);
  });

  it('a node of the set that is not configured', () => {
    const facts = restoreFacts();
    const made = plan({ ...facts, nodes: facts.nodes.filter(({ node }) => node !== 'db2') });
    expect(problems(made)).toEqual(['db2: is in the set but not in the cluster configuration']);
  });

  it('a node that does not answer', () => {
    const error = new StillpointError('NODE_UNREACHABLE', 'db2 (db2:7443): connection refused');
    const made = plan(restoreFacts(undefined, { nodes: [{ node: 'db2', address: 'db2:7443', error }] }));
    expect(problems(made)).toEqual(['db2: db2 (db2:7443): connection refused']);
  });

  it('another restore that was not finished', () => {
    const db1 = nodeView('db1', { running: false }, { unfinishedRestore: 'restore-1' });
    expect(problems(plan(restoreFacts(undefined, { nodes: [db1] })))).toEqual([
      'db1: restore restore-1 was neither finished nor rolled back',
    ]);
  });

  it('two servers with the same server id', () => {
    const db3 = nodeView('db3', { running: false, serverId: 2, ...follows('db1') });
    expect(problems(plan(restoreFacts(undefined, { nodes: [db3] })))).toEqual(['db3: has server_id 2, as db2 has']);
  });
});

describe('replicas that are left as they are while their source goes back in time', () => {
  const left = (position: string) =>
    restoreFacts(undefined, { nodes: [nodeView('db3', { ...follows('10.0.0.1'), position: { logBin: true, gtidSlavePos: position } })] });

  it('are a problem: they would differ from it without an error', () => {
    expect(problems(plan(restoreFacts(), { nodes: ['db1', 'db2'] }))).toEqual([
      expect.stringContaining('db3: is not restored but replicates from db1, which goes back to 0-1-840'),
    ]);
    expect(problems(plan(left('0-1-900'), { nodes: ['db1', 'db2'] }))).toHaveLength(1);
  });

  it('are none when they stand where their source goes on, or when that is accepted', () => {
    expect(problems(plan(left('0-1-840'), { nodes: ['db1', 'db2'] }))).toEqual([]);
    const accepted = plan(left('0-1-900'), { nodes: ['db1', 'db2'], leaveReplicas: true });
    expect(accepted).toMatchObject({ problems: [], leaveReplicas: true });
    expect(accepted.warnings).toEqual([expect.stringContaining('db3 is not restored but replicated from db1')]);
  });
});

describe('warnings', () => {
  it('tells when there is no configuration to put back', () => {
    const made = plan(restoreFacts(undefined, { parts: { db2: partOf(member('db2'), { configuration: [] }) } }), {
      restoreConfiguration: true,
    });
    expect(made.warnings).toEqual(['db2: no configuration files to put back']);
    expect(nodeOf(made, 'db1')).toMatchObject({ restoreConfiguration: true, ownPartSha256: member('db1').partSha256 });
    expect(nodeOf(made, 'db2')).toMatchObject({ restoreConfiguration: false, ownPartSha256: '' });
  });
});

describe('changesSince', () => {
  const before = plan(restoreFacts());
  it('finds none in the same cluster, whatever is free or in use by now', () => {
    const later = plan(restoreFacts(undefined, { nodes: [nodeView('db1', { datadirBytes: 7n, datadirFreeBytes: 90_000_000_000n })] }));
    expect(changesSince(before, later)).toEqual([]);
  });

  it.each([
    [
      'another data directory',
      nodeView('db2', { running: false, datadir: '/srv/mysql' }),
      'db2: data directory was /var/lib/mysql, is /srv/mysql',
    ],
    ['another version', nodeView('db2', { running: false, version: '10.11.20-MariaDB' }), 'db2: server version was 10.11.19'],
    ['space that has gone', nodeView('db2', { running: false, datadirFreeBytes: 1n }), 'db2: needs '],
  ])('finds %s', (_, view, text) => {
    expect(changesSince(before, plan(restoreFacts(undefined, { nodes: [view] })))).toEqual([expect.stringContaining(text)]);
  });

  it('finds a node that has gone silent', () => {
    const error = new StillpointError('NODE_UNREACHABLE', 'connection refused');
    const later = plan(restoreFacts(undefined, { nodes: [{ node: 'db2', address: 'db2:7443', error }] }));
    expect(changesSince(before, later)).toEqual(['db2 can no longer be planned', 'db2: connection refused']);
  });

  it('finds another image', () => {
    const later = plan(restoreFacts([member('db1', { partSha256: 'e'.repeat(64) }), member('db2'), member('db3')]));
    expect(changesSince(before, later).join()).toContain('db1: digest of the image was');
  });
});
