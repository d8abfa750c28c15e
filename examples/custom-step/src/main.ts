import 'reflect-metadata';
import { loadSettings, startService } from 'turnpike/service';
import { SlackModule } from './slack.module.js';

const service = await startService(loadSettings(process.env), { modules: [SlackModule] });

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => void service.stop().then(() => process.exit(0)));
}
