import { writeFileSync } from 'node:fs';
import { runWatched } from '/work/main/src/workflows/process/watched-process.js';
const lease = { deadline: () => performance.now() + 20000, onRenewed: () => () => {} };
for (const body of ['echo hi; echo e >/dev/stderr; ls -l /proc/self/fd; env', 'exit 3', 'exit 137', 'kill -9 $$', 'kill -SEGV $$', 'kill $$','exit 130', 'nosuch', 'sleep 100 & exit 0', 'setsid sleep 3 & exit 0','kill -9 $PPID; sleep 50','kill -9 -$PPID; sleep 50','exec /nosuch', 'kill -STOP $$; exit 4']) {
  writeFileSync('/tmp/wexp/s.sh', body);
  const t = performance.now(); let out = '';
  const ac = new AbortController(); if (body.includes('STOP')) setTimeout(()=>ac.abort('cancelled'),300);
  const r = await runWatched({ script: '/tmp/wexp/s.sh', cwd: '/tmp/wexp', env: { PATH: process.env.PATH!, A: 'b' , status: 'mine', group: 'g', BASH_ENV: '/dev/null', SHELLOPTS: 'pipefail' }, lease, killGraceSeconds: 1, signal: ac.signal, onOutput: async (s, c) => { out += c; } }).catch(e=>e.message);
  console.log(body, r, (performance.now() - t).toFixed(0) + 'ms'); if (out) console.log(out);
}
