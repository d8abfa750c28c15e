import ipaddr from 'ipaddr.js';

/** A network as `10.0.0.0/8` or `fd00::/8`, parsed. */
export type Network = [ipaddr.IPv4 | ipaddr.IPv6, number];

/** Addresses in public ranges that are none: a cloud's own services, reachable from its machines only. */
const METADATA = [ipaddr.parse('168.63.129.16')];

/** All that is routed on the internet as IPv6; the rest of the space is special or not assigned. */
const GLOBAL_IPV6 = ipaddr.parseCIDR('2000::/3') as [ipaddr.IPv6, number];

/** The networks in a list divided by commas or spaces; throws an Error that names the first wrong one. */
export function parseNetworks(text: string): Network[] {
  return text
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .map((entry) => {
      try {
        if (entry.includes('/')) return ipaddr.parseCIDR(entry);
        const address = ipaddr.parse(entry);
        return [address, address.kind() === 'ipv4' ? 32 : 128] satisfies Network;
      } catch {
        throw new Error(`'${entry}' is no network such as 10.0.0.0/8 or fd00::/8`);
      }
    });
}

/**
 * Why an address must not be called, in one or two words; undefined for one on the internet and one in `allowed`.
 * IPv4 addresses written as IPv6 count as what they are.
 */
export function refusalOf(text: string, allowed: readonly Network[]): string | undefined {
  if (!ipaddr.isValid(text)) return 'not an address';
  const address = ipaddr.process(text);
  if (allowed.some((network) => network[0].kind() === address.kind() && address.match(network))) {
    return undefined;
  }
  if (METADATA.some((known) => known.toString() === address.toString())) return 'a metadata service';
  const range: string = address.range();
  if (range !== 'unicast') return RANGES[range] ?? 'a special address';
  if (address.kind() === 'ipv6' && !(address as ipaddr.IPv6).match(GLOBAL_IPV6)) return 'a special address';
  return undefined;
}

const RANGES: Readonly<Record<string, string>> = {
  loopback: 'this machine itself',
  private: 'a private network',
  uniqueLocal: 'a private network',
  carrierGradeNat: 'a private network',
  linkLocal: 'a link-local address',
};

/** True for an address, or a name, under which only this machine reaches itself. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || (ipaddr.isValid(host) && ipaddr.process(host).range() === 'loopback');
}
