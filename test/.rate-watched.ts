import { writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { runWatched } from '../src/workflows/process/watched-process.js';
const lease = { deadline: () => performance.now() + 20000, onRenewed: () => () => {} };
writeFileSync('/tmp/wexp/s.sh', 'true');
for (let k = 0; k < 3; k++) {
const n = 500; let left = n; 
const t0 = performance.now(); execFileSync('bash', ['-c', `yes x | head -${n} | xargs -P5 -n1 bash -c true`]); const x = n/(performance.now()-t0)*1000;
const t = performance.now(); const u=process.cpuUsage();
await Promise.all([1,2,3,4,5].map(async () => { while (left-- > 0) await runWatched({ script: '/tmp/wexp/s.sh', cwd: '/tmp/wexp', env: { PATH: process.env.PATH! }, lease, killGraceSeconds: 1, signal: new AbortController().signal, onOutput: async () => {} }); }));
const w = n/(performance.now()-t)*1000; const v=process.cpuUsage(u);
console.log({ xargs: x|0, watched: w|0, ratio: (w/x).toFixed(2), selfMs: ((v.user+v.system)/1000/n).toFixed(2) });
}
