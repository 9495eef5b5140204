import { describe, expect, it } from 'vitest';
import { follows, nodeView } from '../../../../test/controller/builders.ts';
import { placementsOf, rootOf } from './topology.ts';

const sourcesOf = (nodes: Parameters<typeof placementsOf>[0]): Record<string, string> =>
  Object.fromEntries(placementsOf(nodes).map(({ node, source }) => [node, source]));

describe('placementsOf', () => {
  it('makes a running server that replicates from nobody the primary', () => {
    const placements = placementsOf([nodeView('db1'), nodeView('db2', follows('db1')), nodeView('db3', { running: false })]);
    expect(placements.map(({ roles }) => roles)).toEqual([['sql', 'primary'], ['sql'], ['sql']]);
  });

  it('knows a source by the address its agent advertises', () => {
    expect(sourcesOf([nodeView('db1', { advertisedHost: '10.0.0.1' }), nodeView('db2', follows('10.0.0.1'))])).toEqual({
      db1: '',
      db2: 'db1',
    });
  });

  it.each(['db1.example.com', 'DB1', 'db1'])('knows a source by its host name %s', (host) => {
    expect(sourcesOf([nodeView('db1'), nodeView('db2', follows(host))])).toEqual({ db1: '', db2: 'db1' });
  });

  it('tells servers on one machine apart by their ports', () => {
    const onOne = { hostname: 'laptop' };
    const nodes = [
      nodeView('db1', { port: 33061 }, onOne),
      nodeView('db2', { port: 33062, ...follows('127.0.0.1', 33061) }, onOne),
      nodeView('db3', { port: 33063, ...follows('127.0.0.1', 33062) }, onOne),
    ];
    expect(sourcesOf(nodes)).toEqual({ db1: '', db2: 'db1', db3: 'db2' });
  });

  it('tells servers on one port apart by their loopback addresses', () => {
    const onOne = { hostname: 'laptop' };
    const nodes = [
      nodeView('db1', { advertisedHost: '127.0.0.11' }, onOne),
      nodeView('db2', { advertisedHost: '127.0.0.12', ...follows('127.0.0.11') }, onOne),
      nodeView('db3', { advertisedHost: '127.0.0.13', ...follows('127.0.0.12') }, onOne),
    ];
    expect(sourcesOf(nodes)).toEqual({ db1: '', db2: 'db1', db3: 'db2' });
  });

  it('does not take a loopback source for a server of another machine', () => {
    expect(sourcesOf([nodeView('db1'), nodeView('db2', follows('127.0.0.1'))])).toEqual({ db1: '', db2: '' });
  });

  it('tells of a source outside of the cluster, and names no primary then', () => {
    const [placement] = placementsOf([nodeView('db1', follows('elsewhere', 3310))]);
    expect(placement).toEqual({ node: 'db1', roles: ['sql'], source: '', foreignSources: ['elsewhere:3310'] });
  });

  it('does not guess between two nodes that answer to the same address', () => {
    const same = { advertisedHost: '10.0.0.1' };
    expect(sourcesOf([nodeView('db1', same), nodeView('db2', same), nodeView('db3', follows('10.0.0.1'))])).toMatchObject({ db3: '' });
  });
});

describe('rootOf', () => {
  const along = (sources: Record<string, string>) => (node: string) => sources[node] ?? '';
  it('follows a chain of replicas to its top', () => {
    expect(rootOf('c', along({ c: 'b', b: 'a' }))).toBe('a');
  });
  it('finds no top in a ring', () => {
    expect(rootOf('a', along({ a: 'b', b: 'a' }))).toBe('');
  });
});
