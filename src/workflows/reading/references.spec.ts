import { referencesIn, resolveEnv } from './references.js';

const scope = {
  metadata: { name: 'shop', annotations: { owner: 'jane' } },
  parameters: { replicas: '2', empty: '' },
  environment: { type: 'staging', debug: true, list: [1] },
};
const resolve = (text: string) => resolveEnv({ X: text }, scope);

describe('references in an env', () => {
  it.each([
    ['${metadata.name}', 'shop'],
    ['${metadata.annotations.owner}!', 'jane!'],
    ['${parameters.replicas} of ${environment.type}', '2 of staging'],
    ['${environment.debug}', 'true'],
    ['[${parameters.empty}]', '[]'],
    ['${HOME} $HOME ${file%.txt} ${#x}', '${HOME} $HOME ${file%.txt} ${#x}'],
    ['plain', 'plain'],
  ])('%j becomes %j', (text, expected) => {
    expect(resolve(text)).toEqual({ env: { X: expected }, missing: [] });
  });

  it.each([
    'metadata.namespace',
    'build.version',
    'environment.list',
    'metadata.annotations',
    'metadata.constructor.name',
  ])('%s is missing', (reference) => {
    expect(resolve(`\${${reference}}`).missing).toEqual([{ variable: 'X', reference }]);
  });

  it('never look into what a value says', () => {
    const { env } = resolveEnv({ X: '${metadata.name}' }, { ...scope, metadata: { name: '${parameters.replicas}' } });
    expect(env.X).toBe('${parameters.replicas}');
  });

  it('are found', () => {
    expect(referencesIn('${a.b} ${c} ${d.e.f}')).toEqual(['a.b', 'd.e.f']);
  });
});
