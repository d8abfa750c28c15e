import { largeBodies, mutated, nastyObject, nastyText, readsOrRefuses, tryAll } from '../../test/support/fuzz.js';
import { readOverlap } from './delivery-query.js';
import { shownUrl, withoutAddress } from './shown-url.js';
import { readWebhook } from './webhook-body.js';

const FIELDS = {
  ...{ url: ['https://a.test/hook'], events: [['*'], ['task.completed']], apps: [null, ['frontend-*']] },
  ...{ enabled: [true, false], description: [null, 'CI'] },
};
const EXAMPLE = '{"url":"https://a.test/hook","events":["task.completed"],"apps":["a-*"],"enabled":true}';

describe('a hostile webhook', () => {
  it('has a body that is read or refused', () =>
    tryAll(nastyObject(FIELDS), 40, (given) => {
      const body = Buffer.from(JSON.stringify(given));
      readsOrRefuses(() => readWebhook(body, 'application/json', 'whole'));
      readsOrRefuses(() => readWebhook(body, 'application/yaml', 'part'));
      readsOrRefuses(() => readOverlap(body));
    }));

  it('has bytes that are read or refused', () =>
    tryAll(mutated(EXAMPLE, 'url: https://a.test\nevents: ["*"]\n'), 40, (body) => {
      readsOrRefuses(() => readWebhook(body, 'application/json', 'whole'));
      readsOrRefuses(() => readWebhook(body, 'application/yaml', 'whole'));
    }));

  it.each(largeBodies(['url', 'events', 'apps', 'description']))(
    'has a body of %s that is read or refused',
    (_, text) => {
      readsOrRefuses(() => readWebhook(Buffer.from(text), 'application/json', 'part'));
    },
  );

  it('has an address of which the query and long parts are never shown', () =>
    tryAll(nastyText, 40, (text) => {
      readsOrRefuses(() => shownUrl(text));
      const url = `https://a.test/hooks/secret-in-path-0123456789?key=secret-in-query&x=${encodeURIComponent(text.toWellFormed())}`;
      expect(shownUrl(url)).toBe('https://a.test/hooks/…6789?…');
      expect(withoutAddress(`${text} secret-in-path-0123456789 secret-in-query`, url)).not.toMatch(/secret-in/);
    }));
});
