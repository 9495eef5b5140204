import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseConfig } from './document.ts';
import { topologyOf } from './topology.ts';

const FILE = '/etc/columnstore/Columnstore.xml';

interface Pm {
  readonly id: number;
  readonly address?: string;
  readonly host?: string;
  readonly dbroots: readonly number[];
}

/** A configuration in the engine's form, with what a test wants to see in it. */
function config(pms: readonly Pm[], more: { dbroots?: readonly number[]; extra?: string; system?: string; count?: number } = {}): string {
  const numbers = more.dbroots ?? pms.flatMap(({ dbroots }) => dbroots);
  const modules = pms.map(
    ({ id, address = `10.0.0.${id}`, host = `mcs${id}`, dbroots }) => `
      <ModuleIPAddr${id}-1-3>${address}</ModuleIPAddr${id}-1-3> <ModuleHostName${id}-1-3>${host}</ModuleHostName${id}-1-3>
      <ModuleIPAddr${id}-2-3>0.0.0.0</ModuleIPAddr${id}-2-3> <ModuleHostName${id}-2-3>unassigned</ModuleHostName${id}-2-3>
      <ModuleDBRootCount${id}-3>${dbroots.length}</ModuleDBRootCount${id}-3>
      ${dbroots.map((number, i) => `<ModuleDBRootID${id}-${i + 1}-3>${number}</ModuleDBRootID${id}-${i + 1}-3>`).join('')}`,
  );
  return `<?xml version="1.0"?>
  <Columnstore Version="V1.0.0"> <!-- of a test -->
    <SystemConfig>
      <DBRootCount>${numbers.length}</DBRootCount> // stray text
      ${numbers.map((number) => `<DBRoot${number}>/srv/data${number}/</DBRoot${number}>`).join('\n')}
      <DBRMRoot>/srv/data1/systemFiles/dbrm/BRM_saves</DBRMRoot>${more.system ?? ''}
    </SystemConfig>
    <SystemModuleConfig>
      <ModuleType3>pm</ModuleType3> <ModuleCount3>${more.count ?? pms.length}</ModuleCount3>${modules.join('')}
      <ModuleIPAddr1-1-2>10.9.9.9</ModuleIPAddr1-1-2>
    </SystemModuleConfig>
    <DBRM_Controller><NumWorkers>1</NumWorkers><IPAddr>mcs1</IPAddr><Port>8616</Port></DBRM_Controller>
    ${more.extra ?? ''}
  </Columnstore>`;
}

const read = (text: string) => topologyOf(parseConfig(FILE, text));
const refusal = (text: string) => {
  try {
    return read(text);
  } catch (error) {
    return (error as Error).message;
  }
};

describe('a topology', () => {
  it('is read through comments, stray text and names that are not set', () => {
    const topology = read(
      config([
        { id: 1, dbroots: [1] },
        { id: 2, dbroots: [2] },
      ]),
    );
    expect(topology).toMatchObject({
      configRevision: 0,
      managedByCmapi: false,
      controllerHost: 'mcs1',
      primaryModule: 1,
      storage: 'local',
    });
    expect([...topology.dbroots]).toEqual([
      [1, '/srv/data1'],
      [2, '/srv/data2'],
    ]);
    expect(topology.modules).toEqual([
      { id: 1, addresses: ['10.0.0.1'], hostNames: ['mcs1'], dbroots: [1], enabled: true },
      { id: 2, addresses: ['10.0.0.2'], hostNames: ['mcs2'], dbroots: [2], enabled: true },
    ]);
    expect(topology.dbrmRoot).toBe('/srv/data1/systemFiles/dbrm/BRM_saves');
    expect(topology.scratchDirectory).toBe('/tmp/columnstore_tmp_files/rdwrscratch');
  });

  it('has holes in its dbroot numbers, several dbroots on a node, and none', () => {
    const topology = read(
      config([
        { id: 1, dbroots: [7, 2] },
        { id: 2, dbroots: [] },
        { id: 3, dbroots: [1, 12] },
      ]),
    );
    expect([...topology.dbroots.keys()]).toEqual([1, 2, 7, 12]);
    expect(topology.modules.map(({ dbroots }) => dbroots)).toEqual([[2, 7], [], [1, 12]]);
    expect(topology.primaryModule).toBe(3);
  });

  it('takes what cmapi has written', () => {
    const extra = '<ConfigRevision>17</ConfigRevision><ActiveNodes><Node>10.0.0.1</Node></ActiveNodes><InactiveNodes/>';
    expect(read(config([{ id: 1, dbroots: [1] }], { extra }))).toMatchObject({ configRevision: 17, managedByCmapi: true });
    expect(read(config([{ id: 1, dbroots: [1] }], { extra: '<ActiveNodes/>' })).managedByCmapi).toBe(false);
    expect(read(config([{ id: 1, dbroots: [1] }], { extra: '<ActiveNodes><Node/></ActiveNodes>' })).managedByCmapi).toBe(false);
  });

  it('tells of data in object storage', () => {
    expect(read(config([{ id: 1, dbroots: [1] }], { system: '<DataFilePlugin>libcloudio.so</DataFilePlugin>' })).storage).toBe(
      'storagemanager',
    );
  });

  it('leaves modules that were removed out', () => {
    expect(
      read(
        config(
          [
            { id: 1, dbroots: [1] },
            { id: 2, dbroots: [] },
          ],
          { count: 1 },
        ),
      ).modules.map(({ id }) => id),
    ).toEqual([1]);
  });
});

