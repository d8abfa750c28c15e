import { scoreFiles, toProperties } from './score-files.js';

describe('the Score document as files', () => {
  it('is a line for each leaf, sorted, for scripts without a parser', () => {
    const score = {
      metadata: { name: 'shop' },
      containers: { web: { image: 'nginx=1', command: ['sh', '-c'], variables: { TEXT: 'a\nb\\n', NONE: null } } },
      service: { ports: { http: { port: 80 } } },
    };
    expect(toProperties(score).split('\n')).toEqual([
      'containers.web.command.0=sh',
      'containers.web.command.1=-c',
      'containers.web.image=nginx=1',
      'containers.web.variables.NONE=',
      'containers.web.variables.TEXT=a\\nb\\\\n',
      'metadata.name=shop',
      'service.ports.http.port=80',
      '',
    ]);
  });

  it('is JSON as well', () => {
    expect(JSON.parse(scoreFiles({ a: 1 })['score.json']!)).toEqual({ a: 1 });
  });
});
