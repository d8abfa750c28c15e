import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { isIn, type SandboxPlaces, SandboxView, SYSTEM_PATHS } from './sandbox-view.js';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'sandbox-view-')));
const [shown, secrets, key] = [join(root, 'shown'), join(root, 'shown/deep/secrets'), join(root, 'shown/tls.key')];
mkdirSync(secrets, { recursive: true });
writeFileSync(key, '');
symlinkSync(shown, join(root, 'link'));
symlinkSync(key, join(root, 'link-to-key'));
afterAll(() => rmSync(root, { recursive: true }));

/** Those about what is made here, one mount each. */
function mountsOf(binds: SandboxPlaces['binds'], hidden: readonly string[]): string[] {
  const mounts = new SandboxView({ binds, hidden }).arguments.join(' ').split(/ (?=--)/);
  return mounts.filter((mount) => mount.includes(root)).map((mount) => mount.replaceAll(root, ''));
}
const bind = (name: string, writable = false) => ({ path: join(root, name), writable });

describe('the view of a step', () => {
  it('covers folders and files that are hidden, after what would show them', () => {
    expect(mountsOf([bind('shown', true)], [secrets, join(root, 'link-to-key'), join(root, 'none')])).toEqual([
      '--bind /shown /shown',
      '--ro-bind /dev/null /shown/tls.key',
      '--tmpfs /shown/deep/secrets',
    ]);
  });

  it('covers them where a bind that is a link shows them', () => {
    expect(mountsOf([bind('link')], [secrets, key])).toEqual([
      '--ro-bind /link /link',
      '--ro-bind /dev/null /link/tls.key',
      '--tmpfs /link/deep/secrets',
    ]);
    expect(mountsOf([bind('link'), bind('shown')], [secrets])).toEqual([
      ...['--ro-bind /link /link', '--ro-bind /shown /shown'],
      ...['--tmpfs /link/deep/secrets', '--tmpfs /shown/deep/secrets'],
    ]);
  });

  it('covers nothing that is not shown, nor what is bound itself', () => {
    expect(mountsOf([bind('shown/deep')], [root, key])).toEqual(['--ro-bind /shown/deep /shown/deep']);
    expect(mountsOf([bind('shown'), bind('shown/deep')], [dirname(secrets)])).toEqual([
      ...['--ro-bind /shown /shown', '--ro-bind /shown/deep /shown/deep'],
    ]);
  });

  it('covers what lies in a folder of the system, at its real place', () => {
    const mounts = new SandboxView({ binds: [], hidden: ['/bin/../lib', '/usr/bin/env', '/usr/share'] }).arguments.join(
      ' ',
    );
    expect(mounts).toContain('--ro-bind /dev/null /usr/bin/env');
    expect(mounts).toContain('--tmpfs /usr/share');
    expect(mounts.indexOf('--ro-bind-try /usr /usr')).toBeLessThan(mounts.indexOf('--tmpfs /usr/share'));
  });

  it.each([
    ...['/etc/pki/tls/private/localhost.key', '/etc/ssl/private/ssl-cert-snakeoil.key', '/etc/shadow', '/etc/gshadow'],
    ...['/etc/ssh/ssh_host_rsa_key', '/etc/sudoers', '/etc/krb5.keytab', '/etc/letsencrypt/live/a/privkey.pem'],
  ])('has no place for %s', (path) => {
    expect(SYSTEM_PATHS.filter((above) => isIn(above, path))).toEqual([]);
  });
});
