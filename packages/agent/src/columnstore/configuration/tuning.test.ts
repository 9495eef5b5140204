import { expect, it } from 'vitest';
import { carryTuning } from './tuning.ts';

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
  expect(carry(of('', '50', 'old'), into)).toEqual({ xml: into, carried: [] });
  expect(carry(of('other', '50', 'old'), into, ['CrossEngineSupport/Password'])).toEqual({ xml: into, carried: [] });
});

it('makes sections that are missing', () => {
  const { xml } = carry(of('x', '40', 'old'), '<Columnstore>\n</Columnstore>');
  expect(carry(of('x', '40', 'old'), xml).carried).toEqual([]);
});

it('refuses what is no configuration', () => {
  expect(() => carry('<a>', of('', '1', 'h'))).toThrow(expect.objectContaining({ code: 'COLUMNSTORE_CONFIG' }));
});
