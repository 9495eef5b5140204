import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseConfig } from './document.ts';
import { carryTuning } from './tuning.ts';

/** Contract with the restore tools of the engine itself: these, and no others. */
const TUNED = [
  ...['HashJoin/TotalUmMemory', 'HashJoin/AllowDiskBasedJoin', 'DBBC/NumBlocksPct', 'DBBC/NumThreads', 'CrossEngineSupport/User'],
  ...['CrossEngineSupport/Password', 'RowAggregation/AllowDiskBasedAggregation', 'SystemConfig/MemoryCheckPercent', 'JobList/RequestSize'],
  ...['JobList/ProcessorThreadsPerScan', 'PrimitiveServers/ConnectionsPerPrimProc'],
];

const split = (name: string): [section: string, name: string] => name.split('/') as [string, string];

/** A configuration with these values, in the order of their sections. */
function written(values: Readonly<Record<string, string>>): string {
  const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  const bySection = Map.groupBy(Object.entries(values), ([name]) => split(name)[0]);
  const sections = [...bySection].map(
    ([section, entries]) =>
      `<${section}>${entries.map(([name, text]) => `<${split(name)[1]}>${escaped(text)}</${split(name)[1]}>`).join('')}</${section}>`,
  );
  return `<Columnstore>\n${sections.join('\n')}</Columnstore>\n`;
}

const of = (password: string, blocks: string, host: string): string => `<?xml version="1.0" encoding="utf-8"?>
<Columnstore>
	<!-- kept -->
	<DBRM_Controller><IPAddr>${host}</IPAddr></DBRM_Controller>
	<DBBC>
		<NumBlocksPct>${blocks}</NumBlocksPct> <!-- percent -->
	</DBBC>
	<CrossEngineSupport><Host>${host}</Host><Password>${password}</Password></CrossEngineSupport>
</Columnstore>
`;
const carry = (from: string, into: string, except: readonly string[] = []) =>
  carryTuning({ file: 'from', text: from }, { file: 'into', text: into }, except);

it('carries tuning values and nothing else, and leaves the rest as it is', () => {
  const { xml, carried } = carry(of('a&amp;b', '40', 'old'), of('', '50', 'new'));
  expect(carried).toEqual([
    { name: 'DBBC/NumBlocksPct', before: '50', now: '40' },
    { name: 'CrossEngineSupport/Password', before: '', now: 'a&b' },
  ]);
  expect(xml).toBe(of('a&amp;b', '40', 'new'));
});

it('leaves values that are equal, or absent in the source, or excepted, as they are', () => {
  const into = of('secret', '50', 'new');
  expect(carry(of('secret', '50', 'old').replace('<Password>secret</Password>', ''), into)).toEqual({ xml: into, carried: [] });
  expect(carry(of('other', '50', 'old'), into, ['CrossEngineSupport/Password'])).toEqual({ xml: into, carried: [] });
});

it('carries an empty value: a user without a password', () => {
  const { xml, carried } = carry(of('', '50', 'old'), of('secret', '50', 'new'));
  expect(carried).toEqual([{ name: 'CrossEngineSupport/Password', before: 'secret', now: '' }]);
  expect(parseConfig('f', xml).text('CrossEngineSupport', 'Password')).toBe('');
});

it('carries eleven values, whatever they are, and changes no other', () => {
  const other = fc.constantFrom(
    'DBBC/NumCaches',
    'HashJoin/MaxBuckets',
    'SystemConfig/DBRoot1',
    'SystemModuleConfig/ModuleCount3',
    'ExtentMap/BRM_UID',
  );
  // What XML cannot hold is in no file; blanks around a value are none of it.
  const value = fc.string({ unit: fc.constantFrom(...'aZ0%/ &<>"\'\u00e9\u2603') }).map((text) => text.trim());
  const values = fc.dictionary(fc.oneof(fc.constantFrom(...TUNED), other), value);
  fc.assert(
    fc.property(values, values, (from, into) => {
      const { xml, carried } = carry(written(from), written(into));
      const wanted = { ...into, ...Object.fromEntries(Object.entries(from).filter(([name]) => TUNED.includes(name))) };
      const result = parseConfig('f', xml);
      // Nothing carried to where nothing is makes nothing.
      for (const name of [...TUNED, ...Object.keys(into)])
        expect([name, result.text(...split(name)) ?? '']).toEqual([name, wanted[name] ?? '']);
      for (const name of Object.keys(from)) if (!(name in wanted)) expect(result.text(...split(name))).toBeUndefined();
      expect(carried.every(({ name, now }) => from[name] === now)).toBe(true);
      expect(carry(written(from), xml)).toEqual({ xml, carried: [] });
    }),
  );
});

it('keeps comments, stray text, line ends and a byte order mark', () => {
  const text =
    '\uFEFF<?xml version="1.0"?>\r\n<!-- a -->\r\n<Columnstore>\r\n  // 2.5 minutes\r\n  <DBBC><NumThreads>4</NumThreads></DBBC>\r\n</Columnstore>\r\n';
  const lines = carry('<Columnstore><DBBC><NumThreads>8</NumThreads></DBBC></Columnstore>', text).xml;
  expect(lines.replaceAll('\r', '')).toBe(text.replaceAll('\r', '').replace('>4<', '>8<'));
});

it('makes sections that are missing', () => {
  const { xml } = carry(of('x', '40', 'old'), '<Columnstore>\n</Columnstore>');
  expect(carry(of('x', '40', 'old'), xml).carried).toEqual([]);
});

it('refuses what is no configuration', () => {
  expect(() => carry('<a>', of('', '1', 'h'))).toThrow(expect.objectContaining({ code: 'COLUMNSTORE_CONFIG' }));
});
