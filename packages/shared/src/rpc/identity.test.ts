import { describe, expect, it } from 'vitest';
import { identityUri, parseIdentity } from './identity.ts';

describe('the identity in a certificate', () => {
  it('is found among its names', () => {
    const peer = { cluster: 'shop', role: 'agent', name: 'db1' } as const;
    const uri = identityUri(peer);
    expect(uri).toBe('stillpoint://shop/agent/db1');
    expect(parseIdentity(`URI:${uri}`)).toEqual(peer);
    expect(parseIdentity(`DNS:db1.example.com, URI:${uri}, IP Address:10.0.0.1, URI:https://example.com/`)).toEqual(peer);
  });

  it.each([
    undefined,
    '',
    'DNS:db1',
    'URI:stillpoint://shop/agent',
    'URI:stillpoint://shop/ca',
    'URI:stillpoint://shop/agent/db1/x',
    'URI:stillpoint://shop/admin/db1',
    'URI:stillpoint://shop/AGENT/db1',
    'URI:stillpoint:///agent/db1',
    'URI:stillpoint://shop/agent/',
    'URI:stillpoint://shop/agent/../x',
    'URI:stillpoint://shop/agent/db1?x',
    'URI:stillpoint://shop/agent/db1\n',
    'URI:http://stillpoint://shop/agent/db1',
    'DNS:stillpoint://shop/agent/db1',
    // More than one: whom would one believe?
    'URI:stillpoint://shop/agent/db1, URI:stillpoint://shop/controller/db1',
    // How Node writes a name with a comma in it, so that it cannot pass for two.
    'DNS:"x, URI:stillpoint://shop/agent/db1"',
    'URI:"stillpoint://shop/agent/db1\\u0000"',
  ])('is none in %j', (names) => expect(parseIdentity(names)).toBeUndefined());
});