/** Modules that share some dbroots out among them, dbroot 1 included. */
const pmsArbitrary = fc
  .tuple(
    fc.uniqueArray(fc.integer({ min: 2, max: 99 }), { maxLength: 8 }),
    fc.array(fc.nat(), { minLength: 9, maxLength: 9 }),
    fc.integer({ min: 1, max: 5 }),
  )
  .map(([more, choices, count]): Pm[] => {
    const owner = (index: number): number => (choices[index] ?? 0) % count;
    const numbers = [1, ...more];
    return Array.from({ length: count }, (_, module) => ({
      id: module + 1,
      dbroots: numbers.filter((_number, index) => owner(index) === module),
    }));
  });

it('is read as it was written, whoever owns what', () => {
  fc.assert(
    fc.property(pmsArbitrary, (pms) => {
      const { modules, dbroots, primaryModule } = read(config(pms));
      expect(modules.map(({ id, dbroots: owned }) => ({ id, dbroots: owned }))).toEqual(
        pms.map(({ id, dbroots: owned }) => ({ id, dbroots: owned.toSorted((a, b) => a - b) })),
      );
      expect(new Set(dbroots.keys())).toEqual(new Set(pms.flatMap(({ dbroots: owned }) => owned)));
      expect(pms.find(({ id }) => id === primaryModule)?.dbroots).toContain(1);
    }),
  );
});

it('is the same wherever its elements stand', () => {
  const elements = config([
    { id: 1, dbroots: [1, 3] },
    { id: 2, dbroots: [2] },
  ]).split(/(?<=<\/ModuleDBRoot[^>]*>)/);
  expect(elements.length).toBeGreaterThan(4);
  const [head = '', ...rest] = elements;
  const tail = rest.pop() ?? '';
  expect(read([head, ...rest.toReversed(), tail].join(''))).toEqual(read(elements.join('')));
});

describe('a configuration that makes no sense is refused, with file and element', () => {
  it.each([
    ['cut off', config([{ id: 1, dbroots: [1] }]).slice(0, -20), `${FILE} is not well-formed XML`],
    ['of something else', '<Server/>', `${FILE} is no configuration of ColumnStore: its root is Server`],
    ['a dbroot without a path', config([{ id: 1, dbroots: [1, 2] }], { dbroots: [1] }), 'pm1 owns dbroot 2, but there is no DBRoot2'],
    [
      'a dbroot of two',
      config(
        [
          { id: 1, dbroots: [1] },
          { id: 2, dbroots: [1] },
        ],
        { dbroots: [1] },
      ),
      'dbroot 1 belongs to pm1 and to pm2',
    ],
    ['a dbroot of nobody', config([{ id: 1, dbroots: [1] }], { dbroots: [1, 3] }), 'dbroot 3 belongs to no module'],
    ['fewer modules than counted', config([{ id: 1, dbroots: [1] }], { count: 2 }), 'ModuleCount3 is 2, but only 1'],
    [
      'a module without address',
      config([{ id: 1, address: '0.0.0.0', host: 'unassigned', dbroots: [1] }]),
      'ModuleCount3 is 1, but only 0',
    ],
    [
      'a missing dbroot id',
      config([{ id: 1, dbroots: [1] }]).replace('<ModuleDBRootID1-1-3>1<', '<ModuleDBRootID1-1-3>unassigned<'),
      'ModuleDBRootID1-1-3',
    ],
    ['no controller', config([{ id: 1, dbroots: [1] }]).replace('<IPAddr>mcs1<', '<IPAddr>0.0.0.0<'), 'DBRM_Controller/IPAddr is missing'],
    [
      'a relative path',
      config([{ id: 1, dbroots: [1] }]).replace('/srv/data1/<', 'data1<'),
      'SystemConfig/DBRoot1 is no absolute path: data1',
    ],
    ['no first dbroot', config([{ id: 1, dbroots: [2] }]), 'SystemConfig/DBRoot1 is missing'],
    ['an empty path', config([{ id: 1, dbroots: [1] }]).replace('/srv/data1/<', '<'), 'SystemConfig/DBRoot1 is missing'],
    [
      'no count of modules',
      config([{ id: 1, dbroots: [1] }]).replaceAll('ModuleCount3', 'Count3'),
      'SystemModuleConfig/ModuleCount3 is missing',
    ],
    [
      'more dbroots than there can be',
      config([{ id: 1, dbroots: [1] }]).replace('<ModuleDBRootCount1-3>1<', '<ModuleDBRootCount1-3>999999999999<'),
      'ModuleDBRootCount1-3 is 999999999999, but ModuleDBRootID1-2-3 names no dbroot',
    ],
    [
      'a revision that is no number',
      config([{ id: 1, dbroots: [1] }], { extra: '<ConfigRevision>x</ConfigRevision>' }),
      'ConfigRevision is no number: x',
    ],
  ])('%s', (_, text, message) => {
    expect(refusal(text)).toContain(message);
  });
});
