import { Logger, Module, type DynamicModule } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import type { EntitySchema, MixedList } from 'typeorm';
import { dataSourceOptions, TurnpikeDataSource } from './data-source.js';

export interface DatabaseModuleOptions {
  readonly url: string;
  readonly poolSize: number;
  // eslint-disable-next-line @typescript-eslint/no-unsafe-function-type -- TypeORM's own type for entity classes
  readonly entities: MixedList<Function | string | EntitySchema>;
}

/** The application's data source; its migrations have run when the module is up. */
@Module({})
export class DatabaseModule {
  static forRoot({ url, poolSize, entities }: DatabaseModuleOptions): DynamicModule {
    return {
      module: DatabaseModule,
      imports: [
        TypeOrmModule.forRootAsync({
          useFactory: () => ({
            ...dataSourceOptions(url, poolSize),
            entities,
            migrationsRun: true,
            retryAttempts: 0,
          }),
          dataSourceFactory: async (options) => upToDate(new TurnpikeDataSource(options!)),
        }),
      ],
    };
  }
}

async function upToDate(dataSource: TurnpikeDataSource): Promise<TurnpikeDataSource> {
  await dataSource.initialize();
  const unknown = await dataSource.unknownMigrations();
  // Later versions only add while this one may still run, or run again.
  if (unknown.length > 0) {
    const msg = `The database has migrations that this version does not know: ${unknown.join(', ')}`;
    new Logger('Database').warn({ msg, migrations: unknown });
  }
  return dataSource;
}
