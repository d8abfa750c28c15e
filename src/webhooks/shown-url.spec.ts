import { shownUrl, withoutAddress } from './shown-url.js';

const SLACK = 'https://hooks.slack.test/services/T0001/B0002/XYZabcdefghij1234';
const DISCORD = 'https://discord.test/api/webhooks/123456789/s3cr3t-S3CR3T_9876';

describe('an address', () => {
  it.each([
    ['https://a.test', 'https://a.test/'],
    ['https://a.test/hook', 'https://a.test/hook'],
    ['https://a.test:8443/hooks/', 'https://a.test:8443/hooks/'],
    ['https://a.test/hook?token=1', 'https://a.test/hook?…'],
    ['https://a.test/#x?y', 'https://a.test/?…'],
    [SLACK, 'https://hooks.slack.test/services/…1234'],
    [DISCORD, 'https://discord.test/api/…9876'],
    // What is short may be all of the secret, or most of it.
    ['https://a.test/hooks/12ab', 'https://a.test/hooks/…'],
    ['https://a.test/hooks/123456789012345', 'https://a.test/hooks/…'],
    ['https://a.test/9f8e7d6c', 'https://a.test/…'],
    ['https://a.test/9f8e7d6c5b4a39281706', 'https://a.test/…1706'],
    ['https://a.test/webhookb2/0f9e-1@a/IncomingWebhook/77', 'https://a.test/webhookb2/…'],
    ['https://user:password@a.test/', 'https://a.test/'],
    ['nonsense/with/a/secret', '…'],
  ])('%s is shown as %s', (url, shown) => expect(shownUrl(url)).toBe(shown));

  it('is not told by what its receiver answers', () => {
    const found = (text: string, url: string) => withoutAddress(text, url);
    expect(found('Cannot POST /services/T0001/B0002/XYZabcdefghij1234', SLACK)).toBe(
      'Cannot POST /services/T0001/B0002/…',
    );
    expect(found('no s3cr3t-S3CR3T_9876 of 123456789', DISCORD)).toBe('no … of …');
    expect(found('key %C3%BCber+12 or über+12', 'https://a.test/?key=%C3%BCber%2B12')).not.toMatch(/ber%2B12|über\+12/);
    expect(found('POST /a%20bcdef or /a bcdef, %zz', 'https://a.test/a%20bcdef?%zz')).toBe('POST /… or /…, %zz');
    expect(found('ok', SLACK)).toBe('ok');
    expect(found('/hook is fine', 'https://a.test/hook')).toBe('/hook is fine');
  });
});
