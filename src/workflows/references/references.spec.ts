import {
  referencesIn,
  referencesInValue,
  ResolvedTooLong,
  resolveText,
  resolveValue,
  type Scope,
  UnresolvedReferences,
} from './references.js';

const VALUES: Record<string, string> = {
  'metadata.name': 'shop',
  'build.version': '1.2',
  'build-app.tag': '$&${metadata.name}',
};
const scope: Scope = { lookUp: (path) => VALUES[path.join('.')] };

describe('references in a text', () => {
  it.each([
    ['${metadata.name}', 'shop'],
    ['a ${metadata.name}-${build.version}!', 'a shop-1.2!'],
    ['${build-app.tag}', '$&${metadata.name}'],
    ['$${metadata.name}', '${metadata.name}'],
    ['$$${build.version}', '$1.2'],
    ['$$$${build.version}', '$${build.version}'],
    ['$5 $$ ${HOME} $HOME ${file%.txt} ${#x} ${a.b:-c} $metadata.name', undefined],
    ['', ''],
  ])('%j becomes %j', (text, expected = text) => {
    expect(resolveText(text, scope)).toBe(expected);
  });

  it('are found with their places', () => {
    expect(referencesIn('${a.b} $${c.d} $$${e.f-g} ${h} ${i.j.k}')).toEqual([
      { path: ['a', 'b'], text: '${a.b}', offset: 0 },
      { path: ['e', 'f-g'], text: '${e.f-g}', offset: 17 },
      { path: ['i', 'j', 'k'], text: '${i.j.k}', offset: 31 },
    ]);
  });

  it('are all named where they have no value', () => {
    const why: Scope = { lookUp: () => undefined, whyMissing: (path) => `no ${path[0]} here` };
    const resolve = () => resolveValue({ a: '${x.y}', b: ['${x.y} ${z.y}'] }, why);
    expect(resolve).toThrow(UnresolvedReferences);
    expect(resolve).toThrow('references have no value: ${x.y} (no x here), ${z.y} (no z here)');
  });
});

describe('references in a value', () => {
  const value = { list: ['${a.b}', { deep: 'x${c.d}', n: 1, none: null }], '${e.f}': true };

  it('are found in all its texts', () => {
    expect(referencesInValue(value)).toEqual([
      { at: ['list', 0], reference: { path: ['a', 'b'], text: '${a.b}', offset: 0 } },
      { at: ['list', 1, 'deep'], reference: { path: ['c', 'd'], text: '${c.d}', offset: 1 } },
    ]);
  });

  it('are replaced in all its texts, and nothing else is', () => {
    expect(resolveValue(value, { lookUp: (path) => path.join() })).toEqual({
      list: ['a,b', { deep: 'xc,d', n: 1, none: null }],
      '${e.f}': true,
    });
    const own = JSON.parse('{"__proto__": "${a.b}"}') as object;
    expect(JSON.stringify(resolveValue(own, { lookUp: () => 'v' }))).toBe('{"__proto__":"v"}');
  });

  it('cannot make it grow without end', () => {
    const large: Scope = { lookUp: () => 'x'.repeat(1024 * 1024) };
    expect(() => resolveValue(Array(5).fill('${a.b}'), large)).toThrow(ResolvedTooLong);
  });
});
