import { didYouMean } from './did-you-mean.js';

describe('didYouMean', () => {
  const known = ['command', 'script', 'timeout', 'env'];

  it.each([
    ['comand', 'command'],
    ['commnad', 'command'],
    ['comment', 'command'],
    ['Script', 'script'],
    ['scripts', 'script'],
    ['time_out', 'timeout'],
    ['evn', 'env'],
    ['command', 'command'],
  ])('takes %s for %s', (word, meant) => expect(didYouMean(word, known)).toBe(meant));

  it.each(['', 'x', 'retries', 'environment', 'v'.repeat(100_000)])('has no suggestion for %.20s', (word) =>
    expect(didYouMean(word, known)).toBeUndefined(),
  );

  it('takes the nearest, and of equals the first', () => {
    expect(didYouMean('names', ['lames', 'name', 'nam'])).toBe('lames');
    expect(didYouMean('nam', ['lame', 'name'])).toBe('name');
  });

  it('knows nothing of an empty list', () => expect(didYouMean('a', [])).toBeUndefined());
});
