import { parseNetworks, refusalOf } from './net-addresses.js';

describe('refusalOf', () => {
  it.each(['93.184.216.34', '8.8.8.8', '2606:4700::1111', '::ffff:8.8.8.8'])('has nothing against %s', (address) => {
    expect(refusalOf(address, [])).toBeUndefined();
  });

  it.each([
    ['127.0.0.1', 'this machine itself'],
    ['127.255.1.2', 'this machine itself'],
    ['::1', 'this machine itself'],
    ['::ffff:127.0.0.1', 'this machine itself'],
    ['0.0.0.0', 'a special address'],
    ['::', 'a special address'],
    ['10.1.2.3', 'a private network'],
    ['172.16.0.1', 'a private network'],
    ['192.168.1.1', 'a private network'],
    ['100.64.0.1', 'a private network'],
    ['100.100.100.200', 'a private network'],
    ['fd00:ec2::254', 'a private network'],
    ['169.254.169.254', 'a link-local address'],
    ['::ffff:169.254.169.254', 'a link-local address'],
    ['fe80::1', 'a link-local address'],
    ['168.63.129.16', 'a metadata service'],
    ['192.0.0.192', 'a special address'],
    ['198.18.0.1', 'a special address'],
    ['203.0.113.1', 'a special address'],
    ['224.0.0.1', 'a special address'],
    ['240.0.0.1', 'a special address'],
    ['255.255.255.255', 'a special address'],
    ['ff02::1', 'a special address'],
    ['fec0::1', 'a special address'],
    ['64:ff9b::7f00:1', 'a special address'],
    ['2002:7f00:1::', 'a special address'],
    ['2001:db8::1', 'a special address'],
    ['4000::1', 'a special address'],
    ['example.org', 'not an address'],
  ])('refuses %s: %s', (address, why) => {
    expect(refusalOf(address, [])).toBe(why);
  });

  it('takes what stands in the list', () => {
    const allowed = parseNetworks('127.0.0.1, 10.0.0.0/8 fd00::/8');
    for (const address of ['127.0.0.1', '::ffff:127.0.0.1', '10.9.9.9', 'fd12::1']) {
      expect(refusalOf(address, allowed)).toBeUndefined();
    }
    for (const address of ['127.0.0.2', '::1', '192.168.0.1', 'fe80::1']) {
      expect(refusalOf(address, allowed)).toBeDefined();
    }
  });
});

describe('parseNetworks', () => {
  it('takes nothing, too', () => expect(parseNetworks(' ')).toEqual([]));

  it.each(['10.0.0.0/33', 'localhost', '10.0.0.0/8/8', 'fd00::/200', '10.0.0.0/8;11.0.0.0/8'])('refuses %s', (text) => {
    expect(() => parseNetworks(text)).toThrow(`'${text}' is no network such as 10.0.0.0/8 or fd00::/8`);
  });
});
