import { readFileSync } from 'node:fs';

/** package.json stands one folder above src/ and dist/ alike. */
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

export const VERSION = version;
