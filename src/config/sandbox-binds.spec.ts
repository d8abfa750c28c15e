import { parseSandboxBinds } from './sandbox-binds.js';

describe('parseSandboxBinds', () => {
  it('reads paths, with what steps may do there', () => {
    expect(parseSandboxBinds(' /srv/keys:ro, /srv/cache/ ,/srv/a:b:rw,')).toEqual([
      { path: '/srv/keys', writable: false },
      { path: '/srv/cache', writable: true },
      { path: '/srv/a:b', writable: true },
    ]);
    expect(parseSandboxBinds('')).toEqual([]);
  });

  it.each(['srv', '/', '/proc', '/dev/kvm', '/srv/../proc/1', '/run/turnpike', '/srv, relative:ro', ':ro'])(
    'refuses %s',
    (text) => {
      expect(() => parseSandboxBinds(text)).toThrow();
    },
  );
});
