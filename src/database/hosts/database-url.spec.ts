import { readDatabaseUrl } from './database-url.js';

const hostsOf = (url: string) => readDatabaseUrl(url).hosts.map(({ host, port }) => `${host} ${port}`);

describe('the address of a database', () => {
  it.each([
    'postgres://u:p@db/turnpike',
    'postgresql://u:p@db:5432/turnpike?sslmode=verify-full&options=-c%20a%3Db',
    'postgres:///turnpike?host=/var/run/postgresql',
    'postgres://u:p@%2Fvar%2Frun%2Fpostgresql/turnpike',
    'postgres://u:p@[::1]/turnpike?target_session_attrs=any',
    'postgres://u:a,b@db/turnpike',
  ])('that names one host stays as it is: %s', (url) => {
    expect(readDatabaseUrl(url)).toMatchObject({ url, hosts: [] });
  });

  it.each([
    ['postgres://u:p@a,b/d', ['a 5432', 'b 5432']],
    ['postgres://u:p@a:1,b:2,c/d?target_session_attrs=read-write', ['a 1', 'b 2', 'c 5432']],
    ['postgres://a,b:7/d?port=6', ['a 6', 'b 7']],
    ['postgres://u:p@[::1]:1,[fe80::2],10.0.0.1:3/d', ['::1 1', 'fe80::2 5432', '10.0.0.1 3']],
    ['postgres://u:p@/d?host=a,b&port=1,2', ['a 1', 'b 2']],
    ['postgres://u:p@/d?host=a,b&port=9', ['a 9', 'b 9']],
    ['postgres://u:p@ss,@a,b/d', ['a 5432', 'b 5432']],
    ['postgres://u:p@%2Frun%2Fa,/run-b/d', undefined],
    ['postgres://u:p@a/d?target_session_attrs=primary', ['a 5432']],
    ['postgres:///d?target_session_attrs=read-write', ['localhost 5432']],
  ])('with several, or one that must be the primary: %s', (url, expected) => {
    if (expected) expect(hostsOf(url)).toEqual(expected);
    else expect(() => hostsOf(url)).toThrow('has no name for host 2 of 2');
  });

  it('leaves to pg all but the hosts', () => {
    const url =
      'postgres://ann:p%40ss@[::1]:1,b/d%20b?target_session_attrs=primary&sslmode=verify-full&connect_timeout=5&application_name=x';
    expect(readDatabaseUrl(url)).toEqual({
      url: 'postgres://ann:p%40ss@[::1]:1/d%20b?sslmode=verify-full&application_name=x',
      hosts: [
        { host: '::1', port: 1 },
        { host: 'b', port: 5432 },
      ],
      connectTimeoutMs: 5_000,
    });
    expect(readDatabaseUrl('postgres://u:p@/d?host=/run/a,b').url).toBe('postgres://u:p@%2Frun%2Fa:5432/d');
  });

  it.each([
    ['', 2_000],
    ['?connect_timeout=0', 2_000],
    ['?connect_timeout=abc', 2_000],
    ['?connect_timeout=0.5', 500],
  ])('waits for a host as long as it says: %p', (query, timeoutMs) => {
    expect(readDatabaseUrl(`postgres://a,b/d${query}`).connectTimeoutMs).toBe(timeoutMs);
  });

  it.each([
    ['mysql://a/d', /must look like postgres:\/\//],
    ['postgres://a b/d', /must look like/],
    [
      'postgres://u:p@a,b/d?target_session_attrs=standby',
      /target_session_attrs=standby, but the queue writes.*read-write/,
    ],
    ['postgres://u:p@a,b/d?target_session_attrs=any', /must be read-write, primary, or left out/],
    ['postgres://u:p@a/d?target_session_attrs=prefer-standby', /but the queue writes/],
    ['postgres://u:p@a,,c/d', /no name for host 2 of 3/],
    ['postgres://u:p@a,b:/d?port=1,2,3', /names 2 hosts and 3 ports/],
    ['postgres://u:p@a:1,b:port/d', /port for host 2 of 2 that is no number/],
    ['postgres://u:p@a:1,b:65536/d', /port for host 2 of 2/],
    ['postgres://u:p@a:0,b/d', /port for host 1 of 2/],
    ['postgres://u:p@a%zz,b/d', /"%" in the name of a host/],
  ])('that makes no sense is refused: %s', (url, message) => {
    expect(() => readDatabaseUrl(url)).toThrow(message);
  });

  it.each(['postgres://u:secret@a,b:secret/d', 'postgres://u:sec,ret/@a/d'])(
    'is refused without a word of its password: %s',
    (url) => {
      let message = '';
      try {
        readDatabaseUrl(url);
      } catch (error) {
        message = (error as Error).message;
      }
      expect(message).toMatch(/^has a port for host/);
      expect(message).not.toMatch(/sec|ret/);
    },
  );
});
